"""Strings of a script that may hold variables.

Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass

from columba.sieve.run.state import Run


@dataclass(frozen=True, slots=True)
class Text:
    """A string; constant is its value if that is known when the script is compiled, else None."""

    get: Callable[[Run], str]
    constant: str | None = None


def constant_text(value: str) -> Text:
    """Make a Text without variables."""
    return Text(lambda run: value, value)


def clean(text: str) -> str:
    """Return text that can leave the engine: octets that are no UTF-8 become U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def truncate(text: str, limit_bytes: int) -> str:
    """Return as much of the text as fits into that many octets of UTF-8, never half a character."""
    if len(text) * 4 <= limit_bytes:
        return text
    octets = text.encode("utf-8", "surrogateescape")
    if len(octets) <= limit_bytes:
        return text
    cut = octets[:limit_bytes]
    while cut and octets[len(cut)] & 0xC0 == 0x80:
        cut = cut[:-1]
    return cut.decode("utf-8", "surrogateescape")
