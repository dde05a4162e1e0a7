"""Remember for a moment what a table answered, so that the stages of one mail ask it once.

Bounded: the answer that was used least lately leaves. That there is no such key is remembered as well; that the table
did not answer is not.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from columba.common.lookup.base import UNSURE, Peeked, Table

SIZE: Final = 10_000


class CachedTable:
    """A Table before another one."""

    def __init__(
        self, table: Table, ttl_s: float, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._table, self._ttl_s, self._now_s = table, ttl_s, now_s
        self._entries: OrderedDict[str, tuple[str | None, float]] = OrderedDict()

    def peek(self, key: str) -> Peeked:
        """Return an answer that is not too old, else what the table knows at once."""
        entry = self._entries.get(key)
        if entry is not None and entry[1] > self._now_s():
            self._entries.move_to_end(key)
            return entry[0]
        return self._table.peek(key)

    async def get(self, key: str, timeout_s: float) -> str | None:
        """Return the value of a key, None when there is none; raises UnavailableError."""
        known = self.peek(key)
        if known is not UNSURE:
            return known
        value = await self._table.get(key, timeout_s)
        self._entries[key] = value, self._now_s() + self._ttl_s
        self._entries.move_to_end(key)
        while len(self._entries) > SIZE:
            self._entries.popitem(last=False)
        return value

    def close(self) -> None:
        """Close the table."""
        self._table.close()
