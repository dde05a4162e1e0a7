"""mailbox (RFC 5490 §3): mailboxexists, and :create for fileinto.

Pure. Whoever drives the machine answers whether a mailbox is there; the service can't, for stores belong to delivery.
"""

from typing import Final

from columba.sieve.ext.rfc5228_fileinto import mailbox_problem
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import PER_RECIPIENT, TESTER
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import Asked, Code, asking
from columba.sieve.run.requests import Found, MailboxExists
from columba.sieve.run.state import Run


def build_mailboxexists(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5490 §3.1: true if all of them are there, and mail can be delivered to them."""
    names = compiler.texts(bound.strings(0))
    for node, name in zip(bound.strings(0), names, strict=True):
        problem = mailbox_problem(name.constant) if name.constant is not None else ""
        if problem:
            compiler.error(node.at, f"invalid mailbox name '{name.constant!a:.100}': {problem}")
            return None

    def run_exists(run: Run) -> Asked:
        for name in names:
            answer = yield MailboxExists(name.get(run))
            if not isinstance(answer, Found):
                return False
        return True

    return asking(run_exists)


MAILBOX: Final = Extension(
    "mailbox",
    words=(
        Word(
            "mailboxexists",
            True,
            build_mailboxexists,
            (Positional(Kind.STRINGS, "mailbox names"),),
            stages=TESTER,
        ),
    ),
    joins=(("fileinto", (Tag("create"),)),),
    stages=PER_RECIPIENT,
)
