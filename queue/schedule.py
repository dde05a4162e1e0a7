"""Which message is tried next.

Pure: names and times go in, the names to begin now come out. Due times stand in one heap; what is due goes to
`ready`, where senders and destinations take turns, and begins when its destination's window has room. What a
destination that could not be reached has waiting is due at once when it works again. `deadlines` hands out
messages whose time is over, whatever holds them up here. Memory is what counts: an entry is one Struct without
the collector's header, its name, a slot of a dict, of the heap and of a bucket. Messages whose destination is
not known yet ("") share no window.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from columba.queue.deadlines import Deadlines
from columba.queue.destination import Destination, Probing
from columba.queue.ready import NORMAL, Item, Ready

_SLACK: Final = 64  # dead items of the heap that are not worth a rebuild
_STEP: Final = 2000  # due messages that one begin() sorts in, so that the loop is never held up
WATCH: Final = "!"  # the line of what the watchdog has in hand


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be known of a message besides its name. Times are wall clock, in seconds; 0 = none."""

    due_s: float
    destination: str = ""
    flow: str = ""  # who sent it
    deadline_s: float = 0.0  # to be looked at by then, whatever happens
    rank: int = NORMAL
    cost: int = 1
    is_lost: bool = False  # its destination could not be reached: due when that works again


class _Lost:
    """What one destination has waiting for it to work again; what stands no more is dropped now and then."""

    __slots__ = ("items", "most")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.most = _SLACK

    def add(self, item: Item, is_alive: Callable[[Item], bool]) -> None:
        if len(self.items) >= self.most:
            self.tidy(is_alive)
        self.items.append(item)

    def tidy(self, is_alive: Callable[[Item], bool]) -> None:
        self.items = [item for item in self.items if is_alive(item)]
        self.most = max(_SLACK, 2 * len(self.items))


class Schedule:
    """All messages of this process that are to be tried again, and those being tried."""

    def __init__(
        self, in_flight: int, per_destination: int, probing: Probing | None = None
    ) -> None:
        self._limit, self._share = in_flight, per_destination
        self._probing = probing or Probing()
        self._heap: list[Item] = []
        self._items: dict[str, Item] = {}
        self._lines: dict[str, Destination] = {}
        self._lost: dict[str, _Lost] = {}
        self._lines_most = _SLACK
        self._probes: list[tuple[float, str]] = []  # when which destination that is down is asked
        self._flying: dict[str, str] = {}
        self._watched = 0
        self._again: set[str] = set()
        self._ready = Ready(self._is_alive)
        self._waiting: set[str] = set()  # names that are in ready, not in the heap
        self._deadlines = Deadlines()
        self._now_s = 0.0

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
        """Return how many messages are being worked on."""
        return len(self._flying)

    @property
    def is_full(self) -> bool:
        """Tell whether no more messages may be begun now."""
        return len(self._flying) - self._watched >= self._limit

    def is_flying(self, name: str) -> bool:
        """Tell whether this message is being worked on."""
        return name in self._flying

    def begun_as(self, name: str) -> str:
        """Return the destination under which a message was begun; WATCH when its deadline is over."""
        return self._flying.get(name, "")

    def item(self, name: str) -> Item | None:
        """Return what is known of a message that waits."""
        return self._items.get(name)

    def add(self, name: str, plan: Plan) -> None:
        """Plan a message, or plan it anew; of one in flight it is noted that it has changed."""
        if name in self._flying:
            self._again.add(name)
            return
        old = self._items.get(name)
        bucket = self._deadlines.bucket(plan.deadline_s)
        item = Item(
            plan.due_s,
            name if old is None else old.name,
            plan.destination,
            plan.flow,
            bucket,
            plan.rank,
            plan.cost,
            plan.is_lost,
        )
        self._items[name] = item
        self._waiting.discard(name)
        heapq.heappush(self._heap, item)
        if old is None or old.deadline != bucket:
            self._deadlines.add(name, bucket)
        if plan.is_lost:
            self._lost.setdefault(plan.destination, _Lost()).add(item, self._is_alive)
        self._tidy()

    def remove(self, name: str) -> None:
        """Forget a message that is not in flight."""
        self._items.pop(name, None)
        self._waiting.discard(name)
        self._tidy()

    def remove_all(self, keep: Callable[[str], bool]) -> None:
        """Forget all messages but those to keep, in flight or not."""
        for name in [name for name in self._items if not keep(name)]:
            del self._items[name]
            self._waiting.discard(name)
        for name in [name for name in self._flying if not keep(name)]:
            self.done(name)
        self._tidy()

    def begin(self, now_s: float) -> list[str]:
        """Return the names to try now, and count them as in flight."""
        self._now_s = now_s
        for _ in range(_STEP):
            if not self._heap or self._heap[0].due_s > now_s:
                break
            item = heapq.heappop(self._heap)
            if self._is_planned(item):
                self._waiting.add(item.name)
                self._ready.put(item)
        while self._probes and self._probes[0][0] <= now_s:
            _, destination = heapq.heappop(self._probes)
            if destination in self._lines:
                self._ready.free(destination, self._lines[destination].room(now_s))
        begun: list[str] = []
        while not self.is_full:
            found = self._ready.take(self._has_room)
            if found is None:
                break
            self._start(found.name, found.destination)
            begun.append(found.name)
        return begun

    def overdue(self, now_s: float, most: int) -> list[str]:
        """Return up to so many names whose deadline is over, and count them as in flight, outside of all limits."""
        taken = []
        for bucket, name in self._deadlines.over(now_s, most):
            item = self._items.get(name)
            if item is not None and item.deadline == bucket:
                self._start(name, WATCH)
                self._watched += 1
                taken.append(name)
        return taken

    def done(self, name: str) -> bool:
        """Say that the work on this message is over; it is forgotten until it is added again.

        Returns whether somebody wanted to plan it meanwhile, so that it must be looked at at once.
        """
        destination = self._flying.pop(name, None)
        if destination is None:
            return False
        line = self._lines[destination]
        line.flying -= 1
        self._watched -= destination == WATCH
        self._offer(destination)
        was_changed = name in self._again
        self._again.discard(name)
        return was_changed

    def worked(self, destination: str) -> None:
        """Say that a destination takes mail: what it has lost is due now."""
        line = self._line(destination)
        line.worked(self._now_s)
        lost = self._lost.pop(destination, None)
        for item in lost.items if lost is not None else ():
            if self._is_planned(item):
                self._waiting.add(item.name)
                self._ready.put(item)
        self._offer(destination)

    def failed(self, destination: str, now_s: float) -> None:
        """Say that a destination could not be reached."""
        self._now_s = now_s
        line = self._line(destination)
        before_s = line.probe_s
        line.failed(now_s)
        if line.probe_s != before_s:
            heapq.heappush(self._probes, (line.probe_s, destination))

    def crowded(self, destination: str, now_s: float) -> None:
        """Say that delivery had no room for this destination: after a moment fewer are begun at a time."""
        self._now_s = now_s
        line = self._line(destination)
        line.crowded(now_s)
        heapq.heappush(self._probes, (line.probe_s, destination))

    def reopen(self, destination: str) -> None:
        """Try a destination as if nothing were known of it."""
        if destination in self._lines:
            self._lines[destination].reopen()
            self._offer(destination)

    def is_down(self, destination: str) -> bool:
        """Tell whether a destination is only probed."""
        line = self._lines.get(destination)
        return line is not None and line.is_down

    def wait_s(self, now_s: float) -> float | None:
        """Return the seconds until there is something to begin, None when nothing is planned."""
        while self._heap and not self._is_planned(self._heap[0]):
            heapq.heappop(self._heap)
        times = [self._heap[0].due_s] if self._heap else []
        times += [self._probes[0][0]] if self._probes else []
        return max(0.0, min(times) - now_s) if times else None

    def _has_room(self, destination: str) -> bool:
        if not destination:
            return True
        line = self._lines.get(destination)
        return line is None or line.room(self._now_s) > 0

    def _offer(self, destination: str) -> None:
        """Give the room of a destination to who waits for it, and forget one that nothing is known of."""
        line = self._lines.get(destination)
        if line is None:
            return
        self._ready.free(destination, line.room(self._now_s))
        if line.is_new and not self._ready.waits(destination):
            del self._lines[destination]

    def _start(self, name: str, destination: str) -> None:
        del self._items[name]
        self._waiting.discard(name)
        self._flying[name] = destination
        self._line(destination).flying += 1

    def _line(self, destination: str) -> Destination:
        line = self._lines.get(destination)
        if line is None:
            if len(self._lines) >= self._lines_most:
                self._forget_idle()
            line = self._lines[destination] = Destination(self._share, self._probing)
        return line

    def _forget_idle(self) -> None:
        """Forget destinations that nobody has mail for any more."""
        self._lines = {
            d: line
            for d, line in self._lines.items()
            if line.flying or self._ready.waits(d) or d in self._lost
        }
        self._lines_most = max(_SLACK, 2 * len(self._lines))

    def _is_alive(self, item: Item) -> bool:
        return self._items.get(item.name) is item

    def _is_planned(self, item: Item) -> bool:
        return self._items.get(item.name) is item and item.name not in self._waiting

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._items) + _SLACK:
            self._heap = [i for i in self._items.values() if i.name not in self._waiting]
            heapq.heapify(self._heap)
            for lost in self._lost.values():
                lost.tidy(self._is_alive)
            self._lost = {d: lost for d, lost in self._lost.items() if lost.items}
