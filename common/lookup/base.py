"""What every look-up table offers.

Pure: a protocol. A table that can't answer raises UnavailableError: never "not found". What a table has in memory it
tells at once, by `peek`, so that a script that asks it is not suspended.
"""

from enum import Enum
from typing import Final, Literal, Protocol

VALUE_MAX: Final = 64 * 1024  # characters of a value that a server may answer
JOINT: Final = ", "  # between the values of a key that has several


class Unsure(Enum):
    """What `peek` says when only `get` can tell."""

    UNSURE = "unsure"


UNSURE: Final = Unsure.UNSURE
Peeked = str | None | Literal[Unsure.UNSURE]


class Table(Protocol):
    """Finds the value of a key."""

    def peek(self, key: str) -> Peeked:
        """Return what get would return, if that is known without waiting, else UNSURE. Raises UnavailableError."""
        ...

    async def get(self, key: str, timeout_s: float) -> str | None:
        """Return the value, "" for a key without one, None when there is no such key. Raises UnavailableError."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
