"""duplicate (RFC 7352): was this message, or one like it, seen before?

Pure. What was seen is in the dict of our own marks; a mark is written when the message was delivered, and says of which
message it is, so that a message that is tried again is no duplicate of itself.
"""

from hashlib import sha256
from typing import Final

from columba.sieve.core.tests import FIELD_NAME
from columba.sieve.ext.rfc5183_environment import PREFIX
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import CONTENT, Stage
from columba.sieve.lang.words import Extension, Kind, Tag, Word
from columba.sieve.run.code import Asked, Code, asking
from columba.sieve.run.effects import MARKS, Effect
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.options import seconds
from columba.sieve.run.requests import DictGet, Found, Unavailable
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, clean, constant_text

SEEN: Final = "duplicate/"  # how the keys of marks begin
_SOURCE: Final = "source of the unique id"
_DAY_S: Final = 86_400


def build_duplicate(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 7352 §3."""
    texts: dict[str, Text] = {}
    for name in ("handle", "uniqueid", "header"):
        node = bound.parameter(name)
        if node is not None:
            texts[name] = compiler.text(node)
    header = bound.parameter("header")
    if header is not None:
        name_text = texts["header"]
        if name_text.constant is not None and not FIELD_NAME.fullmatch(name_text.constant):
            compiler.warn(header.at, f"'{header.value[:60]}' is not a valid header field name")
    node_s = bound.number_parameter("seconds")
    said_s = node_s.value if node_s is not None else None
    is_last, place = bound.has("last"), compiler.place(bound.at)
    is_own = compiler.stage is not Stage.DATA  # there, a message is seen once for all recipients

    def run_duplicate(run: Run) -> Asked:
        id = _unique_id(run, texts)
        if not id:
            return False
        handle = texts.get("handle", constant_text("")).get(run)
        key, own = _key(run, handle, id, is_own), run.environment.get(PREFIX + "id", "")
        mark = Effect("set", key, MARKS, own, expires_s=_period_s(run, said_s))
        answer = yield DictGet(MARKS, key)
        if isinstance(answer, Unavailable):
            raise ScriptFailure(f"duplicates are not known now: {answer.text}", place)
        is_seen = isinstance(answer, Found) and (not own or answer.value != own)
        # RFC 7352 §3.1: with :last, seeing a message again begins the time anew.
        if mark not in run.effects and (not is_seen or is_last):
            run.effects.append(mark)
        return is_seen

    return asking(run_duplicate)


def _unique_id(run: Run, texts: dict[str, Text]) -> str:
    """RFC 7352 §3: the Message-ID if nothing else is said; without an id nothing is a duplicate."""
    if "uniqueid" in texts:
        return clean(texts["uniqueid"].get(run))
    name = texts["header"].get(run) if "header" in texts else "message-id"
    found = run.message.texts(name)
    return found[0].strip() if found else ""


def _key(run: Run, handle: str, id: str, is_own: bool) -> str:
    user = str(run.envelope.recipients[0]) if is_own and run.envelope.recipients else ""
    text = "\0".join((user.lower(), handle, id))
    return SEEN + sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _period_s(run: Run, said_s: int | None) -> int:
    """Return how long a message is remembered, never longer than the site allows."""
    options = run.limits.options
    default = seconds(options, "sieve_duplicate_default_period", _DAY_S)
    most = seconds(options, "sieve_duplicate_max_period", 7 * _DAY_S)
    return min(default if said_s is None else said_s, most)


DUPLICATE: Final = Extension(
    "duplicate",
    words=(
        Word(
            "duplicate",
            True,
            build_duplicate,
            tags=(
                Tag("handle", takes=Kind.STRING),
                Tag("header", _SOURCE, Kind.STRING),
                Tag("uniqueid", _SOURCE, Kind.STRING),
                Tag("seconds", takes=Kind.NUMBER),
                Tag("last"),
            ),
        ),
    ),
    stages=CONTENT,
)
