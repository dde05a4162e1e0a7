"""fileinto (RFC 5228 §4.1). It belongs to one recipient, so it compiles in route, not in data.

Pure.
"""

import re
from typing import Final

from columba.sieve.core.actions import add_action, chosen_flags
from columba.sieve.ext.rfc8579_special_use import is_use
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import PER_RECIPIENT
from columba.sieve.lang.words import Extension, Kind, Positional, Word
from columba.sieve.run.actions import FileInto
from columba.sieve.run.code import Code, plain
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.state import Run

MAILBOX_NAME_BYTES: Final = 1024
# Surrogates stand for octets that are no UTF-8.
_ILLEGAL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def mailbox_problem(name: str) -> str:
    """Return what is wrong with the name of a mailbox, or "". It must be UTF-8 without controls."""
    if not name:
        return "it is empty"
    if _ILLEGAL.search(name):
        return "it is not valid UTF-8 or holds control characters"
    return "it is too long" if len(name.encode("utf-8")) > MAILBOX_NAME_BYTES else ""


def build_fileinto(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §4.1; RFC 3894 adds :copy."""
    node, place = bound.string(0), compiler.place(bound.at)
    name, is_copy = compiler.text(node), bound.has("copy")
    flags, creates = chosen_flags(compiler, bound), bound.has("create")
    use_node = bound.parameter("specialuse")
    special_use = compiler.text(use_node) if use_node is not None else None
    problem = mailbox_problem(name.constant) if name.constant is not None else ""
    if problem:
        compiler.error(node.at, f"invalid mailbox name '{name.constant!a:.100}': {problem}")
        return None
    if not is_use(compiler, use_node, special_use):
        return None

    def run_fileinto(run: Run) -> int:
        mailbox = name.get(run)
        if problem := mailbox_problem(mailbox):
            raise ScriptFailure(f"invalid folder name {mailbox!a:.100}: {problem}", place)
        use = special_use.get(run) if special_use is not None else ""
        action = FileInto(mailbox, is_copy, flags(run), creates, use)
        return add_action(run, action, place)

    return plain(run_fileinto)


FILEINTO: Final = Extension(
    "fileinto",
    words=(
        Word(
            "fileinto",
            False,
            build_fileinto,
            (Positional(Kind.STRING, "mailbox"),),
            stages=PER_RECIPIENT,
        ),
    ),
)
