"""What this process has in stock: the records under its leases, and when each is due.

It plans what it is shown and finds records by message id; it decides nothing about mail. The schedule holds every
record of our owners, tombstones too (due when they are swept) and held ones (never due).
"""

import asyncio
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from columba.common import ids
from columba.common.clock import Clock
from columba.common.errors import NotFoundError
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.queue.destination import Sign, signs
from columba.queue.index import Index, Reader, Writer
from columba.queue.owner import Owners
from columba.queue.plan import NEVER_S, plan_of, shared
from columba.queue.retry import RetryPolicy
from columba.queue.schedule import Plan, Schedule
from columba.queue.shelf import Shelf, Shelved, key_of, owner_of

_HOPS: Final = 20  # parts of parts that are followed


class Stock:
    """The records of one process."""

    def __init__(
        self,
        shelf: Shelf,
        owners: Owners,
        schedule: Schedule,
        *,
        clock: Clock,
        policy: RetryPolicy,
        tombstone_s: float,
        event: Event,
    ) -> None:
        self.shelf, self.owners, self.schedule = shelf, owners, schedule
        self.clock, self.policy, self.event = clock, policy, event
        self.tombstone_s = tombstone_s
        self.index = Index(shelf.store, clock, event)
        self.unreadable: dict[str, str] = {}  # key and why
        # An intake of this id is being taken back.
        self.is_disowned: Callable[[str], bool] = _nobody
        # Keys that a rule of an administrator keeps from being tried.
        self.suspended: set[str] = set()
        self.wake = asyncio.Event()
        owners.on_loss = self._forget

    @property
    def now_s(self) -> float:
        """Return wall time."""
        return self.clock.wall_s()

    def plan(self, shelved: Shelved) -> None:
        """Put a record that was read or written where it belongs in the schedule."""
        record, key = shelved.record, shelved.key
        if self.owners.get(owner_of(key)) is None:
            return
        self.unreadable.pop(key, None)
        self.suspended.discard(key)
        plan = plan_of(record, self.tombstone_s, self.schedule.is_down, sys.intern)
        self.schedule.add(key, plan)
        self.wake.set()

    def suspend(self, shelved: Shelved, until_s: float) -> None:
        """Plan a record that a rule keeps from being tried until then; its deadline stays."""
        plan = plan_of(shelved.record, self.tombstone_s, self.schedule.is_down, sys.intern)
        self.schedule.add(shelved.key, replace(plan, due_s=until_s, is_lost=False))
        self.suspended.add(shelved.key)

    def resume(self, ended: set[float]) -> None:
        """Look at all suspended records again: the rules have changed.

        ended: until when the rules would have held that were ended now. A record that an earlier life suspended is
        known by that time alone.
        """
        for key in list(self.schedule):
            item = self.schedule.item(key)
            if item is not None and (key in self.suspended or item.due_s in ended):
                self.schedule.add(key, Plan(0.0))
        self.suspended.clear()
        self.wake.set()

    def set_aside(self, key: str, error: str) -> None:
        """Keep a record that can't be read for the administrator's eyes; it is looked at again with each listing."""
        if self.unreadable.get(key) != error:
            self.event.error("A record can't be read: it waits", key=key, error=error)
        self.unreadable[key] = error
        self.schedule.add(key, Plan(NEVER_S))

    def feedback(self, outcomes: tuple[wire.Outcome, ...]) -> None:
        """Let what a run met tell of the destinations."""
        for destination, sign in signs(outcomes).items():
            match sign:
                case Sign.WORKS:
                    self.schedule.worked(destination)
                case Sign.CROWDED:
                    self.schedule.crowded(destination, self.now_s)
                case Sign.UNREACHABLE:
                    self._failed(destination)
        self.wake.set()

    def _failed(self, destination: str) -> None:
        was_down = self.schedule.is_down(destination)
        self.schedule.failed(destination, self.now_s)
        if not was_down and self.schedule.is_down(destination):
            self.event.warning("A destination is down: it is probed", destination=destination)

    def plan_again(self, key: str, wait_s: float) -> None:
        """Look at a record again after wait_s."""
        if self.owners.get(owner_of(key)) is not None:
            self.schedule.add(key, Plan(self.now_s + wait_s))
        self.wake.set()

    async def load_owner(self, owner: str) -> int:
        """Plan every record of an owner that is not known yet, and return how many there are in all.

        They are planned as they are listed, so that work on the first begins before the last is known. What no
        snapshot knows is looked at now.
        """
        return await self._load(owner, None)

    async def keep_index(self, owner: str) -> int:
        """Do as load_owner, and write down what is known of each record for whoever has to begin anew."""
        writer = self.index.writer(owner)
        count = await self._load(owner, writer)
        await writer.end()
        return count

    async def _load(self, owner: str, writer: Writer | None) -> int:
        count, reader = 0, Reader(self.index, owner)
        try:
            async for key in self.shelf.names(owner):
                count += 1
                is_new = key not in self.schedule or key in self.unreadable
                if is_new and self.owners.get(owner) is not None:
                    await self._plan_listed(key, reader)
                if writer is not None:
                    await writer.add(key.rpartition("/")[2], self.schedule.item(key))
        finally:
            await reader.close()
        return count

    async def _plan_listed(self, key: str, reader: Reader) -> None:
        plan = await reader.plan(key.rpartition("/")[2])
        if key in self.schedule and key not in self.unreadable:
            return  # it was planned while we waited
        if plan is None or key in self.unreadable:
            plan = Plan(0.0)
        self.schedule.add(key, shared(plan, sys.intern))
        self.wake.set()

    async def base(self, id: str) -> Shelved | None:
        """Return the first record of a message, whichever of our owners has it."""
        main = self.owners.main
        first = [main.owner] if main is not None else []
        for owner in first + [o for o in self.owners.owners if o not in first]:
            found = await self.shelf.find(key_of(owner, id))
            if found is not None:
                return found
        return None

    async def sibling_base(self, id: str) -> Shelved | None:
        """Return the first record of a message that another process of this node has."""
        for owner in self.owners.siblings:
            found = await self.shelf.find(key_of(owner, id))
            if found is not None:
                return found
        return None

    async def part_with(self, base: Shelved, number: str) -> Shelved:
        """Return the record of a message in which this recipient, or what it was split from, lives."""
        here = base
        for _ in range(_HOPS):
            child = _child_of(here, number)
            if not child:
                return here
            try:
                here = await self.shelf.load(key_of(owner_of(base.key), child))
            except NotFoundError:
                return here
        return here

    async def all_parts(self, id: str) -> list[Shelved]:
        """Return all records of a message that we have, the first one first."""
        base = await self.base(id)
        return await self.parts_of(base) if base is not None else []

    async def parts_of(self, base: Shelved) -> list[Shelved]:
        """Return a message's first record and all that split from it, whoever has its lease by now."""
        parts, todo, seen = list[Shelved](), [base], set[str]()
        while todo:
            here = todo.pop(0)
            parts.append(here)
            for name in sorted(_children(here) - seen):
                seen.add(name)
                found = await self.shelf.find(key_of(owner_of(here.key), name))
                todo += [found] if found is not None else []
        return parts

    def _forget(self, owner: str) -> None:
        self.schedule.remove_all(lambda key: owner_of(key) != owner)
        self.shelf.recent.drop_all(key_of(owner, ""))
        self.unreadable = {k: why for k, why in self.unreadable.items() if owner_of(k) != owner}


def _nobody(_id: str) -> bool:
    return False


def _child_of(shelved: Shelved, number: str) -> str:
    known = {person.number: person for person in shelved.record.recipients}
    for each in (number, *reversed(ids.ancestors(number))):
        person = known.get(each)
        if person is not None:
            return person.child if person.child != shelved.record.name else ""
    return ""


def _children(shelved: Shelved) -> set[str]:
    return {p.child for p in shelved.record.recipients if p.child} - {shelved.record.name}


def numbers_of(parts: Iterable[Shelved]) -> set[str]:
    """Return the numbers of all recipients in these records."""
    return {person.number for part in parts for person in part.record.recipients}
