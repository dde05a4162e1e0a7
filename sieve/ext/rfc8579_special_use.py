"""special-use (RFC 8579): specialuse_exists, and :specialuse for fileinto.

Pure. Whoever drives the machine answers which mailbox has a use (rfc5490_mailbox.py).
"""

import re
from typing import Final

from columba.sieve.core.stored import value_of
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import PER_RECIPIENT
from columba.sieve.lang.tree import String
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import Asked, Code, asking
from columba.sieve.run.requests import SpecialUse
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text

# RFC 8579 §2: an IMAP flag with a backslash.
USE: Final = re.compile(r"\\[^\x00-\x20\x7f-\U0010ffff(){%*\"\\\]]+")


def is_use(compiler: Compiler, node: String | None, text: Text | None) -> bool:
    """Tell whether a special-use flag can be one, as far as that is known; notes the error."""
    if node is None or text is None or text.constant is None or USE.fullmatch(text.constant):
        return True
    compiler.error(node.at, f"'{text.constant[:60]}' is no special-use flag")
    return False


def build_exists(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 8579 §3: with a mailbox, it must have all the uses."""
    place = compiler.place(bound.at)
    mailbox_node = bound.positional[0]
    mailbox = compiler.text(bound.string(0)) if mailbox_node is not None else None
    uses = compiler.texts(bound.strings(1))
    for node, use in zip(bound.strings(1), uses, strict=True):
        if not is_use(compiler, node, use):
            return None

    def run_exists(run: Run) -> Asked:
        where = mailbox.get(run) if mailbox is not None else ""
        for use in uses:
            answer = yield SpecialUse(use.get(run), where, run.home)
            if value_of(answer, place) is None:
                return False
        return True

    return asking(run_exists)


SPECIAL_USE: Final = Extension(
    "special-use",
    words=(
        Word(
            "specialuse_exists",
            True,
            build_exists,
            (Positional(Kind.STRING, "mailbox"), Positional(Kind.STRINGS, "special-use flags")),
            optional_first=1,
        ),
    ),
    joins=(("fileinto", (Tag("specialuse", takes=Kind.STRING),)),),
    stages=PER_RECIPIENT,
)
