"""What people see of HTML, without its markup.

Pure. One pass from left to right: the time is linear in the text, however broken it is.
"""

import html
import re
from typing import Final

from columba.sieve.run.compare import fold_ascii

_TAG: Final = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]{0,20})|<[!?]")
# The title is text as well: RFC 5173 §5.3 takes out the markup alone.
_HIDDEN: Final = frozenset({"script", "style"})
# What begins a new line for who reads it.
_BLOCKS: Final = frozenset(
    {"p", "br", "div", "tr", "td", "th", "li", "table", "blockquote", "pre", "hr"}
    | {f"h{n}" for n in range(1, 7)}
)


def visible_text(text: str) -> str:
    """Return the text between the tags; entities are decoded."""
    pieces: list[str] = []
    folded = fold_ascii(text)
    at = 0
    while (start := text.find("<", at)) >= 0:
        pieces.append(text[at:start])
        tag = _TAG.match(text, start)
        if tag is None:
            pieces.append("<")
            at = start + 1
            continue
        name = (tag[2] or "").lower()
        if name in _BLOCKS:
            pieces.append("\r\n")
        at = _behind(folded, start, name if not tag[1] else "")
    pieces.append(text[at:])
    return html.unescape("".join(pieces))


def _behind(folded: str, start: int, name: str) -> int:
    """Return where the text goes on behind a tag, a comment, or an element that is not shown."""
    if folded.startswith("<!--", start):
        return _after(folded, "-->", start + 4)
    at = _after(folded, ">", start)
    if name in _HIDDEN:
        return _after(folded, ">", _after(folded, f"</{name}", at))
    return at


def _after(text: str, mark: str, at: int) -> int:
    """Return the place behind the next mark, the end of the text if there is none."""
    found = text.find(mark, at)
    return len(text) if found < 0 else found + len(mark)
