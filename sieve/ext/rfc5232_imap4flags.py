"""imap4flags (RFC 5232): setflag, addflag, removeflag, hasflag, and :flags for what stores.

Pure. core/actions.py reads :flags.
"""

from collections.abc import Callable, Sequence
from typing import Final

from columba.sieve.core.matching import (
    MATCH_TAGS,
    Values,
    chosen_comparator,
    chosen_match_type,
    value_test,
)
from columba.sieve.ext.rfc5229_variables import fetch, store, variable_name
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import PER_RECIPIENT
from columba.sieve.lang.tree import String
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import GO, Code, plain
from columba.sieve.run.flags import internal_flags, split_flags
from columba.sieve.run.state import Run

Change = Callable[[tuple[str, ...], tuple[str, ...]], tuple[str, ...]]


def _set(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return new


def _add(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return split_flags((*old, *new))


def _remove(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    gone = {flag.lower() for flag in new}
    return tuple(flag for flag in old if flag.lower() not in gone)


_CHANGES: Final[dict[str, Change]] = {"setflag": _set, "addflag": _add, "removeflag": _remove}


def build_change(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5232 §3; the variable may be left out, then the internal one is meant."""
    name = _variables(compiler, bound)
    if name is None:
        return None
    flags, place = compiler.texts(bound.strings(1)), compiler.place(bound.at)
    change = _CHANGES[bound.word.name]

    def run_change(run: Run) -> int:
        new = split_flags(flag.get(run) for flag in flags)
        if not name:
            run.result.flags = change(internal_flags(run), new)
        else:
            old = split_flags((fetch(run, name[0]),))
            store(run, name[0], " ".join(change(old, new)), place)
        return GO

    return plain(run_change)


def build_hasflag(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5232 §4: each flag is a value of its own."""
    names = _variables(compiler, bound)
    if names is None:
        return None

    def values(run: Run) -> Sequence[str]:
        if not names:
            return internal_flags(run)
        return split_flags(fetch(run, name) for name in names)

    if chosen_match_type(bound).name == "is":
        return _is_one_of(compiler, bound, values)
    keys = bound.strings(1)
    if chosen_match_type(bound).name == "contains":
        keys = _single_flags(keys)
    return value_test(compiler, bound, values, keys)


def _single_flags(nodes: tuple[String, ...]) -> tuple[String, ...]:
    """RFC 5232 §2: a key of several flags is the same as several keys."""
    found: list[String] = []
    for node in nodes:
        if "${" in node.value:
            found.append(node)
        else:
            found += [String(flag, node.at) for flag in node.value.split()]
    return tuple(found)


def _is_one_of(compiler: Compiler, bound: Bound, values: Values) -> Code | None:
    """RFC 5232 §2: as a key, too, "\\Seen \\Draft" is the same as the list of both."""
    comparator, keys = chosen_comparator(compiler, bound), compiler.texts(bound.strings(1))
    if comparator is None:
        return None
    fold = comparator.fold

    def run_is(run: Run) -> int:
        wanted = {fold(flag) for key in keys for flag in key.get(run).split()}
        return any(fold(value) in wanted for value in values(run))

    return plain(run_is)


def _variables(compiler: Compiler, bound: Bound) -> list[str] | None:
    """Return the names of the variables that stand, none for the internal one; None after an error."""
    nodes = bound.strings(0)
    if nodes and "variables" not in compiler.required:
        text = f"a variable name for the {bound.word} requires the extension 'variables'"
        compiler.error(nodes[0].at, text)
        return None
    names = [variable_name(compiler, node) for node in nodes]
    known = [name for name in names if name is not None]
    return known if len(known) == len(names) else None


_FLAGS: Final = Positional(Kind.STRINGS, "list of flags")
_TAGS: Final = (Tag("flags", takes=Kind.STRINGS),)


def _word(name: str) -> Word:
    positional = (Positional(Kind.STRING, "variable name"), _FLAGS)
    return Word(name, False, build_change, positional, optional_first=1)


IMAP4FLAGS: Final = Extension(
    "imap4flags",
    words=(
        *(_word(name) for name in _CHANGES),
        Word(
            "hasflag",
            True,
            build_hasflag,
            (Positional(Kind.STRINGS, "variable names"), _FLAGS),
            MATCH_TAGS,
            optional_first=1,
        ),
    ),
    joins=(("keep", _TAGS), ("fileinto", _TAGS)),
    stages=PER_RECIPIENT,
)
