"""Hold leases: our own, renewed in time, and those of owners that are gone.

Every renewal counts from the instant when its first try began, so that we never believe longer than others
wait. A lease of somebody else that stays the same for ttl, by our own clock, is adopted with epoch + 1, and so
are its records. Who finds that it lost a lease forgets what hung on it, and begins again under another.
What may be done under a lease is asked at `Holding.is_held`; what follows from a gain or a loss is the
business of the two callbacks.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from columba.common.clock import Clock
from columba.common.errors import (
    ColumbaError,
    ConditionError,
    NotFoundError,
    RefusedError,
    StoreError,
    UnavailableError,
)
from columba.common.faultpoint import reached
from columba.common.log.event import Event
from columba.common.off_loop import OffLoop
from columba.queue import lease as leases
from columba.queue.document import RecordError
from columba.queue.lease import Lease, Sighting, Terms
from columba.queue.node import Node
from columba.queue.store.base import ABSENT, match
from columba.queue.store.calls import StoreCalls

OWNER: Final = re.compile(r"[0-9a-f]{12}-[0-9]{1,4}")
_OWNERS: Final = 1000
_LOCAL_S: Final = 10.0


class CloneError(ColumbaError):
    """Another machine uses our node id: this one must not go on."""

    temporary = False


@dataclass(slots=True)
class Holding:
    """One lease that we have. began_ns = when the last successful renewal began (CLOCK_BOOTTIME)."""

    lease: Lease
    etag: str
    began_ns: int
    trying: Lease | None = None  # a renewal of unknown result, tried again as it is
    trying_ns: int = 0

    @property
    def owner(self) -> str:
        """Return whose records this is about."""
        return self.lease.owner


class Owners:
    """All leases of this process."""

    def __init__(
        self,
        store: StoreCalls,
        node: Node,
        off_loop: OffLoop,
        *,
        clock: Clock,
        terms: Terms,
        event: Event,
    ) -> None:
        self._store, self._node, self._off_loop = store, node, off_loop
        self._clock, self._terms, self._event = clock, terms, event
        self._held: dict[str, Holding] = {}
        self._seen: dict[str, Sighting] = {}
        self._main = ""
        self.is_away = False  # we want no lease, by order
        self.on_gain: Callable[[str], None] = _ignore
        self.on_loss: Callable[[str], None] = _ignore

    @property
    def main(self) -> Holding | None:
        """Return our own lease, under which new mail is stored; None while we have none, or want none."""
        return None if self.is_away else self._held.get(self._main)

    @property
    def node_name(self) -> str:
        """Return the name of this node."""
        return self._node.name

    @property
    def seen(self) -> dict[str, Sighting]:
        """Return the leases of others, as they were when last looked at."""
        return dict(self._seen)

    @property
    def owners(self) -> list[str]:
        """Return the owners whose leases we have."""
        return list(self._held)

    @property
    def siblings(self) -> list[str]:
        """Return the owners of this node that other processes have."""
        return [o for o in self._seen if self._node.is_own(o) and o not in self._held]

    def get(self, owner: str) -> Holding | None:
        """Return our lease of an owner, if we have it."""
        return self._held.get(owner)

    def is_held(self, holding: Holding) -> bool:
        """Tell whether we may act under a lease at this moment."""
        now_ns = self._clock.boottime_ns()
        has = self._held.get(holding.owner) is holding
        return has and self._terms.is_held(holding.began_ns, now_ns)

    def is_stale(self, sighting: Sighting) -> bool:
        """Tell whether a lease of somebody else has not changed for ttl."""
        return self._clock.boottime_ns() - sighting.since_ns >= self._terms.ttl_ns

    def stale_in_s(self) -> float | None:
        """Return the seconds until the next lease of somebody else is stale unless it changes; None: there is none."""
        now_ns = self._clock.boottime_ns()
        ends_ns = [seen.since_ns + self._terms.ttl_ns for seen in self._seen.values()]
        left_ns = [end_ns - now_ns for end_ns in ends_ns if end_ns > now_ns]
        return min(left_ns) / 1e9 if left_ns else None

    def age_s(self, owner: str) -> float:
        """Return the seconds since our lease was renewed, or somebody else's was first seen as it is."""
        holding, sighting = self._held.get(owner), self._seen.get(owner)
        since_ns = holding.began_ns if holding else sighting.since_ns if sighting else 0
        return (self._clock.boottime_ns() - since_ns) / 1e9 if since_ns else 0.0

    def end_ns(self, holding: Holding) -> int:
        """Return until when (CLOCK_BOOTTIME) we may act under a lease, as of now."""
        return self._terms.end_ns(holding.began_ns)

    async def begin(self) -> Holding:
        """Take a lease of our own: the first of this node's owners that is free or was ours.

        Raises CloneError, StoreError.
        """
        for number in range(_OWNERS):
            owner = self._node.owner(number)
            if not await self._lock(owner):
                continue
            holding = await self._take_or_say(owner)
            if holding is not None:
                self._main = owner
                self._gain(holding)
                return holding
            await self._unlock(owner)
        raise UnavailableError("no lease is to be had: all owners of this node are taken")

    async def turn(self) -> None:
        """Renew all leases, look at those of others, adopt the stale ones; call it every few seconds.

        Errors of the store are logged: the next turn tries again. Raises CloneError.
        """
        for holding in list(self._held.values()):
            try:
                await self._renew(holding)
            except StoreError as error:
                self._event.warning(
                    "A lease can't be renewed", owner=holding.owner, error=str(error)
                )
        try:
            if self.main is None and not self.is_away:
                await self.begin()
            await self.look()
        except StoreError as error:
            self._event.warning("Leases can't be read", error=str(error))

    async def take_over(self, owner: str) -> None:
        """Take a lease by order, whether its holder lives or not.

        RefusedError when it is ours, or its process lives on this machine; NotFoundError, StoreError.
        """
        if owner in self._held or self.is_away:
            raise RefusedError(f"{owner} is ours already" if owner in self._held else "we are away")
        if not OWNER.fullmatch(owner):
            raise RefusedError(f"{owner[:40]!r} is no owner")
        key = leases.key_of(owner)
        found = await self._store.get(key)
        lease = leases.decode(found.data)
        await self._adopt(Sighting(lease, found.etag, self._clock.boottime_ns()))
        if owner not in self._held:
            raise RefusedError(f"{owner}: its process lives on this machine, or was faster")

    async def release(self, owner: str, is_empty: bool, is_offered: bool = False) -> None:
        """Give a lease up, telling whether any records are left under it; offered: others may have it at once."""
        holding = self._held.get(owner)
        if holding is None:
            return
        self._lose(holding)
        try:
            freed = leases.encode(leases.freed(holding.lease, is_empty, is_offered))
            await self._store.put(leases.key_of(owner), freed, match(holding.etag))
        except StoreError as error:
            self._event.warning("A lease can't be given up", owner=owner, error=str(error))
        await self._unlock(owner)

    async def _take_or_say(self, owner: str) -> Holding | None:
        """Take a lease of our own; one that can't be read is left to the administrator, and the next is tried."""
        try:
            return await self._take_own(owner)
        except RecordError as error:
            key = leases.key_of(owner)
            self._event.error(
                "A lease of ours can't be read: its mail waits", key=key, error=str(error)
            )
            return None

    async def _take_own(self, owner: str) -> Holding | None:
        began_ns = self._clock.boottime_ns()
        try:
            found = await self._store.get(leases.key_of(owner))
        except NotFoundError:
            fresh = Lease(owner=owner, holder=self._node.name, life=self._node.life)
            return await self._write(fresh, None, began_ns)
        lease = leases.decode(found.data)
        if lease.holder not in {"", self._node.name}:
            return None  # another node adopted it, and holds it or has left it to go stale
        if lease.holder and not await self._knows(lease.life):
            raise CloneError(f"lease {owner} is held in our name by a life that is not ours")
        taken = leases.taken(lease, self._node.name, self._node.life)
        return await self._write(taken, found.etag, began_ns)

    async def _write(self, lease: Lease, etag: str | None, began_ns: int) -> Holding | None:
        """Write a lease and return our holding; None when somebody else was faster."""
        data, key = leases.encode(lease), leases.key_of(lease.owner)
        try:
            condition = ABSENT if etag is None else match(etag)
            return Holding(lease, await self._store.put(key, data, condition), began_ns)
        except ConditionError:
            found = await self._store.get(key)
            if leases.decode(found.data).nonce == lease.nonce:
                return Holding(lease, found.etag, began_ns)
            return None

    async def _renew(self, holding: Holding) -> None:
        if holding.trying is None:
            holding.trying = leases.renewed(holding.lease)
            holding.trying_ns = self._clock.boottime_ns()
        try:
            written = await self._write(holding.trying, holding.etag, holding.trying_ns)
        except NotFoundError:
            written = None
        if self._held.get(holding.owner) is not holding:
            return
        if written is None:
            await self._displaced(holding)
            return
        reached("lease.renewed")
        holding.lease, holding.etag = written.lease, written.etag
        holding.began_ns, holding.trying = written.began_ns, None

    async def _displaced(self, holding: Holding) -> None:
        self._event.error("Lost a lease", owner=holding.owner, epoch=holding.lease.epoch)
        self._lose(holding)
        await self._unlock(holding.owner)
        try:
            found = leases.decode((await self._store.get(leases.key_of(holding.owner))).data)
        except NotFoundError:
            return
        if found.holder == self._node.name and not await self._knows(found.life):
            raise CloneError(
                f"lease {holding.owner} was taken in our name by a life that is not ours"
            )

    async def look(self) -> None:
        """Look at the leases of others, and adopt the stale ones; raises StoreError."""
        seen: dict[str, Sighting] = {}
        async for keys in self._store.pages(leases.LEASES):
            for key in keys:
                owner = key.removeprefix(leases.LEASES)
                if owner in self._held:
                    continue
                sighting = await self._sight(key, owner)
                if sighting is not None:
                    seen[owner] = sighting
        self._seen = seen
        for sighting in list(seen.values()) if not self.is_away else ():
            if leases.may_adopt(sighting, self._terms, self._clock.boottime_ns()):
                await self._adopt(sighting)

    async def _sight(self, key: str, owner: str) -> Sighting | None:
        now_ns = self._clock.boottime_ns()
        found = await self._store.get(key)
        try:
            lease = leases.decode(found.data)
        except RecordError as error:
            self._event.error("A lease can't be read", owner=owner, error=str(error))
            return None
        return leases.seen(self._seen.get(owner), lease, found.etag, now_ns)

    async def _adopt(self, sighting: Sighting) -> None:
        owner = sighting.lease.owner
        if self._node.is_own(owner) and not await self._lock(owner):
            return  # its process lives, although it can't renew
        taken = leases.taken(sighting.lease, self._node.name, self._node.life)
        holding = await self._write(taken, sighting.etag, self._clock.boottime_ns())
        if holding is None:
            await self._unlock(owner)
            return
        self._seen.pop(owner, None)
        self._event.warning(
            "Adopted a lease", owner=owner, epoch=taken.epoch, from_node=sighting.lease.holder
        )
        self._gain(holding)

    def _gain(self, holding: Holding) -> None:
        self._held[holding.owner] = holding
        self.on_gain(holding.owner)

    def _lose(self, holding: Holding) -> None:
        if self._held.get(holding.owner) is holding:
            del self._held[holding.owner]
            self.on_loss(holding.owner)

    async def _knows(self, life: str) -> bool:
        return await self._off_loop.run(_LOCAL_S, self._node.knows, life)

    async def _lock(self, owner: str) -> bool:
        return await self._off_loop.run(_LOCAL_S, self._node.lock, owner)

    async def _unlock(self, owner: str) -> None:
        await self._off_loop.run(_LOCAL_S, self._node.unlock, owner)


def _ignore(_owner: str) -> None:
    return
