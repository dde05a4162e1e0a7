"""vnd.columba.smtp: answer the SMTP client in one's own words. docs/sieve/vnd.columba.smtp.md.

Pure. All but delay end the script.
"""

import re
from dataclasses import replace
from typing import Final

from columba.sieve.core.actions import add_action
from columba.sieve.ext.rfc5183_environment import PREFIX
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import ANSWER, SESSION, Stage
from columba.sieve.lang.words import Extension, Kind, Positional, Word
from columba.sieve.run.actions import Delay, Reply
from columba.sieve.run.code import GO, STOP, Code, plain
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.state import Run
from columba.sieve.run.values import constant_text, truncate

REPLY_LINES: Final = 16
LINE_LENGTH: Final = 400
_REPLY: Final = re.compile(
    r"([45][0-9][0-9])(?:[ ]([245]\.[0-9]{1,3}\.[0-9]{1,3}))?(?:[ ](.*))?", re.DOTALL
)
_UNPRINTABLE: Final = re.compile(r"[^ -~]")
_STAGES: Final = ANSWER | {Stage.DELIVERY}
_COMMANDS: Final = SESSION | {Stage.DELIVERY}
# Before TLS can be begun, a demand for it would lock everybody out.
_AFTER_HELLO: Final = _STAGES - {Stage.CONNECT, Stage.HELO}
DELAY_MAX_S: Final = 60
# RFC 3207 §4
NEEDS_TLS: Final = Reply(530, "5.7.0", ("Must issue a STARTTLS command first",))


def parse_reply(text: str) -> Reply | None:
    """Read "550 5.7.1 text"; the enhanced code may be missing. None: this is no refusal.

    Line ends in the text make a reply of several lines. What is not printable ASCII becomes "?".
    """
    match = _REPLY.fullmatch(text)
    if match is None or (match[2] and match[2][0] != match[1][0]):
        return None
    return make_reply(int(match[1]), match[2] or f"{match[1][0]}.7.1", match[3] or "")


def make_reply(code: int, enhanced: str, text: str) -> Reply:
    """Make a reply; an empty text becomes a short one."""
    lines = [_UNPRINTABLE.sub("?", line)[:LINE_LENGTH] for line in text.strip().splitlines()]
    return Reply(code, enhanced, tuple(lines[:REPLY_LINES]) or ("Refused by policy",))


def build_reply(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `reply`."""
    node, place = bound.string(0), compiler.place(bound.at)
    text = compiler.text(node)
    wrong = "reply needs a 4yz or 5yz code, perhaps an enhanced code of the same class, and a text"
    known = parse_reply(text.constant) if text.constant is not None else None
    if text.constant is not None and known is None:
        compiler.error(node.at, wrong)
        return None

    def run_reply(run: Run) -> int:
        reply = known or parse_reply(truncate(text.get(run), run.limits.reply_bytes))
        if reply is None:
            raise ScriptFailure(wrong, place)
        run.result.add(reply, run.message, place)
        return STOP

    return plain(run_reply)


def build_tempfail(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `tempfail`: 451 4.7.1."""
    text, place = compiler.text(bound.string(0)), compiler.place(bound.at)

    def run_tempfail(run: Run) -> int:
        words = truncate(text.get(run), run.limits.reply_bytes)
        run.result.add(make_reply(451, "4.7.1", words), run.message, place)
        return STOP

    return plain(run_tempfail)


def build_disconnect(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `disconnect`: a reply, 421 unless it says another one, and the end of the connection."""
    node = bound.strings(0)[0] if bound.positional[0] is not None else None
    place = compiler.place(bound.at)
    text = compiler.text(node) if node is not None else constant_text("421 4.7.0 Closing")
    wrong = (
        "disconnect needs a 4yz or 5yz code, perhaps an enhanced code of the same class, and a text"
    )
    if node is not None and text.constant is not None and parse_reply(text.constant) is None:
        compiler.error(node.at, wrong)
        return None

    def run_disconnect(run: Run) -> int:
        reply = parse_reply(truncate(text.get(run), run.limits.reply_bytes))
        if reply is None:
            raise ScriptFailure(wrong, place)
        run.result.add(replace(reply, closes=True), run.message, place)
        return STOP

    return plain(run_disconnect)


def build_delay(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `delay`: whole seconds."""
    node, place = bound.number(0), compiler.place(bound.at)
    if not 0 < node.value <= DELAY_MAX_S:
        compiler.error(node.at, f"a delay is 1 to {DELAY_MAX_S} seconds")
        return None
    return plain(lambda run: add_action(run, Delay(node.value), place))


def build_require_tls(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `require_tls`: 530 to a client that has not begun TLS."""
    place = compiler.place(bound.at)

    def run_require_tls(run: Run) -> int:
        if run.environment.get(PREFIX + "tls"):
            return GO
        run.result.add(NEEDS_TLS, run.message, place)
        return STOP

    return plain(run_require_tls)


SMTP: Final = Extension(
    "vnd.columba.smtp",
    words=(
        Word("reply", False, build_reply, (Positional(Kind.STRING, "reply"),), stages=_STAGES),
        Word("tempfail", False, build_tempfail, (Positional(Kind.STRING, "text"),), stages=_STAGES),
        Word(
            "disconnect",
            False,
            build_disconnect,
            (Positional(Kind.STRING, "reply"),),
            stages=_COMMANDS,
            optional_last=1,
        ),
        Word("delay", False, build_delay, (Positional(Kind.NUMBER, "seconds"),), stages=_COMMANDS),
        Word("require_tls", False, build_require_tls, stages=_AFTER_HELLO),
    ),
)
