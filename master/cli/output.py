"""Show rows as Dovecot's tools do: table, flow, tab, json.

Pure: rows go in, text comes out. Numbers and truth values stay such in JSON; an empty cell of a table is `-`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

Cell = str | int | float | bool | list[str] | None
Row = Mapping[str, Cell]
FORMATS: Final = ("table", "flow", "tab", "json")
_CONTROL: Final = re.compile(  # C0, C1, and what turns the direction of a line: strangers write these into addresses
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
WIDTH_ROWS: Final = 100  # widths are taken from so many rows


def render(rows: Sequence[Row], form: str, columns: Sequence[str] = (), titles: bool = True) -> str:
    """Return the text of rows; `columns` names which and in which order, else those of the rows."""
    keys = list(columns) or list(dict.fromkeys(key for row in rows for key in row))
    match form:
        case "json":
            return json.dumps([{key: row.get(key) for key in keys} for row in rows]) + "\n"
        case "tab":
            lines = ["\t".join(keys)] if titles and keys else []
            lines += ["\t".join(_text(row.get(key)) for key in keys) for row in rows]
        case "flow":
            lines = [" ".join(f"{key}={_text(row.get(key))}" for key in keys) for row in rows]
        case _:
            lines = _table(rows, keys, titles)
    return "".join(line + "\n" for line in lines)


def render_pages(
    pages: Iterable[Sequence[Row]], form: str, columns: Sequence[str] = (), titles: bool = True
) -> Iterator[str]:
    """Yield the text of rows that come in pages; a table's widths are those of its first page."""
    if form == "json":
        yield from _json_pages(pages, columns)
        return
    keys, layout = list(columns), Layout()
    is_first = True
    for rows in pages:
        keys = keys or list(dict.fromkeys(key for row in rows for key in row))
        if form == "table":
            yield "".join(f"{line}\n" for line in _table(rows, keys, titles and is_first, layout))
        else:
            yield render(rows, form, keys, titles and is_first)
        is_first = is_first and not rows


def _json_pages(pages: Iterable[Sequence[Row]], columns: Sequence[str]) -> Iterator[str]:
    """Yield one JSON array."""
    before = "["
    for row in (row for rows in pages for row in rows):
        yield before + json.dumps({key: row.get(key) for key in columns or row})
        before = ", "
    yield "[]\n" if before == "[" else "]\n"


@dataclass(slots=True)
class Layout:
    """The widths of a table, and which of its columns stand right, once they are known."""

    widths: list[int] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)


def _table(
    rows: Sequence[Row], keys: Sequence[str], titles: bool, layout: Layout | None = None
) -> list[str]:
    cells = [[_text(row.get(key)) or "-" for key in keys] for row in rows]
    head = [list(keys)] if titles and keys else []
    layout = layout or Layout()
    if not layout.widths and (rows or head):
        measured = [*head, *cells[:WIDTH_ROWS]]
        layout.widths = [
            max((len(line[at]) for line in measured), default=0) for at in range(len(keys))
        ]
        layout.right = [
            bool(rows) and all(_is_number(row.get(key)) for row in rows[:WIDTH_ROWS])
            for key in keys
        ]
    return [_line(line, layout.widths, layout.right) for line in [*head, *cells]]


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        cell.rjust(width) if is_right else cell.ljust(width)
        for cell, width, is_right in zip(cells, widths, right, strict=True)
    ]
    return " ".join(padded).rstrip()


def _is_number(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, list):
        cell = " ".join(cell)
    return _CONTROL.sub("\ufffd", str(cell).replace("\n", "\\n").replace("\t", " "))
