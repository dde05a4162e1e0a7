"""The loops that begin what is due, and what must be looked at whatever else happens.

Each job catches at its own top, so that one message's error never ends the others. The watch over deadlines has
room of its own: it goes on when every try hangs, when no sieve-filter is there, and when a destination is closed.
"""

import asyncio
from contextlib import suppress
from typing import Final

from columba.common.errors import ColumbaError
from columba.queue.attempt import Attempts, Next
from columba.queue.settle import Spawn
from columba.queue.shelf import owner_of
from columba.queue.stock import Stock

_IDLE_S: Final = 30.0
_ERROR_S: Final = 10.0
_CRASH_S: Final = 60.0
_WATCH_S: Final = 2.0
_WATCHED: Final = 50


class Runs:
    """Begins work on records for one process."""

    def __init__(self, stock: Stock, attempts: Attempts, spawn: Spawn) -> None:
        self._stock, self._attempts, self._spawn = stock, attempts, spawn
        self._watched = 0
        self.is_stopped = False
        self.is_paused = False  # by an administrator: nothing is begun, what runs goes on

    async def work(self) -> None:
        """Begin what is due, until stopped."""
        schedule, wake, clock = self._stock.schedule, self._stock.wake, self._stock.clock
        while not self.is_stopped:
            wake.clear()
            for key in () if self.is_paused else schedule.begin(clock.wall_s()):
                self._spawn(self._job(key), "queue run")
            is_idle = schedule.is_full or self.is_paused
            wait_s = None if is_idle else schedule.wait_s(clock.wall_s())
            try:
                async with asyncio.timeout(_IDLE_S if wait_s is None else min(wait_s, _IDLE_S)):
                    await wake.wait()
            except TimeoutError:
                continue

    async def watch(self) -> None:
        """Look at messages whose deadline is over, until stopped."""
        while not self.is_stopped:
            room = 0 if self.is_paused else _WATCHED - self._watched
            for key in self._stock.schedule.overdue(self._stock.now_s, room):
                self._watched += 1
                self._spawn(self._watch(key), "deadline")
            await asyncio.sleep(_WATCH_S)

    async def landed(self, timeout_s: float) -> bool:
        """Wait until no try is under way; tell whether that came in time. Every end of one wakes us."""
        schedule, wake = self._stock.schedule, self._stock.wake
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while schedule.in_flight:
                    wake.clear()
                    await wake.wait()
        return not schedule.in_flight

    async def _watch(self, key: str) -> None:
        try:
            await self._job(key)
        finally:
            self._watched -= 1

    async def _job(self, key: str) -> None:
        schedule, stock = self._stock.schedule, self._stock
        done = Next(None, _CRASH_S)
        try:
            done = await self._attempts.run(key)
        except ColumbaError as error:
            stock.event.warning("A queue run failed", key=key, error=str(error))
            done = Next(None, _ERROR_S)
        except Exception as error:  # the job loop: one message's error never ends the others
            stock.event.crashed("A queue run crashed", error, key=key)
        finally:
            was_changed = schedule.done(key)
            self._plan(key, Next(None, 0.0) if was_changed else done)
            stock.wake.set()

    def _plan(self, key: str, done: Next) -> None:
        stock = self._stock
        if key in stock.unreadable:
            stock.set_aside(key, stock.unreadable[key])
        elif done.wait_s is not None and stock.owners.get(owner_of(key)) is not None:
            stock.plan_again(key, done.wait_s)
        elif done.shelved is not None and done.until_s:
            stock.suspend(done.shelved, done.until_s)
        elif done.shelved is not None:
            stock.plan(done.shelved)
