"""What every look-up table offers.

A table that can't answer raises UnavailableError: never "not found".
"""

from typing import Protocol


class Table(Protocol):
    """Finds the value of a key."""

    async def get(self, key: str, timeout_s: float) -> str | None:
        """Return the value, "" for a key without one, None when there is no such key."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
