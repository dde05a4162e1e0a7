"""Outcomes that come late, and intakes that must have no effect.

An outcome about a message that we do not have is kept for some minutes, in case its intake is on its way, and
becomes a fence record at once if it says `delivered`. An intake of unknown result is disowned: tombstones stand
where it would write, so that it can't succeed later, and what it wrote is overwritten. But each caller takes back
its own intake alone: what another was told to be stored stays, and another's later intake replaces the tombstone.
"""

from collections.abc import Coroutine, Sequence
from typing import Protocol

from columba.common.errors import StoreError
from columba.common.hop.destination import final
from columba.common.idforms import is_id
from columba.common.ipc import wire
from columba.queue import outcome
from columba.queue.fence import Fence
from columba.queue.locks import Locks
from columba.queue.record import (
    DISOWNED,
    Recipient,
    Record,
    changed,
    tombstone,
    with_recipients,
)
from columba.queue.shelf import Shelved, key_of
from columba.queue.stock import Stock, numbers_of

_REMEMBERED = 10_000
_RETRY_S = 1.0
_TRIES = 300


class Spawn(Protocol):
    """Runs work beside everything else."""

    def __call__(self, work: Coroutine[object, object, None], what: str) -> object:
        """Begin the work."""
        ...


class Sleep(Protocol):
    """Waits."""

    async def __call__(self, seconds: float) -> None:
        """Return after so many seconds."""
        ...


class Settler:
    """Takes Settle and Disown."""

    def __init__(
        self, stock: Stock, fence: Fence, *, keep_s: float, spawn: Spawn, sleep: Sleep
    ) -> None:
        self._stock, self._fence, self._keep_s = stock, fence, keep_s
        self._spawn, self._sleep = spawn, sleep
        self._taking: dict[tuple[str, str], wire.Disown] = {}
        self.locks = Locks()
        stock.is_disowned = self.is_disowned
        self._early: dict[str, tuple[float, tuple[wire.Outcome, ...]]] = {}

    async def settle(self, request: wire.Settle) -> None:
        """Let late outcomes take effect; harmless when repeated. Raises StoreError."""
        # A sibling's record too: it may be dead, and its records not yet adopted.
        base = await self._stock.base(request.id) or await self._stock.sibling_base(request.id)
        if base is None:
            self._remember(request)
            await self._fence_delivered(request)
            return
        by_key: dict[str, list[wire.Outcome]] = {}
        for each in request.outcomes:
            part = await self._stock.part_with(base, each.number)
            by_key.setdefault(part.key, []).append(each)
        for key, outcomes in by_key.items():
            await self._settle(key, outcomes)

    async def catch_up(self, shelved: Shelved) -> Shelved:
        """Return a record that was just stored after the outcomes that came before it."""
        _, outcomes = self._early.pop(shelved.record.id, (0.0, ()))
        if not outcomes:
            return shelved
        return await self._settle(shelved.key, list(outcomes))

    def take_back(self, request: wire.Disown, owner: str) -> None:
        """Disown an intake that failed as soon as the store allows it, unless its caller asks again before.

        owner: below whom it was to be written. What was written is taken back there although others may have that
        lease by then; "" = nothing was written.
        """
        self._taking[request.id, request.by] = request
        self._spawn(self._insist(request, owner), "disown")

    def is_disowned(self, id: str) -> bool:
        """Tell whether an intake of this message is being taken back: it may be written yet, and must not be tried.

        Who was told that it is stored loses nothing by the wait.
        """
        return any(taking == id for taking, _ in self._taking)

    def leave(self, id: str, by: str) -> None:
        """Take nothing back for this caller any more: it asks again."""
        self._taking.pop((id, by), None)

    async def disown(self, request: wire.Disown) -> None:
        """Undo a caller's intake of these recipients, and keep a late write of it from succeeding.

        Raises StoreError.
        """
        async with self.locks.held(request.id):
            await self._disown(request)

    async def _disown(self, request: wire.Disown, owner: str = "") -> None:
        main = self._stock.owners.main
        owner = owner or (main.owner if main is not None else "")
        if not owner or not request.numbers or not is_id(request.id):
            return
        gone = [Recipient(number=number, state=DISOWNED) for number in request.numbers]
        key = key_of(owner, request.id)
        base = await self._stock.base(request.id) or await self._stock.shelf.find(key)
        if base is None:
            bare = Record(
                id=request.id,
                name=request.id,
                disowned_by=[request.by],
                recipients=tuple(gone),
            )
            stone = tombstone(bare, self._stock.now_s)
            self._stock.plan(await self._stock.shelf.create(key, stone))
            return
        parts = await self._stock.parts_of(base)  # not by id: our lease may be lost meanwhile
        for part in parts:
            await self._take_back(part.key, request)
        known = numbers_of(parts)
        missing = [each for each in gone if each.number not in known]
        if missing:
            await self._stock.shelf.update(
                base.key, lambda old: _disowning(with_missing(old, missing), request.by)
            )
        self._stock.event.info("Disowned", id=request.id, numbers=",".join(request.numbers))

    def sweep(self) -> None:
        """Forget outcomes whose intake did not come."""
        oldest_s = self._stock.now_s - self._keep_s
        for id in [id for id, (at_s, _) in self._early.items() if at_s < oldest_s]:
            del self._early[id]

    async def _settle(self, key: str, outcomes: Sequence[wire.Outcome]) -> Shelved:
        now_s = self._stock.now_s
        shelved = await self._stock.shelf.update(
            key, lambda old: outcome.settled(old, outcomes, now_s)
        )
        for each in outcomes:
            self._stock.event.info(
                "Settled late",
                id=shelved.record.id,
                number=each.number,
                outcome=each.kind,
                hop=each.hop or None,
                reply=f"{each.code} {each.text}",
            )
        self._stock.plan(shelved)
        return shelved

    async def _take_back(self, key: str, request: wire.Disown) -> None:
        now_s = self._stock.now_s

        def change(old: Record) -> Record:
            if request.by not in old.by:
                return old
            left = [by for by in old.by if by != request.by]
            if left:
                return changed(old, by=left)
            people = [
                Recipient(number=person.number, spec=person.spec, state=DISOWNED)
                for person in old.pending
                if person.number in request.numbers
            ]
            new = _disowning(with_recipients(old, people), request.by)
            return new if new.pending or old.is_tombstone else tombstone(new, now_s)

        self._stock.plan(await self._stock.shelf.update(key, change))

    async def _insist(self, request: wire.Disown, owner: str) -> None:
        for _ in range(_TRIES):
            try:
                await self._disown_unless_left(request, owner)
                return
            except StoreError:
                await self._sleep(_RETRY_S)
        if self._taking.get((request.id, request.by)) is request:
            self.leave(request.id, request.by)
        self._stock.event.error("An intake could not be taken back", id=request.id)

    async def _disown_unless_left(self, request: wire.Disown, owner: str) -> None:
        async with self.locks.held(request.id):
            if self._taking.get((request.id, request.by)) is request:
                await self._disown(request, owner)
                self.leave(request.id, request.by)

    async def _fence_delivered(self, request: wire.Settle) -> None:
        pairs = tuple(
            (each.original or each.address, final(each.address, each.folder))
            for each in request.outcomes
            if each.kind == "delivered" and each.address
        )
        if pairs and request.fence:
            put = wire.FencePut(base=request.fence, id=request.id, pairs=pairs)
            await self._fence.put(put)

    def _remember(self, request: wire.Settle) -> None:
        if not is_id(request.id):
            return
        while len(self._early) >= _REMEMBERED:
            del self._early[next(iter(self._early))]
        _, known = self._early.get(request.id, (0.0, ()))
        self._early[request.id] = (self._stock.now_s, known + request.outcomes)


def with_missing(record: Record, people: Sequence[Recipient]) -> Record:
    """Return the record with those of these recipients that it does not have: what is stored stays."""
    known = {person.number for person in record.recipients}
    return with_recipients(record, [person for person in people if person.number not in known])


def _disowning(record: Record, by: str) -> Record:
    return changed(record, disowned_by=sorted({*record.disowned_by, by}))
