"""Advisory snapshots of what is due when: `index/<owner>/<n>`, so that a start reads no record that is not due.

They are written while the owner's names are listed, some thousands a page, and read in step with the listing: both
are in order of names. Nothing rests on them. What is not in one is due now; what one says may be as old as the last
listing, so that an order given since (a flush) may be lost with the process that was given it. Held records are
left out, and are looked at. (promises §7)
"""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

import msgspec

from columba.common.clock import Clock
from columba.common.errors import NotFoundError, StoreError
from columba.common.log.event import Event
from columba.queue.deadlines import BUCKET_S, NEVER
from columba.queue.document import RecordError
from columba.queue.plan import NEVER_S
from columba.queue.ready import Item
from columba.queue.schedule import Plan
from columba.queue.store.base import ANYTHING
from columba.queue.store.calls import StoreCalls

INDEX: Final = "index/"
PAGE: Final = 5000
LEAST: Final = 500  # an owner with fewer records needs no index
_OLDEST_S: Final = 86_400.0
_Row = tuple[str, float, str, str, float, int, int, bool]


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """One page: names without their owner, in order, each with its plan's fields."""

    v: int = 1
    at_s: float
    rows: list[_Row]


class Index:
    """The snapshots of all owners of a store."""

    def __init__(self, store: StoreCalls, clock: Clock, event: Event) -> None:
        self._store, self._clock, self._event = store, clock, event
        self._written: dict[tuple[str, int], bytes] = {}

    def writer(self, owner: str) -> "Writer":
        """Return what takes the plans of an owner's records, in order of their names."""
        return Writer(self, owner)

    async def read(self, owner: str) -> AsyncGenerator[tuple[str, Plan], None]:
        """Yield names and plans in order; ends early when a page can't be read."""
        with suppress(StoreError):
            async for leaf in self._leaves(owner):
                for row in leaf.rows:
                    yield row[0], plan_of_row(row)

    async def put(self, owner: str, number: int, rows: list[_Row]) -> None:
        """Write a page unless it is as it was; StoreError."""
        digest = hashlib.md5(msgspec.msgpack.encode(rows), usedforsecurity=False).digest()
        if self._written.get((owner, number)) == digest:
            return
        leaf = Leaf(at_s=self._clock.wall_s(), rows=rows)
        await self._store.put(_key(owner, number), msgspec.msgpack.encode(leaf), ANYTHING)
        self._written[owner, number] = digest

    async def cut(self, owner: str, count: int) -> None:
        """Remove an owner's pages from this number on; StoreError."""
        keep = {_key(owner, number) for number in range(count)}
        async for keys in self._store.pages(f"{INDEX}{owner}/"):
            for key in keys:
                if key not in keep:
                    await self._store.delete(key)
        for known in [known for known in self._written if known[0] == owner and known[1] >= count]:
            del self._written[known]

    async def _leaves(self, owner: str) -> AsyncGenerator[Leaf, None]:
        async for keys in self._store.pages(f"{INDEX}{owner}/"):
            for key in keys:
                leaf = await self._leaf(key)
                if leaf is not None:
                    yield leaf

    async def _leaf(self, key: str) -> Leaf | None:
        try:
            leaf = msgspec.msgpack.decode((await self._store.get(key)).data, type=Leaf)
        except NotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise RecordError(f"{key}: {error}") from error
        return leaf if self._clock.wall_s() - leaf.at_s < _OLDEST_S else None


class Writer:
    """Fills the pages of one owner during one listing. What fails is made good by the next one."""

    def __init__(self, index: Index, owner: str) -> None:
        self._index, self._owner = index, owner
        self._rows: list[_Row] = []
        self._number = 0
        self.count = 0

    async def add(self, name: str, item: Item | None) -> None:
        """Take one record; None: it is being tried, and is looked at after a start."""
        self.count += 1
        if item is not None and item.due_s < NEVER_S:
            self._rows.append(row_of(name, item))
        if len(self._rows) >= PAGE:
            await self._flush()

    async def end(self) -> None:
        """Write what is left; StoreError."""
        if self.count < LEAST:
            await self._index.cut(self._owner, 0)
            return
        await self._flush()
        await self._index.cut(self._owner, self._number)

    async def _flush(self) -> None:
        if self._rows:
            await self._index.put(self._owner, self._number, self._rows)
            self._number, self._rows = self._number + 1, []


class Reader:
    """What an owner's snapshots say, asked in order of names."""

    def __init__(self, index: Index, owner: str) -> None:
        self._rows = index.read(owner)
        self._next: tuple[str, Plan] | None = ("", Plan(0.0))

    async def plan(self, name: str) -> Plan | None:
        """Return the plan of a name that is greater than the one before."""
        while self._next is not None and self._next[0] < name:
            self._next = await anext(self._rows, None)
        known = self._next
        return known[1] if known is not None and known[0] == name else None

    async def close(self) -> None:
        """Read no further."""
        await self._rows.aclose()


def row_of(name: str, item: Item) -> _Row:
    """Return what a page keeps of a planned record."""
    deadline_s = 0.0 if item.deadline == NEVER else (item.deadline - 0.5) * BUCKET_S
    return (
        name,
        item.due_s,
        item.destination,
        item.flow,
        deadline_s,
        item.rank,
        item.cost,
        item.is_lost,
    )


def plan_of_row(row: _Row) -> Plan:
    """Return the plan that a row keeps."""
    _, due_s, destination, flow, deadline_s, rank, cost, is_lost = row
    return Plan(due_s, destination, flow, deadline_s, rank, cost, is_lost)


def _key(owner: str, number: int) -> str:
    return f"{INDEX}{owner}/{number:06d}"
