"""What every dict offers: values that scripts set and count, each with its time to live.

Pure: a protocol. A dict that can't answer raises UnavailableError: a value that could not be read is never taken for a
missing one. Keys and values are text; a number is its decimal text, of at most NUMBER_MAX characters. Times to live are
whole seconds, 0 is for ever. What has expired is not there.

`commit` is how lasting effects of a script are done (promises: Effects of scripts): all changes and the mark in one
step, or nothing; a mark that was seen before leaves everything as it is. So a commit whose answer was lost can be
made again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

KEY_MAX: Final = 1024  # characters
VALUE_MAX: Final = 64 * 1024  # characters
NUMBER_MAX: Final = 18  # characters, a sign included: what every store can add to
MARK_S: Final = 7 * 86400  # how long a mark is remembered: longer than a queue keeps a mail


@dataclass(frozen=True, slots=True)
class Put:
    """Set a value."""

    key: str
    value: str
    expires_s: int = 0


@dataclass(frozen=True, slots=True)
class Add:
    """Add to a number, which is 0 if it is not there or is none. expires_s counts from when it came into being."""

    key: str
    amount: int
    expires_s: int = 0


@dataclass(frozen=True, slots=True)
class Drop:
    """Remove a value, if it is there."""

    key: str


Change = Put | Add | Drop


class Dict(Protocol):
    """Reads and writes values. All methods raise UnavailableError after timeout_s at the latest."""

    async def get(self, key: str, timeout_s: float) -> str | None:
        """Return a value, None when there is none."""
        ...

    async def set(self, key: str, value: str, timeout_s: float, expires_s: int = 0) -> None:
        """Set a value."""
        ...

    async def set_new(self, key: str, value: str, timeout_s: float, expires_s: int = 0) -> str:
        """Set a value unless there is one; return the one that is there now. One step for all who ask."""
        ...

    async def increment(self, key: str, amount: int, timeout_s: float, expires_s: int = 0) -> int:
        """Add to a number and return it."""
        ...

    async def delete(self, key: str, timeout_s: float) -> None:
        """Remove a value, if it is there."""
        ...

    async def commit(self, mark: str, changes: Sequence[Change], timeout_s: float) -> bool:
        """Do all the changes in one step unless the mark was seen before; tell whether they were done now."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def number(value: str | None) -> int:
    """Return the number that a value is, 0 if it is none."""
    text = value or ""
    digits = text.removeprefix("-")
    is_number = len(text) <= NUMBER_MAX and digits.isascii() and digits.isdecimal()
    return int(text) if is_number else 0
