"""The loops that keep leases and store in order: renew, list what was gained, keep house.

What fails is logged and made up for by the next turn; only a clone of this machine ends a loop.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from columba.common.clock import Clock
from columba.common.errors import StoreError
from columba.common.log.event import Event
from columba.queue.house import House
from columba.queue.owner import CloneError, Owners
from columba.queue.settle import Spawn

_ERROR_S: Final = 10.0
_SOON_S: Final = 0.05
_DAY_S: Final = 86_400.0
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, in seconds."""

    ttl_s: float
    renewal_s: float
    relist_s: float


class Upkeep:
    """The loops of one process. changed: called when we got a lease to store under, or lost it."""

    def __init__(
        self,
        owners: Owners,
        house: House,
        pace: Pace,
        *,
        clock: Clock,
        event: Event,
        spawn: Spawn,
        changed: Callable[[], None],
    ) -> None:
        self._owners, self._house, self._pace = owners, house, pace
        self._clock, self._event = clock, event
        self._spawn, self._changed = spawn, changed

    @property
    def has_lease(self) -> bool:
        """Tell whether new mail may be stored at this moment."""
        main = self._owners.main
        return main is not None and self._owners.is_held(main)

    def gained(self, owner: str) -> None:
        """List the records of an owner that is ours now."""
        self._spawn(self._list(owner), "listing")

    async def renew(self) -> None:
        """Renew leases and look at those of others; ends when this machine is a clone."""
        had = True
        while True:
            await asyncio.sleep(self._pause_s())
            try:
                await self._owners.turn()
            except CloneError as error:
                self._event.error("This machine is a clone of another", error=str(error))
                return
            except TimeoutError:
                self._event.warning("The state directory is too slow")
            has = self.has_lease
            if has != had:
                self._changed()
            had = has

    def _pause_s(self) -> float:
        """Return the time to the next turn: earlier when a lease can be adopted by then, if its holder is dead."""
        stale_s = self._owners.stale_in_s()
        pace_s = self._pace.renewal_s
        return pace_s if stale_s is None else min(pace_s, stale_s + _SOON_S)

    async def keep_house(self) -> None:
        """List and sweep, again and again; bodies that nobody has, once a day."""
        last_ns = self._clock.monotonic_ns()
        while True:
            await asyncio.sleep(self._pace.relist_s)
            try:
                await self._house.turn()
                if self._clock.monotonic_ns() - last_ns > _DAY_S * _NS:
                    last_ns = self._clock.monotonic_ns()
                    count = await self._house.sweep_bodies()
                    self._event.info("Swept bodies", count=count)
            except StoreError as error:
                self._event.warning("Housekeeping failed", error=str(error))

    async def _list(self, owner: str) -> None:
        while self._owners.get(owner) is not None:
            try:
                await self._house.gained(owner)
                break
            except StoreError as error:
                self._event.warning("Listing failed", owner=owner, error=str(error))
                await asyncio.sleep(_ERROR_S)
        # Once more for what the last holder wrote while it still could.
        await asyncio.sleep(2 * self._pace.ttl_s)
        if self._owners.get(owner) is not None:
            await self._house.gained(owner)
