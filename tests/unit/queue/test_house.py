"""Housekeeping: bodies that nobody has, leases that guard nothing, memory that a million messages take."""

import tracemalloc
from pathlib import Path

from columba.common.idforms import derived_id
from columba.common.log.event import Event
from columba.common.off_loop import OffLoop
from columba.queue.fence import Fence
from columba.queue.house import ORPHAN_S, House
from columba.queue.lease import Terms
from columba.queue.node import Node
from columba.queue.owner import Owners
from columba.queue.record import Record
from columba.queue.retry import RetryPolicy
from columba.queue.schedule import Plan, Schedule
from columba.queue.settle import Settler
from columba.queue.shelf import Shelf, key_of, new_body_key
from columba.queue.stock import Stock
from columba.queue.store.base import ABSENT
from columba.queue.store.calls import StoreCalls
from columba.queue.store.file import FileStore
from tests.fakes.clock import FakeClock

S = 1_000_000_000
ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


async def test_only_old_bodies_that_no_record_has_are_swept(tmp_path: Path) -> None:
    clock = FakeClock()
    store = FileStore(tmp_path / "store")
    calls, off_loop, node = StoreCalls(store, 2, 10.0), OffLoop(2, "test"), Node(tmp_path / "state")
    event = Event(lambda _level, _text: None)
    owners = Owners(calls, node, off_loop, clock=clock, terms=Terms(30 * S, 5 * S), event=event)
    stock = Stock(
        Shelf(calls),
        owners,
        Schedule(10, 10),
        clock=clock,
        policy=RetryPolicy(),
        tombstone_s=1.0,
        event=event,
    )
    fence = Fence(calls, clock, 1.0, 1.0, event)
    settler = Settler(stock, fence, keep_s=1.0, spawn=_never, sleep=_no_sleep)
    house = House(stock, fence, settler)
    try:
        used, orphan = new_body_key(ID), new_body_key(f"{ID}.2")
        for key in (used, orphan):
            store.put(key, b"body", ABSENT)
        record = Record(id=ID, name=ID, body_key=used)
        await stock.shelf.create(key_of("another-0", ID), record)
        made_s = int(used.split("-")[1], 16)
        clock.advance(made_s - clock.wall_s() + ORPHAN_S - 10)
        assert await house.sweep_bodies() == 0, "an intake may still be under way"
        clock.advance(20)
        assert await house.sweep_bodies() == 1
        assert store.list("body/").keys == (used,)
    finally:
        node.close()
        calls.close()
        off_loop.close()


def test_a_queued_message_takes_at_most_400_octets() -> None:
    count = 20_000
    schedule = Schedule(10, 10)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(count):
            name = f"env/0123456789ab-0/{derived_id(ID, str(number))}"
            schedule.add(
                name,
                Plan(
                    1.8e9 + number,
                    "mx:example.net",
                    "sender@example.org",
                    1.8e9 + number + 14_400,
                    is_lost=number % 2 == 0,
                ),
            )
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(schedule) == count
    assert (after - before) / count <= 400


def _never(work: object, what: str) -> object:
    raise AssertionError(what)


async def _no_sleep(seconds: float) -> None:
    return
