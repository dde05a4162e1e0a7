"""One look at a record that is due: recover, report, expire, try, finish.

A try begins with a claim, a conditional put, and ends with its result in one conditional put; between the two
sieve-filter is called with the recorded step. A claim that is found open is of a life that ended: in doubt. When the
worker of the call dies or is silent the result is in doubt too, and after the second death the message is
poison: held, and alone in the works when an administrator releases it. (promises §6, §7)
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from columba.common.errors import (
    ConditionError,
    NoPeerError,
    PeerError,
    PeerGoneError,
    StoreError,
    UnavailableError,
)
from columba.common.faultpoint import reached
from columba.common.ipc import wire
from columba.common.ipc.client import Answer
from columba.queue import message, outcome, reports
from columba.queue.body import Bodies
from columba.queue.bounce import Bounces
from columba.queue.document import RecordError
from columba.queue.owner import Holding
from columba.queue.plan import deadline_s, is_turn, within
from columba.queue.policy import Decisions, Policy
from columba.queue.record import Record, tombstone
from columba.queue.report import say_result
from columba.queue.settle import Sleep
from columba.queue.shelf import Shelved, owner_of
from columba.queue.stock import Stock

_AGAIN_S: Final = 1.0
_BUSY_S: Final = 5.0
_WRITE_TRIES: Final = 60
_GRACE_NS: Final = 1_000_000_000


class CallSieve(Protocol):
    """Calls sieve-filter."""

    async def __call__(
        self, handoff: wire.Handoff, parts: Sequence[bytes], until_ns: int
    ) -> Answer:
        """Return its answer; raise NoPeerError, PeerGoneError, PeerLateError."""
        ...

    def is_there(self) -> bool:
        """Tell whether there is anybody to call."""
        ...

    def told(self, id: str, outcomes: tuple[wire.Outcome, ...]) -> None:
        """Say that these outcomes are durable here, so that their keepers may forget them."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Times of an attempt, in nanoseconds."""

    run_ns: int
    # End-of-data may begin so long after the claim where nobody can take over from us.
    unshared_ns: int


@dataclass(frozen=True, slots=True)
class Next:
    """A record after a look at it, and when to look again: wait_s, else as the record says; None: never.

    until_s: it is suspended until then (wall clock); 0 = it is not.
    """

    shelved: Shelved | None
    wait_s: float | None = None
    until_s: float = 0.0


class Attempts:
    """Works on one record at a time, for the many that the schedule begins."""

    def __init__(
        self,
        stock: Stock,
        call: CallSieve,
        bounces: Bounces,
        bodies: Bodies,
        policy: Policy,
        limits: Limits,
        *,
        sleep: Sleep,
    ) -> None:
        self._stock, self._call, self._bounces = stock, call, bounces
        self._policy = policy
        self._sleep = sleep
        self._bodies, self._limits = bodies, limits
        self._calls = 0
        self._is_alone = False  # a poisonous message is being tried

    async def run(self, key: str) -> Next:
        """Do what is due for a record, and say what is to be planned. Raises StoreError."""
        holding = self._stock.owners.get(owner_of(key))
        if holding is None:
            return Next(None)
        if not self._stock.owners.is_held(holding):
            return Next(None, _AGAIN_S)
        try:
            found = await self._stock.shelf.recall(key)
        except RecordError as error:
            self._stock.set_aside(key, str(error))
            return Next(None)
        if found is None:
            return Next(None)
        if found.record.is_tombstone:
            return Next(await self._sweep(found))
        if self._stock.is_disowned(found.record.id):
            return Next(None, _AGAIN_S)
        found = await self._look(found, holding)
        if not found.record.pending:
            return Next(await self._finish(found))
        schedule = self._stock.schedule
        begun = schedule.begun_as(key)
        if not is_turn(found.record, begun, self._stock.now_s, schedule.is_down):
            return Next(found)
        until_s = self._policy.until_s(found)
        if until_s:
            return Next(found, until_s=until_s)
        return await self._try(found, holding)

    async def _look(self, found: Shelved, holding: Holding) -> Shelved:
        """Do what must be done for a record whether it is tried or not.

        What was owed before comes first: a report that a crash interrupted is made about the same recipients.
        """
        found = await self._recover(found)
        found = await self._report(found, holding)
        now_s = self._stock.now_s
        if found.record.active and deadline_s(found.record) <= now_s:
            found = await self._expire(found)
            found = await self._report(found, holding)
        return found

    async def _recover(self, found: Shelved) -> Shelved:
        if not found.record.claim.attempt:
            return found
        self._stock.event.warning("Found an attempt that did not end", id=found.record.id)
        return await self._stock.shelf.replace(found, self._doubted(found.record, has_died=False))

    async def _expire(self, found: Shelved) -> Shelved:
        now_s = self._stock.now_s
        new = await self._stock.shelf.update(
            found.key, lambda record: reports.noticed(outcome.expired(record, now_s), now_s)
        )
        say_result(self._stock.event, found.record, new.record, now_s)
        return new

    async def _report(self, found: Shelved, holding: Holding) -> Shelved:
        """Make each report that is due durable, then say so in the record."""
        for due in reports.due(found.record):
            form = await self._policy.form(found.record, due)
            dsn = await self._bounces.store(holding.owner, found.record, due, form)
            reached("bounce.stored")
            if dsn is not None:
                self._stock.plan(dsn)
            change = partial(reports.after, done=due, is_sent=dsn is not None)
            found = await self._stock.shelf.update(found.key, change)
        return found

    async def _finish(self, found: Shelved) -> Shelved:
        """Overwrite a record that has nothing pending by its tombstone."""
        now_s = self._stock.now_s

        def change(record: Record) -> Record:
            return record if record.pending or record.is_tombstone else tombstone(record, now_s)

        return await self._removed(found, await self._stock.shelf.update(found.key, change))

    async def _removed(self, old: Shelved, new: Shelved) -> Shelved:
        if new.record.is_tombstone and not old.record.is_tombstone:
            self._stock.event.info("Removed", id=new.record.id, name=new.record.name)
            await self._bodies.remove(old.record)
        return new

    async def _sweep(self, found: Shelved) -> Shelved | None:
        if found.record.finished_s + self._stock.tombstone_s > self._stock.now_s:
            return found
        await self._bodies.remove(found.record)
        await self._stock.shelf.store.delete(found.key)
        return None

    async def _try(self, found: Shelved, holding: Holding) -> Next:
        is_poison = found.record.deaths >= outcome.POISON_DEATHS
        if not self._call.is_there() or self._is_alone or (is_poison and self._calls):
            return Next(found, _AGAIN_S)
        self._calls += 1
        self._is_alone = is_poison
        try:
            # The body comes first: when it can't be read, nothing was begun and nothing is in doubt.
            async with self._bodies.as_frame(found.record) as sent:
                claimed = await self._stock.shelf.replace(
                    found,
                    outcome.claimed(
                        found.record, holding.owner, holding.lease.epoch, self._stock.now_s
                    ),
                )
                reached("attempt.claimed")
                return Next(await self._called(claimed, holding, *sent))
        finally:
            self._calls -= 1
            self._is_alone = self._is_alone and not is_poison

    async def _called(
        self, claimed: Shelved, holding: Holding, body: wire.Body, frame: bytes
    ) -> Shelved:
        record = claimed.record
        schedule = self._stock.schedule
        people = [p for p in record.active if p.doubt_s <= self._stock.now_s]
        people = within(people, schedule.begun_as(claimed.key), schedule.is_down)
        try:
            deadline_ns = self._stock.clock.monotonic_ns() + self._limits.run_ns
            handoff = message.handoff_of(
                record,
                people,
                body,
                deadline_ns=deadline_ns,
                not_after_boot_ns=self._end_ns(holding),
            )
            answer = await self._call(handoff, [record.header, frame], deadline_ns + _GRACE_NS)
            reached("attempt.answered")
            return await self._write_answer(claimed, answer)
        except NoPeerError:
            return await self._write(
                claimed, lambda r: outcome.unclaimed(r, self._stock.now_s + _BUSY_S)
            )
        except PeerError as error:
            has_died = isinstance(error, PeerGoneError)
            self._stock.event.warning("A try is in doubt", id=record.id, error=str(error))
            done = await self._write(claimed, lambda r: self._doubted(r, has_died))
            if done.record.hold == outcome.HOLD_POISON:
                self._stock.event.error("Held as poison", id=record.id, deaths=done.record.deaths)
            return done

    def _end_ns(self, holding: Holding) -> int:
        """Return when (CLOCK_BOOTTIME) no end-of-data may begin any more for this claim."""
        if self._stock.shelf.store.guarantees.shared:
            return self._stock.owners.end_ns(holding)
        return self._stock.clock.boottime_ns() + self._limits.unshared_ns

    async def _write_answer(self, claimed: Shelved, answer: Answer) -> Shelved:
        match answer.reply:
            case wire.Outcomes(outcomes=outcomes, variants=variants):
                changes = await self._bodies.variants(claimed.record, variants, answer.parts)
                done = await self._write_outcomes(claimed, outcomes, changes)
                self._call.told(claimed.record.id, outcomes)
                return done
            case wire.Busy() | wire.Expired():
                return await self._write(
                    claimed, lambda r: outcome.unclaimed(r, self._stock.now_s + _BUSY_S)
                )
            case reply:
                kind = type(reply).__name__
                self._stock.event.error("A try failed", id=claimed.record.id, answer=kind)
                return await self._write(claimed, lambda r: self._doubted(r, has_died=False))

    async def _write_outcomes(
        self, claimed: Shelved, outcomes: tuple[wire.Outcome, ...], changes: list[outcome.Variant]
    ) -> Shelved:
        """Write what the outcomes make of the record; when nothing is left to do, at once its tombstone."""
        now_s, policy = self._stock.now_s, self._stock.policy
        told = claimed.record
        decisions = await self._decide(claimed.record, outcomes, now_s)

        def apply(record: Record) -> outcome.Applied:
            nonlocal told
            applied = outcome.apply(record, outcomes, changes, now_s, policy)
            if decisions:
                decided = partial(outcome.decided, decisions=decisions, now_s=now_s)
                parts = tuple(decided(part) for part in applied.parts)
                applied = outcome.Applied(decided(applied.record), parts)
            told = applied.record
            if told.pending or record.is_tombstone:
                return applied
            return outcome.Applied(tombstone(told, now_s), applied.parts)

        self._stock.feedback(outcomes)
        done = await self._persist(
            lambda: self._stock.shelf.update_with_parts(claimed.key, apply, self._bodies.folder)
        )
        reached("attempt.written")
        say_result(self._stock.event, claimed.record, told, now_s)
        if any(person.child for person in done.record.recipients):
            for part in await self._stock.all_parts(claimed.record.id):
                if part.key != done.key:
                    self._stock.plan(part)
        return await self._removed(claimed, done)

    async def _decide(
        self, record: Record, outcomes: tuple[wire.Outcome, ...], now_s: float
    ) -> Decisions:
        """Ask policy about those whose try failed, showing it what the defaults make of them."""
        failed = [
            o.number for o in outcomes if o.kind == "deferred" and not (o.in_doubt or o.untried)
        ]
        if not failed:
            return {}
        after = outcome.apply(record, outcomes, (), now_s, self._stock.policy)
        return await self._policy.decide(after.record, failed)

    def _doubted(self, record: Record, has_died: bool) -> Record:
        return outcome.doubted(record, self._stock.now_s, self._stock.policy, has_died)

    async def _write(self, claimed: Shelved, change: Callable[[Record], Record]) -> Shelved:
        """End the claim by a change, once: its first write may have been done although its answer was lost."""
        claim = claimed.record.claim

        def ended(record: Record) -> Record:
            return change(record) if record.claim == claim else record

        return await self._persist(lambda: self._stock.shelf.update(claimed.key, ended))

    async def _persist(self, write: Callable[[], Awaitable[Shelved]]) -> Shelved:
        """Write a result, again and again: what a hop said must not be lost to a store that fails for a while.

        It is written even when our lease was lost meanwhile: what others wrote is read again and merged.
        """
        for number in range(_WRITE_TRIES):
            try:
                return await write()
            except StoreError as error:
                if not error.temporary or isinstance(error, ConditionError):
                    raise
                self._stock.event.warning("A result can't be written yet", error=str(error))
                await self._sleep(min(_AGAIN_S * (number + 1), 10.0))
        raise UnavailableError("a result could not be written")
