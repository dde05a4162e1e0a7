"""A readable form of what a script was compiled to: each word with its arguments, and what is known of it.

Pure. What is statically dead was not compiled, so it is not listed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from columba.sieve.lang.binding import Bound, BoundTag
from columba.sieve.lang.errors import Position
from columba.sieve.lang.tree import Argument, Number, String, StringList
from columba.sieve.run.code import Code

SHOWN: Final = 72  # characters of a string


@dataclass(slots=True)
class Listed:
    """One word of a script; depth counts the words around it. code None: it does nothing when the script runs."""

    place: Position
    depth: int
    bound: Bound
    code: Code | None = None


def listing_lines(listed: Sequence[Listed]) -> Iterator[str]:
    """Yield a line for each word: its line in the script, the word, and in brackets what is known of it."""
    for each in listed:
        note = _note(each.code)
        said = f"{'  ' * each.depth}{_written(each.bound)}"
        yield f"{each.place.line:5}  {said}{f'   ({note})' if note else ''}"


def _note(code: Code | None) -> str:
    if code is None:
        return ""
    known = [] if code.constant is None else [f"always {str(code.constant).lower()}"]
    if code.asking is not None:
        known.append("asks")
    return ", ".join(known)


def _written(bound: Bound) -> str:
    tags = [_tag(tag) for tag in bound.tags.values()]
    takes = {tag.name for tag in bound.word.tags}
    if "is" in takes and bound.in_group("match type") is None:
        tags.append(":is")
    if "comparator" in takes and not bound.has("comparator"):
        tags.append(':comparator "i;ascii-casemap"')
    values = [_value(argument) for argument in bound.positional if argument is not None]
    return " ".join([bound.word.name, *tags, *values])


def _tag(tag: BoundTag) -> str:
    name = f":{tag.tag.name}"
    return name if tag.parameter is None else f"{name} {_value(tag.parameter)}"


def _value(argument: Argument) -> str:
    match argument:
        case Number(value=value):
            return str(value)
        case String(value=value):
            return _quoted(value)
        case StringList(items=items):
            return f"[{', '.join(_quoted(item.value) for item in items)}]"
        case _:
            return ""


def _quoted(value: str) -> str:
    shown = value if len(value) <= SHOWN else value[:SHOWN] + "…"
    shown = shown.replace("\\", "\\\\").replace('"', '\\"').replace("\r\n", "⏎")
    return '"' + "".join(c if c.isprintable() else "·" for c in shown) + '"'
