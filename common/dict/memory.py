"""The dict in this process' memory: `memory:`. What it holds ends with the process, and no other process sees it.

For tests, and for counts of which each process may keep its own. Bounded: past `limit` values, those that were
set first leave.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from columba.common.dict.base import MARK_S, Add, Change, Put, number

LIMIT: Final = 100_000
MARKS: Final = "\0mark/"


class MemoryDict:
    """A dict of the standard library with times to live."""

    def __init__(self, limit: int = LIMIT, now_s: Callable[[], float] = time.time) -> None:
        self._entries: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._limit, self._now_s = limit, now_s

    async def get(self, key: str, timeout_s: float) -> str | None:
        """Return a value, None when there is none."""
        return self.find(key)

    async def set(self, key: str, value: str, timeout_s: float, expires_s: int = 0) -> None:
        """Set a value."""
        self.apply(Put(key, value, expires_s))

    async def set_new(self, key: str, value: str, timeout_s: float, expires_s: int = 0) -> str:
        """Set a value unless there is one; return the one that is there now."""
        known = self.find(key)
        if known is None:
            self.apply(Put(key, value, expires_s))
        return value if known is None else known

    async def increment(self, key: str, amount: int, timeout_s: float, expires_s: int = 0) -> int:
        """Add to a number and return it."""
        self.apply(Add(key, amount, expires_s))
        return number(self.find(key))

    async def delete(self, key: str, timeout_s: float) -> None:
        """Remove a value, if it is there."""
        self._entries.pop(key, None)

    async def commit(self, mark: str, changes: Sequence[Change], timeout_s: float) -> bool:
        """Do all the changes unless the mark was seen before."""
        if self.find(MARKS + mark) is not None:
            return False
        for change in changes:
            self.apply(change)
        self.apply(Put(MARKS + mark, "", MARK_S))
        return True

    def close(self) -> None:
        """Hold nothing."""

    def find(self, key: str) -> str | None:
        """Return a value that has not expired."""
        value, until_s = self._entries.get(key, ("", -1.0))
        if until_s < 0 or (until_s and until_s <= self._now_s()):
            return None
        return value

    def apply(self, change: Change) -> None:
        """Do one change."""
        match change:
            case Put(key, value, expires_s):
                self._put(key, value, self._now_s() + expires_s if expires_s else 0.0)
            case Add(key, amount, expires_s):
                known = self.find(key)
                until_s = self._now_s() + expires_s if expires_s else 0.0
                if known is not None:
                    until_s = self._entries[key][1]
                self._put(key, str(number(known) + amount), until_s)
            case _:
                self._entries.pop(change.key, None)

    def _put(self, key: str, value: str, until_s: float) -> None:
        self._entries[key] = value, until_s
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)
