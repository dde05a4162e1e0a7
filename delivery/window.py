"""How many transactions one destination gets at a time, and how many a minute.

Whoever finds no room waits in line until its deadline. The rate is a GCRA: a minute's share may come at once,
then one per interval.
"""

import asyncio
import contextlib
import time
from collections import deque
from typing import Final

MINUTE_NS: Final = 60_000_000_000
WINDOWS_MAX: Final = 10_000


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

    def __init__(self, concurrency: int, per_minute: int) -> None:
        self._room = concurrency
        self._rate = Rate(per_minute)
        self._line: deque[asyncio.Future[None]] = deque()
        self.active = 0

    def is_idle(self, now_ns: int) -> bool:
        """Tell whether the window may be forgotten."""
        return not self.active and not self._line and self._rate.is_fresh(now_ns)

    async def enter(self, deadline_ns: int) -> bool:
        """Wait for room until the deadline; return whether there is some. Then leave() is owed."""
        if self.active >= self._room and not await self._wait_turn(deadline_ns):
            return False
        self.active += 1
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
        while self._line:
            waiter = self._line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _wait_turn(self, deadline_ns: int) -> bool:
        while self.active >= self._room:
            waiter = asyncio.get_running_loop().create_future()
            self._line.append(waiter)
            left_s = (deadline_ns - time.monotonic_ns()) / 1e9
            try:
                async with asyncio.timeout(max(left_s, 0)):
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
        if waiter.done() and not waiter.cancelled() and self._line:
            following = self._line.popleft()
            if not following.done():
                following.set_result(None)


class Windows:
    """The windows of all destinations of one process."""

    def __init__(self, concurrency: int, per_minute: int) -> None:
        self._concurrency, self._per_minute = concurrency, per_minute
        self._windows: dict[str, Window] = {}

    def of(self, destination: str) -> Window:
        """Return the window of a destination."""
        window = self._windows.get(destination)
        if window is None:
            if len(self._windows) >= WINDOWS_MAX:
                self.sweep(time.monotonic_ns())
            window = self._windows[destination] = Window(self._concurrency, self._per_minute)
        return window

    def sweep(self, now_ns: int) -> None:
        """Forget idle windows."""
        self._windows = {d: w for d, w in self._windows.items() if not w.is_idle(now_ns)}
