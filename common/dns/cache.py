"""Answers that are still good, bounded in number.

Pure: the time is an argument. The least used answer leaves first. Failures are kept for a few seconds only, so
that a broken zone is not asked once per message (RFC 2308 §7.1 allows up to five minutes).
"""

from collections import OrderedDict
from typing import Final

from columba.common.dns.resolver import Answer, RecordType, Status

FAILURE_S: Final = 5
LONGEST_S: Final = 86400  # RFC 8767 §4: a cap, whatever the record says
Key = tuple[str, RecordType]


class Cache:
    """Answers by name (lower case) and type."""

    __slots__ = ("_entries", "_size")

    def __init__(self, size: int) -> None:
        """Hold at most `size` answers."""
        self._entries: OrderedDict[Key, tuple[int, Answer]] = OrderedDict()
        self._size = size

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key, now_ns: int) -> Answer | None:
        """Return an answer whose time is not over, else None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= now_ns:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: Key, answer: Answer, now_ns: int) -> None:
        """Remember an answer for its ttl; a timeout is not remembered."""
        if answer.status is Status.TIMEOUT:
            return
        ttl_s = FAILURE_S if answer.status is Status.FAILED else min(answer.ttl_s, LONGEST_S)
        if ttl_s <= 0:
            return
        self._entries[key] = (now_ns + ttl_s * 1_000_000_000, answer)
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)
