"""Become responsible: make a message durable, then say so, never the other way round (promises §1, §7).

Each (id, number) is stored once. A first store is one conditional put of `env/<owner>/<id>`, with a body of up to
64 KiB inside; a larger body is an object of its own, written before. When the message is there already, only
the recipients that are missing are stored, as a part of their own, and the first record learns where they are.
"Stored" is answered only if our lease still holds after the put; else what was written is taken back.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from columba.common.errors import ConditionError, StoreError
from columba.common.faultpoint import reached
from columba.common.ipc import wire
from columba.common.ipc.spool import BodySource, open_body
from columba.common.off_loop import OffLoop
from columba.queue import message
from columba.queue.owner import Holding
from columba.queue.record import DISOWNED, INLINE_LIMIT, Record, changed, with_recipients
from columba.queue.settle import Settler
from columba.queue.shelf import Shelved, key_of, new_body_key, owner_of
from columba.queue.stock import Stock
from columba.queue.store.base import ABSENT

_READ_S = 10.0
_LEASE_LOST = "the queue lost its lease"


class Intake:
    """Stores what the chain can't finish."""

    def __init__(self, stock: Stock, settler: Settler, off_loop: OffLoop, spool: Path) -> None:
        self._stock, self._settler = stock, settler
        self._off_loop, self._spool = off_loop, spool

    async def store(
        self, request: wire.Intake, parts: Sequence[bytes]
    ) -> wire.Stored | wire.NotStored:
        """Answer Stored when every recipient is durable, else NotStored, and then nothing will come of it."""
        handoff = request.handoff
        try:
            message.check(handoff)
        except message.MessageError as error:
            self._stock.event.error("Not stored", id=handoff.id[:40], error=str(error))
            return wire.NotStored(text=str(error))
        numbers = tuple(recipient.number for recipient in handoff.recipients)
        holding = self._stock.owners.main
        try:
            async with self._settler.locks.held(handoff.id):
                self._settler.leave(handoff.id, request.by)
                await self._store(request, parts, holding)
        except (StoreError, TimeoutError) as error:
            text = str(error) or "the spool is too slow"
            self._stock.event.error("Not stored", id=handoff.id, error=text)
            undo = wire.Disown(id=handoff.id, numbers=numbers, by=request.by)
            self._settler.take_back(undo, holding.owner if holding is not None else "")
            return wire.NotStored(text=text)
        self._say(request)
        reached("intake.answer")
        return wire.Stored()

    async def _store(
        self, request: wire.Intake, parts: Sequence[bytes], holding: Holding | None
    ) -> None:
        if holding is None or not self._stock.owners.is_held(holding):
            raise StoreError(_LEASE_LOST)
        handoff = request.handoff
        header, inline = (*parts, b"", b"")[:2]
        record = message.record_of(request, header, b"", self._stock.now_s, self._stock.policy)
        numbers = [person.number for person in record.recipients]
        base = await self._known(handoff.id)
        if base is not None and not message.missing(base.record, numbers):
            await self._rely(base, numbers, record)
            return
        with await self._opened(handoff.body, inline) as source:
            await self._write(record, base, holding, source)
        reached("intake.stored")
        if not self._stock.owners.is_held(holding):
            raise StoreError(_LEASE_LOST)

    async def _opened(self, body: wire.Body, inline: bytes) -> BodySource:
        """Return a call's body; what came with it needs no thread."""
        if not body.spool:
            return open_body(self._spool, body, inline)
        return await self._off_loop.run(_READ_S, open_body, self._spool, body, inline)

    async def _known(self, id: str) -> Shelved | None:
        """Return what another owner has of this message; our own lease's records show in the put."""
        others = len(self._stock.owners.owners) > 1
        base = await self._stock.base(id) if others else None
        return base or await self._stock.sibling_base(id)

    async def _write(
        self, record: Record, base: Shelved | None, holding: Holding, source: BodySource
    ) -> None:
        if base is None:
            record = await self._with_body(record, source)
            base = await self._create(key_of(holding.owner, record.name), record)
            if base is None:
                return
        await self._add_missing(record, base, holding, source)

    async def _create(self, key: str, record: Record) -> Shelved | None:
        """Store a record, also over a tombstone of intakes that others took back; return what stands there else.

        A caller that has taken its intake back does not get it stored by that same intake, come late.
        """
        shelf = self._stock.shelf
        try:
            stored = await shelf.create(key, record)
        except ConditionError:
            there = await shelf.load(key)
            if not is_free(there.record):
                return there
            if set(record.by) & set(there.record.disowned_by):
                raise StoreError("its caller has taken it back") from None
            stored = await shelf.replace(there, over(there.record, record))
        self._stock.plan(await self._settler.catch_up(stored))
        return None

    async def _rely(self, base: Shelved, numbers: Sequence[str], record: Record) -> None:
        """Note that another caller relies on these recipients, so that the first one can't disown them.

        What that caller holds for doubtful is in doubt from now on: a process that died above may have had it
        stored as untried, while the one below has handed it over.
        """
        doubts = {person.number: person.doubt_s for person in record.recipients}
        keys: dict[str, list[str]] = {}
        for number in numbers:
            keys.setdefault((await self._stock.part_with(base, number)).key, []).append(number)
        for key, each in keys.items():
            shelved = await self._stock.shelf.update(
                key, lambda old: relied_on(old, record.by[0], doubts)
            )
            if message.missing(shelved.record, each):
                raise ConditionError(f"{key}: taken back at the same time")
            self._stock.plan(shelved)

    async def _add_missing(
        self, record: Record, base: Shelved, holding: Holding, source: BodySource
    ) -> None:
        """Store the recipients that the message lacks as a part, and let its first record know."""
        known = [person.number for person in record.recipients]
        numbers = message.missing(base.record, known)
        known = [number for number in known if number not in numbers]
        if known:
            await self._rely(base, known, record)
        if not numbers:
            return
        name = message.part_name(record.id, numbers)
        part = message.part_of(record, numbers, name)
        part = changed(part, fenced=message.excluded(base.record, part))
        if not part.body_key and not part.body:
            part = await self._with_body(part, source)
        is_ours = self._stock.owners.get(owner_of(base.key)) is not None
        owner = owner_of(base.key) if is_ours else holding.owner
        there = await self._create(key_of(owner, name), part)
        if there is not None:
            if message.missing(there.record, numbers):
                raise ConditionError(f"{there.key}: another part has this name")
            await self._rely(there, numbers, record)
        reached("intake.part")
        if is_ours:
            await self._stock.shelf.update(
                base.key,
                lambda old: with_recipients(
                    old, message.pointers(message.missing(old, numbers), name)
                ),
            )

    async def _with_body(self, record: Record, source: BodySource) -> Record:
        if source.size <= INLINE_LIMIT:
            body = source.inline
            if not source.is_inline:
                body = await self._off_loop.run(_READ_S, b"".join, source.chunks())
            return changed(record, body=body, body_key="", body_size=len(body))
        key = new_body_key(record.name)
        await self._stock.shelf.store.put_chunks(key, source.chunks, source.size, ABSENT)
        reached("intake.body")
        return changed(record, body=b"", body_key=key, body_size=source.size)

    def _say(self, request: wire.Intake) -> None:
        replies = {outcome.number: outcome for outcome in request.replies}
        for recipient in request.handoff.recipients:
            reply = replies.get(recipient.number)
            self._stock.event.info(
                "Queued",
                id=request.handoff.id,
                to=recipient.address.decode("utf-8", "replace"),
                number=recipient.number,
                step=request.handoff.step,
                hop=reply.hop or None if reply else None,
                reply=f"{reply.code} {reply.text}" if reply else None,
                in_doubt=request.in_doubt or None,
            )


def relied_on(record: Record, by: str, doubts: Mapping[str, float]) -> Record:
    """Return a record that another caller relies on, with the later end of each doubt."""
    people = [
        msgspec.structs.replace(person, doubt_s=doubts[person.number])
        for person in record.active
        if doubts.get(person.number, 0.0) > person.doubt_s
    ]
    return with_recipients(changed(record, by=sorted({*record.by, by})), people)


def is_free(record: Record) -> bool:
    """Tell whether a record only marks intakes that were taken back, so that another may have its place."""
    return record.is_tombstone and all(r.state == DISOWNED for r in record.recipients)


def over(stone: Record, record: Record) -> Record:
    """Return a record that takes the place of a tombstone, and remembers what that was for."""
    own = {person.number for person in record.recipients}
    others = [person for person in stone.recipients if person.number not in own]
    return changed(with_recipients(record, others), seq=stone.seq, disowned_by=stone.disowned_by)
