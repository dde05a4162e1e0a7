"""vnd.dovecot.report: send a report about the message to someone (RFC 5965).

Pure. run/report.py writes it.
"""

import re
from typing import Final

from columba.sieve.core.actions import add_action, target_address
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import CONTENT
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.actions import SendReport
from columba.sieve.run.code import Code, plain
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.state import Run
from columba.sieve.run.values import clean

_TYPE: Final = re.compile(r"[!#$%&'*+.^_`{|}~0-9A-Za-z-]{1,64}")


def build_report(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `report`."""
    kind, text, target = (compiler.text(bound.string(i)) for i in range(3))
    place, is_short = compiler.place(bound.at), bound.has("headers_only")
    for at, known, check in ((0, kind.constant, wrong_type), (2, target.constant, wrong_address)):
        wrong = check(known) if known is not None else ""
        if wrong:
            compiler.error(bound.string(at).at, wrong)
            return None

    def run_report(run: Run) -> int:
        feedback, address = kind.get(run), target.get(run)
        wrong = wrong_type(feedback) or wrong_address(address)
        if wrong:
            raise ScriptFailure(wrong, place)
        plainest = target_address(address) or ""
        action = SendReport(feedback, clean(text.get(run)), plainest, is_short)
        return add_action(run, action, place)

    return plain(run_report)


def wrong_type(kind: str) -> str:
    """Return what is wrong with a type of feedback, or ""."""
    return "" if _TYPE.fullmatch(kind) else f"invalid feedback type '{clean(kind)[:60]}'"


def wrong_address(address: str) -> str:
    """Return what is wrong with the address of a report, or ""."""
    return "" if target_address(address) else f"invalid report address '{clean(address)[:100]}'"


REPORT: Final = Extension(
    "vnd.dovecot.report",
    words=(
        Word(
            "report",
            False,
            build_report,
            (
                Positional(Kind.STRING, "feedback type"),
                Positional(Kind.STRING, "message"),
                Positional(Kind.STRING, "address"),
            ),
            (Tag("headers_only"),),
        ),
    ),
    stages=CONTENT,
)
