"""What an administrator's query reads: no record that memory or its key tells enough of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from columba.common import ids
from columba.common.log.event import Event
from columba.common.off_loop import OffLoop
from columba.queue.body import Bodies
from columba.queue.control import Control
from columba.queue.fence import Fence
from columba.queue.intake import Intake
from columba.queue.lease import Terms
from columba.queue.node import Node
from columba.queue.owner import Owners
from columba.queue.query import AtMost, parse
from columba.queue.record import PENDING, Recipient, Record, tombstone
from columba.queue.retry import RetryPolicy
from columba.queue.rules import Rules
from columba.queue.schedule import Schedule
from columba.queue.settle import Settler
from columba.queue.shelf import Shelf, key_of
from columba.queue.stock import Stock
from columba.queue.store.base import Object
from columba.queue.store.calls import StoreCalls
from columba.queue.transfer import Transfer
from tests.fakes.clock import FakeClock
from tests.fakes.memory_store import MemoryStore

NOW_S = 2_000_000_000.0


class Counting(MemoryStore):
    """A store that counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def get(self, key: str) -> Object:
        self.read.append(key)
        return super().get(key)


@asynccontextmanager
async def control_in(folder: Path, store: Counting) -> AsyncIterator[tuple[Control, Stock]]:
    clock, event = FakeClock(NOW_S), Event(lambda _level, _text: None)
    calls, off_loop, node = StoreCalls(store, 2, 10.0), OffLoop(2, "test"), Node(folder / "state")
    terms = Terms(30_000_000_000, 5_000_000_000)
    owners = Owners(calls, node, off_loop, clock=clock, terms=terms, event=event)
    stock = Stock(
        Shelf(calls),
        owners,
        Schedule(10, 10),
        clock=clock,
        policy=RetryPolicy(),
        tombstone_s=1000.0,
        event=event,
    )
    fence = Fence(calls, clock, 1.0, 1.0, event)
    settler = Settler(stock, fence, keep_s=1.0, spawn=lambda work, _: work.close(), sleep=_sleep)
    intake = Intake(stock, settler, off_loop, folder)
    bodies = Bodies(stock.shelf, off_loop, folder, "queue.0.1", event)
    transfer = Transfer(bodies, intake, off_loop, "queue.0.1", clock.monotonic_ns)
    try:
        await owners.begin()
        yield Control(stock, Rules(calls, clock, event), transfer), stock
    finally:
        node.close()
        calls.close()
        off_loop.close()


async def _sleep(seconds: float) -> None:
    return


async def stored(stock: Stock, age_s: float, is_done: bool = False) -> str:
    """Put a mail of this age into the queue and return its id."""
    name = id_at(NOW_S - age_s)
    people = (Recipient(number="1", spec={"address": b"a@b.test"}, state=PENDING),)
    record = Record(
        id=name, name=name, created_s=NOW_S - age_s, expires_s=NOW_S + 1e6, recipients=people
    )
    record = tombstone(record, NOW_S) if is_done else record
    main = stock.owners.main
    assert main is not None
    stock.plan(await stock.shelf.create(key_of(main.owner, name), record))
    return name


def id_at(wall_s: float) -> str:
    """Return a new id with this time."""
    digits, left = "", int(wall_s * 1000)
    while len(digits) < 10:
        digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[left % 32] + digits
        left //= 32
    return digits + ids.new_id()[10:]


async def listed(control: Control, query: str) -> list[object]:
    pages = control.pages("list", {"query": query})
    assert pages is not None
    return [row["id"] async for page in pages for row in page]


async def test_only_what_may_match_is_read(tmp_path: Path) -> None:
    store = Counting()
    async with control_in(tmp_path, store) as (control, stock):
        young = await stored(stock, 10.0)
        await stored(stock, 9000.0, is_done=True)
        old = await stored(stock, 9000.0)
        store.read.clear()
        assert await listed(control, "age>1h") == [old]
        assert [key.rpartition("/")[2] for key in store.read] == [old]
        store.read.clear()
        assert await listed(control, "") == [young, old]
        assert len(store.read) == 2, "one that is done is not read"
        store.read.clear()
        assert await listed(control, "owner=nobody AND age<1h") == []
        assert not store.read


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("age>2h", False),
        ("age>=2h", False),
        ("age=2h", False),
        ("age<2h", True),
        ("age!=2h", True),
        ("age>30m", None),
        ("age<30m", None),
        ("NOT age>2h", True),
    ],
)
def test_of_a_number_with_a_bound_only_what_is_sure_is_said(query: str, says: bool | None) -> None:
    assert parse(query).matches({"age": AtMost(3600.0)}) is says
