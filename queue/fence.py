"""The fence against duplicates: who got a mail although its client was not told (promises §4).

One object `fence/<hash>` for each (base of the key, original recipient), in the queue's store, where all nodes
see it. An answer that can't be read means "not known": deliver. `live` tells callers whether to ask at all.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

from columba.common.clock import Clock
from columba.common.errors import ConditionError, NotFoundError, StoreError, UnavailableError
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.queue.document import Map, RecordError, build, flat, pack, unpack
from columba.queue.store.base import ABSENT, Object, match
from columba.queue.store.calls import StoreCalls

FENCE: Final = "fence/"
_TRIES: Final = 10
_FINALS: Final = 1000
_LIMIT: Final = 1 << 20


class FenceRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one original recipient's finals got. seq makes each write another content."""

    v: int = 1
    id: str
    original: bytes
    finals: list[bytes] = []
    doubts: list[bytes] = []  # finals whose next hop has not said what became of the mail
    doubt_at_s: float = 0.0
    at_s: float = 0.0
    seq: int = 0
    extra: Map = {}


class Fence:
    """The fence records of a store."""

    def __init__(
        self, store: StoreCalls, clock: Clock, keep_s: float, in_doubt_s: float, event: Event
    ) -> None:
        self._store, self._clock, self._event = store, clock, event
        self._keep_s, self._in_doubt_s = keep_s, in_doubt_s
        self._keys: set[str] = set()

    @property
    def live(self) -> int:
        """Return how many records there are, as far as is known here."""
        return len(self._keys)

    async def put(self, request: wire.FencePut) -> None:
        """Write the records of one mail, durably; StoreError when one can't be."""
        finals: dict[bytes, list[bytes]] = {}
        for original, final in request.pairs:
            finals.setdefault(original, []).append(final)
        for original, each in finals.items():
            await self._put(key_of(request.base, original), original, each, request)
            self._event.info(
                "Fenced", id=request.id, to=_show(original), in_doubt=request.in_doubt or None
            )

    async def ask(self, request: wire.FenceAsk) -> wire.FenceTold:
        """Return what is known of these recipients."""
        fenced = []
        for original in request.originals if request.base else ():
            found = await self._read(key_of(request.base, original))
            if found is not None:
                fenced += self._entries(found, original)
                self._event.info("Met the fence", fenced_id=found.id, to=_show(original))
        return wire.FenceTold(fenced=tuple(fenced))

    async def drop(self, request: wire.FenceDrop) -> None:
        """Remove records whose client was told, and doubts that are over."""
        for original in request.originals:
            await self._remove(key_of(request.base, original))
        for original, final in request.doubts:
            await self._clear(key_of(request.base, original), final)

    async def look(self) -> None:
        """Learn of the records that other processes and nodes wrote and removed; StoreError."""
        self._keys = {key async for page in self._store.pages(FENCE) for key in page}

    async def sweep(self) -> None:
        """Learn of the records that others wrote, and remove those that are too old."""
        await self.look()
        for key in sorted(self._keys):
            found = await self._get(key)
            if found is not None and self._clock.wall_s() - found.at_s > self._keep_s:
                await self._remove(key)

    def _entries(self, found: FenceRecord, original: bytes) -> list[wire.Fenced]:
        """Return what was reached, and apart from it what may have been."""
        reached = wire.Fenced(original=original, finals=tuple(found.finals), id=found.id)
        doubtful = wire.Fenced(
            original=original, finals=tuple(found.doubts), in_doubt=True, id=found.id
        )
        is_fresh = self._clock.wall_s() - found.doubt_at_s <= self._in_doubt_s
        doubts = [doubtful] if found.doubts and is_fresh else []
        return [reached, *doubts] if found.finals else doubts

    async def _remove(self, key: str) -> None:
        await self._store.delete(key)
        self._keys.discard(key)

    async def _clear(self, key: str, final: bytes) -> None:
        """End one doubt; what was delivered stays known."""
        for _ in range(_TRIES):
            try:
                there = await self._store.get(key)
                old = _decode(there)
            except (NotFoundError, RecordError):
                return
            doubts = [each for each in old.doubts if each != final]
            if not doubts and not old.finals:
                await self._remove(key)
                return
            new = msgspec.structs.replace(old, doubts=doubts, seq=old.seq + 1)
            try:
                await self._store.put(key, pack(flat(new)), match(there.etag))
            except ConditionError:
                continue
            return

    async def _read(self, key: str) -> FenceRecord | None:
        try:
            found = await self._get(key)
        except StoreError as error:
            self._event.warning("The fence can't be read", error=str(error))
            return None
        if found is None:
            return None
        return found if self._clock.wall_s() - found.at_s <= self._keep_s else None

    async def _get(self, key: str) -> FenceRecord | None:
        try:
            return _decode(await self._store.get(key))
        except (NotFoundError, RecordError):
            return None

    async def _put(
        self, key: str, original: bytes, finals: Iterable[bytes], request: wire.FencePut
    ) -> None:
        for _ in range(_TRIES):
            try:
                there = await self._store.get(key)
                old, condition = _decode(there), match(there.etag)
            except NotFoundError:
                old, condition = FenceRecord(id=request.id, original=original), ABSENT
            except RecordError:
                old, condition = FenceRecord(id=request.id, original=original), match(there.etag)
            new = _joined(old, finals, request, self._clock.wall_s())
            self._keys.add(key)
            try:
                await self._store.put(key, pack(flat(new)), condition)
            except ConditionError:
                continue  # another's write, or our own whose answer was lost: joining again is harmless
            return
        raise UnavailableError(f"{key}: changed by others all the time")


def key_of(base: bytes, original: bytes) -> str:
    """Return the key of the record for one original recipient."""
    size = len(base).to_bytes(4, "big")
    return FENCE + hashlib.sha256(size + base + original).hexdigest()


def _joined(
    old: FenceRecord, finals: Iterable[bytes], request: wire.FencePut, now_s: float
) -> FenceRecord:
    known, doubts, doubt_at_s = list(old.finals), list(old.doubts), old.doubt_at_s
    if request.in_doubt:
        doubts, doubt_at_s = [*doubts, *finals], now_s
    else:
        known = [*known, *finals]
    known = list(dict.fromkeys(known))[:_FINALS]
    # What was delivered stays so, whoever is in doubt later.
    doubts = [each for each in dict.fromkeys(doubts) if each not in known][:_FINALS]
    return msgspec.structs.replace(
        old,
        id=request.id,
        finals=known,
        doubts=doubts,
        doubt_at_s=doubt_at_s,
        at_s=now_s,
        seq=old.seq + 1,
    )


def _decode(found: Object) -> FenceRecord:
    return build(unpack(found.data, _LIMIT), FenceRecord)


def _show(address: bytes) -> str:
    return address.decode("utf-8", "replace")
