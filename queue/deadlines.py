"""What must be looked at by a certain time, whatever delivery does: expiry and notices of delay.

Pure. Names stand in buckets of ten seconds; an item keeps the number of its bucket, shared with all others of
the bucket, so that a million of them cost a few octets each. A name may stand in a bucket where it is no longer
wanted: whoever takes it looks.
"""

import heapq
from typing import Final

BUCKET_S: Final = 10
NEVER: Final = -1


class Deadlines:
    """The buckets."""

    def __init__(self) -> None:
        self._names: dict[int, list[str]] = {}
        self._order: list[int] = []
        self._shared: dict[int, int] = {}

    def bucket(self, at_s: float) -> int:
        """Return the number of the bucket of an instant: not before it; NEVER for none (0 or less)."""
        if at_s <= 0:
            return NEVER
        number = int(at_s // BUCKET_S) + 1
        return self._shared.setdefault(number, number)

    def add(self, name: str, bucket: int) -> None:
        """Have a name looked at when its bucket is over."""
        if bucket == NEVER:
            return
        names = self._names.get(bucket)
        if names is None:
            names = self._names[bucket] = []
            heapq.heappush(self._order, bucket)
        names.append(name)

    def over(self, now_s: float, most: int) -> list[tuple[int, str]]:
        """Return (bucket, name) of up to so many whose bucket is over, and forget them here."""
        found: list[tuple[int, str]] = []
        while self._order and self._order[0] * BUCKET_S <= now_s and len(found) < most:
            bucket = self._order[0]
            names = self._names[bucket]
            while names and len(found) < most:
                found.append((bucket, names.pop()))
            if not names:
                heapq.heappop(self._order)
                del self._names[bucket]
                self._shared.pop(bucket, None)
        return found
