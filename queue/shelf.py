"""Records in a store: read, created once, changed by conditional writes.

It hides what every writer must mind: a ConditionError may be the answer to our own earlier success, so the
nonce of what stands there decides; a change that lost is made again on what won. After UnavailableError
the result is unknown. A body belongs to one record alone, so parts get copies.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from columba.common.errors import ConditionError, NotFoundError, StoreError, UnavailableError
from columba.queue import record as records
from columba.queue.outcome import Applied
from columba.queue.recent import Recent
from columba.queue.record import Record, changed
from columba.queue.store.base import ABSENT, Condition, match
from columba.queue.store.calls import StoreCalls

ENV: Final = "env/"
BODY: Final = "body/"
_TRIES: Final = 20
_BREATH: Final = 500  # keys that are looked at before the event loop may do something else


@dataclass(frozen=True, slots=True)
class Shelved:
    """A record as it stands in the store, and where."""

    key: str
    record: Record
    etag: str


def key_of(owner: str, name: str) -> str:
    """Return the key of a record: "env/<owner>/<name>"."""
    return f"{ENV}{owner}/{name}"


def owner_of(key: str) -> str:
    """Return the owner in a record's key."""
    return key.split("/")[1]


class Shelf:
    """The records of all owners of one store."""

    def __init__(self, store: StoreCalls, recent_octets: int = 0) -> None:
        self.store = store
        self.recent: Recent[Shelved] = Recent(recent_octets)

    async def load(self, key: str) -> Shelved:
        """Return a record; NotFoundError, RecordError."""
        found = await self.store.get(key)
        return Shelved(key, records.decode(found.data), found.etag)

    async def find(self, key: str) -> Shelved | None:
        """Return a record, or None when there is none."""
        try:
            return await self.load(key)
        except NotFoundError:
            return None

    async def recall(self, key: str) -> Shelved | None:
        """Return a record as we wrote it last, else as find; only for what ends in a conditional write."""
        return self.recent.find(key) or await self.find(key)

    async def create(self, key: str, record: Record) -> Shelved:
        """Write a record that is not there yet; ConditionError when another one is."""
        return await self._write(key, record, ABSENT)

    async def replace(self, old: Shelved, record: Record) -> Shelved:
        """Write a record over the one that was read; ConditionError when it has changed since."""
        return await self._write(old.key, record, match(old.etag))

    async def update(self, key: str, change: Callable[[Record], Record]) -> Shelved:
        """Change a record, again and again until no other writer comes between.

        change must be harmless when it is applied twice. A result equal to what is there is not written.
        NotFoundError when there is none.
        """
        for number in range(_TRIES):
            old, is_fresh = await self._old(key, number)
            new = change(old.record)
            if new == old.record:
                if is_fresh:
                    return old
                continue
            try:
                return await self.replace(old, new)
            except ConditionError:
                continue
        raise UnavailableError(f"{key}: changed by others all the time")

    async def update_with_parts(
        self, key: str, change: Callable[[Record], Applied], folder: Path
    ) -> Shelved:
        """Change a record, writing the parts that split from it first, under the same owner."""
        for number in range(_TRIES):
            old, is_fresh = await self._old(key, number)
            applied = change(old.record)
            if not is_fresh and (applied.parts or applied.record == old.record):
                continue  # what is not undone by a failed condition is done from what stands there
            for part in applied.parts:
                with suppress(ConditionError):  # it was stored before we were interrupted
                    own = await self.with_own_body(part, folder)
                    await self.create(key_of(owner_of(key), part.name), own)
            if applied.record == old.record:
                return old
            try:
                return await self.replace(old, applied.record)
            except ConditionError:
                continue
        raise UnavailableError(f"{key}: changed by others all the time")

    async def names(self, owner: str) -> AsyncIterator[str]:
        """Yield the keys of all records of an owner, in order; others get their turn now and then."""
        number = 0
        async for keys in self.store.pages(f"{ENV}{owner}/"):
            for key in keys:
                yield key
                number += 1
                if number % _BREATH == 0:
                    await asyncio.sleep(0)

    async def with_own_body(self, record: Record, folder: Path) -> Record:
        """Return the record with a copy of its body, when that is beside it in the store."""
        if not record.body_key:
            return record
        key = new_body_key(record.name)
        await self.store.copy(record.body_key, key, record.body_size, folder)
        return changed(record, body_key=key)

    async def _old(self, key: str, number: int) -> tuple[Shelved, bool]:
        """Return the record to change, and whether it was read just now: always but for the first try."""
        known = self.recent.find(key) if number == 0 else None
        return (known, False) if known is not None else (await self.load(key), True)

    async def _write(self, key: str, record: Record, condition: Condition) -> Shelved:
        record = records.written(record, secrets.token_hex(8))
        try:
            etag = await self.store.put(key, records.encode(record), condition)
        except ConditionError:
            self.recent.drop(key)
            there = await self.find(key)
            if there is None or there.record.nonce != record.nonce:
                raise
            return there
        except StoreError:
            self.recent.drop(key)
            raise
        shelved = Shelved(key, record, etag)
        self.recent.keep(shelved)
        return shelved


def new_body_key(name: str) -> str:
    """Return the key of a body that no other writer can have chosen; it tells when it was made."""
    return f"{BODY}{name}-{int(time.time()):x}-{secrets.token_hex(8)}"
