"""mboxmetadata and servermetadata (RFC 5490 §4, §5): annotations of mailboxes and of the server.

Pure. Whoever drives the machine answers what an annotation says; one without a value is not there. Of mailboxes it is
known in the route stage, once the script has routed to a Maildir (rfc5490_mailbox.py).
"""

import re
from collections.abc import Callable, Generator, Sequence
from typing import Final

from columba.sieve.core.matching import (
    MATCH_TAGS,
    chosen_comparator,
    chosen_match_type,
    chosen_matcher,
)
from columba.sieve.core.stored import value_of
from columba.sieve.ext.rfc5228_fileinto import mailbox_problem
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.errors import Position
from columba.sieve.lang.stage import CONTENT, PER_RECIPIENT
from columba.sieve.lang.tree import String
from columba.sieve.lang.words import Extension, Kind, Positional, Word
from columba.sieve.run.code import Asked, Code, asking
from columba.sieve.run.requests import Answer, Metadata, Request
from columba.sieve.run.state import Run

# The name of an entry begins with its scope (RFC 5490 §2).
ANNOTATION: Final = re.compile(r"/(?i:private|shared)(?:/[^/*%\x00-\x19\x7f-\U0010ffff]+)+")


def build_value(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5490 §4.1, §5.1: compare the value of one annotation."""
    is_server = bound.word.name == "servermetadata"
    at = 0 if is_server else 1
    mailbox = _mailbox(compiler, bound, is_server)
    entry = bound.string(at)
    _check_annotations(compiler, bound, (entry,))
    name = compiler.text(entry)
    kind = chosen_match_type(bound)
    comparator = chosen_comparator(compiler, bound)
    place = compiler.place(bound.at)
    match = chosen_matcher(compiler, bound, kind, comparator, bound.strings(at + 1))
    if match is None:
        return None

    def run_value(run: Run) -> Asked:
        answer = yield from _asked(run, mailbox(run), name.get(run), place)
        return match(run, () if answer is None else (answer,))

    return asking(run_value)


def build_exists(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5490 §4.2, §5.2: true if all the annotations are there."""
    is_server = bound.word.name == "servermetadataexists"
    nodes = bound.strings(0 if is_server else 1)
    mailbox = _mailbox(compiler, bound, is_server)
    _check_annotations(compiler, bound, nodes)
    names, place = compiler.texts(nodes), compiler.place(bound.at)

    def run_exists(run: Run) -> Asked:
        for name in names:
            if (yield from _asked(run, mailbox(run), name.get(run), place)) is None:
                return False
        return True

    return asking(run_exists)


def _asked(
    run: Run, mailbox: str | None, annotation: str, place: Position
) -> Generator[Request, Answer, str | None]:
    """Return what an annotation says; None for what can't be there, without asking. Mailbox None: the server."""
    if not ANNOTATION.fullmatch(annotation) or (mailbox is not None and mailbox_problem(mailbox)):
        return None
    answer = yield Metadata(mailbox or "", annotation, run.home)
    return value_of(answer, place)


def _mailbox(compiler: Compiler, bound: Bound, is_server: bool) -> Callable[[Run], str | None]:
    """Return what gives the name of the mailbox, None for the server; warns of what can't be one."""
    if is_server:
        return lambda run: None
    node = bound.string(0)
    name = compiler.text(node)
    problem = mailbox_problem(name.constant) if name.constant is not None else ""
    if problem:
        compiler.warn(node.at, f"invalid mailbox name '{name.constant!a:.100}': {problem}")
    return name.get


def _check_annotations(compiler: Compiler, bound: Bound, nodes: Sequence[String]) -> None:
    for node in nodes:
        name = compiler.text(node).constant
        if name is not None and not ANNOTATION.fullmatch(name):
            compiler.warn(node.at, f"'{name[:60]}' is no valid annotation for the {bound.word}")


_MAILBOX: Final = Positional(Kind.STRING, "mailbox")
_NAME: Final = Positional(Kind.STRING, "annotation name")
_NAMES: Final = Positional(Kind.STRINGS, "annotation names")
_KEYS: Final = Positional(Kind.STRINGS, "key list")

MBOXMETADATA: Final = Extension(
    "mboxmetadata",
    words=(
        Word("metadata", True, build_value, (_MAILBOX, _NAME, _KEYS), MATCH_TAGS),
        Word("metadataexists", True, build_exists, (_MAILBOX, _NAMES)),
    ),
    stages=PER_RECIPIENT,
)
SERVERMETADATA: Final = Extension(
    "servermetadata",
    words=(
        Word("servermetadata", True, build_value, (_NAME, _KEYS), MATCH_TAGS),
        Word("servermetadataexists", True, build_exists, (_NAMES,)),
    ),
    stages=CONTENT,
)
