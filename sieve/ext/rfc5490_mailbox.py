"""mailbox (RFC 5490 §3): mailboxexists, and :create for fileinto.

Pure. Whoever drives the machine answers whether a mailbox is there. In the route stage that is known of a Maildir, once
the script has routed to it; into any other route fileinto could not deliver, so there the test is false.
"""

from typing import Final

from columba.sieve.core.stored import value_of
from columba.sieve.ext.rfc5228_fileinto import mailbox_problem
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import PER_RECIPIENT
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import Asked, Code, asking
from columba.sieve.run.requests import MailboxExists
from columba.sieve.run.state import Run


def build_mailboxexists(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5490 §3.1: true if all of them are there, and mail can be delivered to them."""
    names, place = compiler.texts(bound.strings(0)), compiler.place(bound.at)
    for node, name in zip(bound.strings(0), names, strict=True):
        problem = mailbox_problem(name.constant) if name.constant is not None else ""
        if problem:
            compiler.error(node.at, f"invalid mailbox name '{name.constant!a:.100}': {problem}")
            return None

    def run_exists(run: Run) -> Asked:
        for name in names:
            answer = yield MailboxExists(name.get(run), run.home)
            if value_of(answer, place) is None:
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
        ),
    ),
    joins=(("fileinto", (Tag("create"),)),),
    stages=PER_RECIPIENT,
)
