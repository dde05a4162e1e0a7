"""Which of the messages that are due is begun next, so that nobody waits for others' floods.

Pure. A flow is what one sender has for one destination in one class of priority. Senders take turns, and
each of a sender's destinations in its turn. A flow whose destination has no room waits there in line with the
flows of other senders; when room comes, deficit round robin chooses among them, so that large mails count for
more. So one sender's hundred thousand mails delay another's one by a single mail, at a destination and in all.
A higher class goes first, but every eighth turn begins with a lower one.
(M. Shreedhar, G. Varghese: Efficient Fair Queueing Using Deficit Round-Robin, 1995.)
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

RANKS: Final = 3  # classes of priority: 0 urgent, 1 normal, 2 bulk
NORMAL: Final = 1
COST_MAX: Final = 16
_QUANTUM: Final = 1
_TURNS: Final = 8


class Item(msgspec.Struct, frozen=True, order=True, gc=False):
    """One planned message. Many exist: strings are shared where they can be. deadline: see Deadlines."""

    due_s: float
    name: str
    destination: str
    flow: str
    deadline: int
    rank: int
    cost: int
    is_lost: bool  # its destination could not be reached: due as soon as that works again


class Flow:
    """One sender's messages for one destination, in order."""

    __slots__ = ("credit", "destination", "is_paid", "items", "rank", "sender")

    def __init__(self, item: Item) -> None:
        self.sender, self.destination, self.rank = item.flow, item.destination, item.rank
        self.items: deque[Item] = deque()
        self.credit = 0
        self.is_paid = False  # room was given to it, which it has not used yet


class _Sender:
    """One sender's flows that may have room."""

    __slots__ = ("flows", "key")

    def __init__(self, key: tuple[int, str]) -> None:
        self.key = key
        self.flows: deque[Flow] = deque()


class Ready:
    """What is due. is_alive tells whether an item still stands: others are dropped when they are met."""

    def __init__(self, is_alive: Callable[[Item], bool]) -> None:
        self._is_alive = is_alive
        self._flows: dict[tuple[int, str, str], Flow] = {}
        self._senders: dict[tuple[int, str], _Sender] = {}
        self._turns: tuple[deque[_Sender], ...] = tuple(deque() for _ in range(RANKS))
        self._blocked: dict[str, tuple[deque[Flow], ...]] = {}
        self._taken = 0

    def put(self, item: Item) -> None:
        """Add a message that is due."""
        key = (item.rank, item.flow, item.destination)
        flow = self._flows.get(key)
        if flow is not None:
            flow.items.append(item)
            return
        flow = self._flows[key] = Flow(item)
        flow.items.append(item)
        if item.destination in self._blocked:
            self._blocked[item.destination][item.rank].append(flow)
        else:
            self._run(flow)

    def take(self, has_room: Callable[[str], bool]) -> Item | None:
        """Return the message to begin next, None when nobody has room."""
        self._taken += 1
        first = (self._taken // _TURNS) % RANKS if self._taken % _TURNS == 0 else 0
        for step in range(RANKS):
            item = self._take_of((first + step) % RANKS, has_room)
            if item is not None:
                return item
        return None

    def free(self, destination: str, room: int) -> None:
        """Say that a destination has room, for so many messages."""
        lines = self._blocked.get(destination)
        if lines is None:
            return
        for line in lines:
            while line and room > 0:
                flow = line.popleft()
                if not self._drop_dead(flow):
                    continue
                flow.credit += _QUANTUM
                if flow.credit < flow.items[0].cost and line:
                    line.append(flow)
                    continue
                flow.credit = max(0, flow.credit - flow.items[0].cost)
                flow.is_paid = True
                room -= 1
                self._run(flow)
        if not any(lines):
            del self._blocked[destination]

    def waits(self, destination: str) -> bool:
        """Tell whether anybody waits for room there."""
        return destination in self._blocked

    def _take_of(self, rank: int, has_room: Callable[[str], bool]) -> Item | None:
        turns = self._turns[rank]
        while turns:
            sender = turns[0]
            while sender.flows:
                flow = sender.flows.popleft()
                if not self._drop_dead(flow):
                    continue
                if not has_room(flow.destination):
                    self._block(flow)
                    continue
                item = flow.items.popleft()
                flow.is_paid = False
                self._after(flow, sender)
                turns.rotate(-1)
                return item
            del self._senders[turns.popleft().key]
        return None

    def _after(self, flow: Flow, sender: _Sender) -> None:
        """Put a flow that has had its turn where it waits for the next one."""
        if not flow.items:
            del self._flows[flow.rank, flow.sender, flow.destination]
        elif flow.destination in self._blocked:
            self._blocked[flow.destination][flow.rank].append(flow)
        else:
            sender.flows.append(flow)

    def _block(self, flow: Flow) -> None:
        lines = self._blocked.get(flow.destination)
        if lines is None:
            lines = self._blocked[flow.destination] = tuple(deque() for _ in range(RANKS))
        if flow.is_paid:
            lines[flow.rank].appendleft(flow)
        else:
            lines[flow.rank].append(flow)

    def _run(self, flow: Flow) -> None:
        key = (flow.rank, flow.sender)
        sender = self._senders.get(key)
        if sender is None:
            sender = self._senders[key] = _Sender(key)
            self._turns[flow.rank].append(sender)
        sender.flows.append(flow)

    def _drop_dead(self, flow: Flow) -> bool:
        """Drop what stands no more at the head of a flow; return whether anything is left of it."""
        while flow.items and not self._is_alive(flow.items[0]):
            flow.items.popleft()
        if not flow.items:
            del self._flows[flow.rank, flow.sender, flow.destination]
        return bool(flow.items)
