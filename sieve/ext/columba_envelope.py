"""vnd.columba.envelope: change who sends and who receives. docs/sieve/vnd.columba.envelope.md.

Pure. The envelope that tests see stays as the client said it: what is changed here holds from the end of the script on.
"""

from collections.abc import Callable, Sequence
from typing import Final

from columba.sieve.core.actions import add_action, target_address
from columba.sieve.core.matching import (
    ADDRESS_TAGS,
    MATCH_TAGS,
    chosen_address_part,
    chosen_comparator,
    chosen_match_type,
    chosen_matcher,
    value_test,
)
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.errors import Position
from columba.sieve.lang.stage import Stage
from columba.sieve.lang.words import Extension, Kind, Positional, Word
from columba.sieve.run.actions import AddRecipient, RemoveRecipient, SetRecipient, SetSender
from columba.sieve.run.code import GO, Code, plain
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text

_SENDER: Final = frozenset({Stage.MAIL, Stage.DATA, Stage.ROUTE, Stage.DELIVERY})
_ONE: Final = frozenset({Stage.RCPT, Stage.DELIVERY})
_ADD: Final = frozenset({Stage.RCPT, Stage.DATA, Stage.DELIVERY})
_REMOVE: Final = frozenset({Stage.DATA, Stage.DELIVERY})
_ORIGINAL: Final = frozenset({Stage.RCPT, Stage.ROUTE, Stage.RETRY, Stage.BOUNCE, Stage.DELIVERY})


def build_set_sender(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `set_sender`; an empty text is the null sender."""
    return _with_address(compiler, bound, SetSender, lambda t: target_address(t) if t else "")


def build_set_recipient(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `set_recipient`."""
    return _with_address(compiler, bound, SetRecipient, target_address)


def build_add_recipient(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `add_recipient`."""
    return _with_address(compiler, bound, AddRecipient, target_address)


def build_remove_recipient(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `remove_recipient`: all recipients that match."""
    comparator, kind = chosen_comparator(compiler, bound), chosen_match_type(bound)
    part, place = chosen_address_part(bound), compiler.place(bound.at)
    match = chosen_matcher(compiler, bound, kind, comparator, bound.strings(0), captures=False)
    if match is None:
        return None

    def run_remove(run: Run) -> int:
        for path in run.envelope.recipients:
            value = part.take(path.local, path.domain, run.limits.delimiters)
            if value is not None and match(run, (value,)):
                add_action(run, RemoveRecipient(str(path)), place)
        return GO

    return plain(run_remove)


def build_original(compiler: Compiler, bound: Bound) -> Code | None:
    """Build the test `original_recipient`: what the client's RCPT said, before aliases and rewriting."""
    part = chosen_address_part(bound)

    def values(run: Run) -> Sequence[str]:
        path = run.envelope.original
        value = part.take(path.local, path.domain, run.limits.delimiters) if path else None
        return () if value is None else (value,)

    return value_test(compiler, bound, values, bound.strings(0))


Made = SetSender | SetRecipient | AddRecipient


def _with_address(
    compiler: Compiler,
    bound: Bound,
    make: Callable[[str], Made],
    read: Callable[[str], str | None],
) -> Code | None:
    """Return the code of a command that takes addresses; constant ones are checked now."""
    place, texts = compiler.place(bound.at), compiler.texts(bound.strings(0))
    for node, text in zip(bound.strings(0), texts, strict=True):
        if text.constant is not None and read(text.constant) is None:
            compiler.error(node.at, _wrong(bound.word.name, text.constant))
            return None
    word = bound.word.name

    def run_addresses(run: Run) -> int:
        for text in texts:
            add_action(run, make(_checked(run, text, read, word, place)), place)
        return GO

    return plain(run_addresses)


def _checked(
    run: Run, text: Text, read: Callable[[str], str | None], word: str, place: Position
) -> str:
    value = text.get(run)
    address = read(value)
    if address is None:
        raise ScriptFailure(_wrong(word, value), place)
    return address


def _wrong(word: str, text: str) -> str:
    return f"{word} takes an address of the form local@domain, but got {text!a:.100}"


_KEYS: Final = (Positional(Kind.STRINGS, "key list"),)
_ADDRESSES: Final = (Positional(Kind.STRINGS, "addresses"),)
_TAGS: Final = MATCH_TAGS + ADDRESS_TAGS

ENVELOPE_CHANGES: Final = Extension(
    "vnd.columba.envelope",
    words=(
        Word(
            "set_sender",
            False,
            build_set_sender,
            (Positional(Kind.STRING, "address"),),
            stages=_SENDER,
        ),
        Word(
            "set_recipient",
            False,
            build_set_recipient,
            (Positional(Kind.STRING, "address"),),
            stages=_ONE,
        ),
        Word("add_recipient", False, build_add_recipient, _ADDRESSES, stages=_ADD),
        Word("remove_recipient", False, build_remove_recipient, _KEYS, _TAGS, stages=_REMOVE),
        Word("original_recipient", True, build_original, _KEYS, _TAGS, stages=_ORIGINAL),
    ),
)
