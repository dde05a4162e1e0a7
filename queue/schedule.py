"""Which message is tried next.

Pure: names and times go in, the names to begin now come out. Due times stand in one heap; what is due but
may not begin, because its destination has its share in flight, waits in its destination's line, so that a
destination with a hundred thousand messages delays nobody else's one. Memory is what counts here: an entry is
one tuple, one string and one slot of a dict. Messages whose destination is not known yet ("") share no line.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

_Item = tuple[float, str, str]  # due time (wall clock, seconds), name, destination
_SLACK: Final = 64  # dead items of the heap that are not worth a rebuild


@dataclass(slots=True)
class _Line:
    """One destination: how many are in flight, and who waits."""

    flying: int = 0
    waiting: deque[_Item] = field(default_factory=deque)


class Schedule:
    """All messages of this process that are to be tried again, and those being tried."""

    def __init__(self, in_flight: int, per_destination: int) -> None:
        self._limit, self._share = in_flight, per_destination
        self._heap: list[_Item] = []
        self._items: dict[str, _Item] = {}
        self._lines: dict[str, _Line] = {}
        self._flying: dict[str, str] = {}
        self._again: set[str] = set()

    def __len__(self) -> int:
        """Return how many messages are known, those in flight included."""
        return len(self._items) + len(self._flying)

    def __contains__(self, name: str) -> bool:
        """Tell whether this message is known."""
        return name in self._items or name in self._flying

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all known messages."""
        yield from list(self._items)
        yield from list(self._flying)

    @property
    def in_flight(self) -> int:
        """Return how many messages are being tried."""
        return len(self._flying)

    @property
    def is_full(self) -> bool:
        """Tell whether no more messages may be begun now."""
        return len(self._flying) >= self._limit

    def is_flying(self, name: str) -> bool:
        """Tell whether this message is being tried."""
        return name in self._flying

    def add(self, name: str, due_s: float, destination: str) -> None:
        """Plan a message, or plan it anew; of one in flight it is noted that it has changed."""
        if name in self._flying:
            self._again.add(name)
            return
        item = (due_s, name, destination)
        self._items[name] = item
        heapq.heappush(self._heap, item)
        self._tidy()

    def remove(self, name: str) -> None:
        """Forget a message that is not in flight."""
        self._items.pop(name, None)
        self._tidy()

    def remove_all(self, keep: Callable[[str], bool]) -> None:
        """Forget all messages but those to keep, in flight or not."""
        for name in [name for name in self._items if not keep(name)]:
            del self._items[name]
        for name in [name for name in self._flying if not keep(name)]:
            self.done(name)
        self._tidy()

    def begin(self, now_s: float) -> list[str]:
        """Return the names to try now, and count them as in flight."""
        begun: list[str] = []
        for destination, line in list(self._lines.items()):
            while line.waiting and self._has_room(destination):
                self._start(line.waiting.popleft(), begun)
        while self._heap and self._heap[0][0] <= now_s and len(self._flying) < self._limit:
            item = heapq.heappop(self._heap)
            if self._items.get(item[1]) is not item:
                continue
            if self._has_room(item[2]):
                self._start(item, begun)
            else:
                self._line(item[2]).waiting.append(item)
        return begun

    def done(self, name: str) -> bool:
        """Say that the try of this message is over; it is forgotten until it is added again.

        Returns whether somebody wanted to plan it meanwhile, so that it must be looked at at once.
        """
        destination = self._flying.pop(name, None)
        if destination is None:
            return False
        line = self._lines[destination]
        line.flying -= 1
        if not line.flying and not line.waiting:
            del self._lines[destination]
        was_changed = name in self._again
        self._again.discard(name)
        return was_changed

    def wait_s(self, now_s: float) -> float | None:
        """Return the seconds until the next one is due, None when none is planned in the heap."""
        while self._heap and self._items.get(self._heap[0][1]) is not self._heap[0]:
            heapq.heappop(self._heap)
        return max(0.0, self._heap[0][0] - now_s) if self._heap else None

    def _has_room(self, destination: str) -> bool:
        if len(self._flying) >= self._limit:
            return False
        line = self._lines.get(destination)
        return line is None or not destination or line.flying < self._share

    def _start(self, item: _Item, begun: list[str]) -> None:
        name, destination = item[1], item[2]
        if self._items.get(name) is not item:
            return
        del self._items[name]
        self._flying[name] = destination
        self._line(destination).flying += 1
        begun.append(name)

    def _line(self, destination: str) -> _Line:
        return self._lines.setdefault(destination, _Line())

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._items) + _SLACK:
            waiting = {id(item) for line in self._lines.values() for item in line.waiting}
            self._heap = [item for item in self._items.values() if id(item) not in waiting]
            heapq.heapify(self._heap)
