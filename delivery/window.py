"""How many transactions one destination gets at a time, and how many a minute.

Whoever finds no room waits in line until its deadline; the line too is bounded, so that one destination never takes
more than its share of the process (promises §9). The room grows by one with each full round of successes and shrinks
by one with each sign of pressure, as Postfix's queue manager does it. The rate is a GCRA: a minute's share may come
at once, then one per interval.
"""

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from columba.common.clock import left_s

MINUTE_NS: Final = 60_000_000_000
WINDOWS_MAX: Final = 10_000
MEMORY_NS: Final = 600_000_000_000  # how long it is remembered that a destination is under pressure


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one destination: transactions at a time at most and at first, a minute (0 = unlimited), and with the line."""

    most: int
    per_minute: int = 0
    first: int = 20
    share: int = 1 << 31


class Room:
    """How many transactions at a time a destination can bear. Pure: the time is an argument."""

    def __init__(self, first: int, most: int) -> None:
        self._most, self._first = most, min(first, most)
        self._size = float(self._first)
        self._learnt_ns = 0

    @property
    def size(self) -> int:
        """Return the room, at least 1."""
        return int(self._size)

    def learn(self, is_pressed: bool, now_ns: int) -> None:
        """Grow with a success by 1/room, shrink under pressure by 1."""
        self._learnt_ns = now_ns
        if is_pressed:
            self._size = max(1.0, self._size - 1)
        elif self._size < self._most:
            self._size = min(float(self._most), self._size + 1 / int(self._size))

    def is_fresh(self, now_ns: int) -> bool:
        """Tell whether there is nothing to remember."""
        return self._size >= self._first or now_ns - self._learnt_ns > MEMORY_NS


class Rate:
    """So many a minute. Pure: the time is an argument. 0 = unlimited."""

    def __init__(self, per_minute: int) -> None:
        self._interval_ns = MINUTE_NS // per_minute if per_minute else 0
        self._due_ns = 0

    def wait_ns(self, now_ns: int) -> int:
        """Return how long to wait before `count` may be called; 0 = now."""
        if not self._interval_ns:
            return 0
        return max(0, self._due_ns + self._interval_ns - MINUTE_NS - now_ns)

    def count(self, now_ns: int) -> None:
        """Count one."""
        if self._interval_ns:
            self._due_ns = max(self._due_ns, now_ns) + self._interval_ns

    def is_fresh(self, now_ns: int) -> bool:
        """Tell whether the whole minute's share is there."""
        return self._due_ns <= now_ns


class Window:
    """One destination."""

    def __init__(self, bounds: Bounds) -> None:
        self._room = Room(bounds.first, bounds.most)
        self._rate = Rate(bounds.per_minute)
        self._share = bounds.share
        self._line: deque[asyncio.Future[None]] = deque()
        self.active = 0

    def is_idle(self, now_ns: int) -> bool:
        """Tell whether the window may be forgotten."""
        if self.active or self._line:
            return False
        return self._rate.is_fresh(now_ns) and self._room.is_fresh(now_ns)

    @property
    def waiting(self) -> int:
        """Return how many stand in line."""
        return len(self._line)

    @property
    def room(self) -> int:
        """Return how many transactions at a time the destination gets now."""
        return self._room.size

    def learn(self, is_pressed: bool) -> None:
        """Say how a transaction went; is_pressed: the destination asks for less, or does not answer."""
        self._room.learn(is_pressed, time.monotonic_ns())

    async def enter(self, deadline_ns: int) -> bool:
        """Wait for room until the deadline; return whether there is some. Then leave() is owed."""
        if self.active + len(self._line) >= self._share:
            return False
        if self.active < self._room.size and not self._line:
            self.active += 1
        elif not await self._wait_turn(deadline_ns):
            return False
        while (wait_ns := self._rate.wait_ns(time.monotonic_ns())) > 0:
            if time.monotonic_ns() + wait_ns > deadline_ns:
                self.leave()
                return False
            try:
                await asyncio.sleep(wait_ns / 1e9)
            except asyncio.CancelledError:
                self.leave()
                raise
        self._rate.count(time.monotonic_ns())
        return True

    def leave(self) -> None:
        """Make room for the next in line."""
        self.active -= 1
        while self._line and self.active < self._room.size:
            waiter = self._line.popleft()
            if not waiter.done():
                self.active += 1  # the turn is taken before the waiter runs
                waiter.set_result(None)

    async def _wait_turn(self, deadline_ns: int) -> bool:
        waiter = asyncio.get_running_loop().create_future()
        self._line.append(waiter)
        try:
            async with asyncio.timeout(left_s(deadline_ns)):
                await waiter
        except TimeoutError:
            self._forget(waiter)
            return False
        except asyncio.CancelledError:
            self._forget(waiter)
            raise
        return True

    def _forget(self, waiter: "asyncio.Future[None]") -> None:
        """Leave the line; a turn that came at the same instant goes to the next."""
        with contextlib.suppress(ValueError):
            self._line.remove(waiter)
        if waiter.done() and not waiter.cancelled():
            self.leave()


class Windows:
    """The windows of all destinations of one process."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._windows: dict[str, Window] = {}

    def of(self, destination: str, most: int = 0) -> Window:
        """Return the window of a destination; with `most`, the one of those who may use no more than that."""
        key = f"{destination} {most}" if most else destination
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= WINDOWS_MAX:
                self.sweep(time.monotonic_ns())
            bounds = self._bounds
            if most:
                bounds = replace(bounds, most=min(bounds.most, most))
            window = self._windows[key] = Window(bounds)
        return window

    def all(self) -> dict[str, Window]:
        """Return the windows by destination."""
        return dict(self._windows)

    def sweep(self, now_ns: int) -> None:
        """Forget idle windows."""
        self._windows = {d: w for d, w in self._windows.items() if not w.is_idle(now_ns)}
