"""Snapshots of the schedule: a start reads no record that is not due, and trusts no snapshot too far."""

from pathlib import Path

from columba.common.log.event import Event
from columba.common.off_loop import OffLoop
from columba.queue.index import INDEX, LEAST, PAGE, Reader
from columba.queue.lease import Terms
from columba.queue.node import Node
from columba.queue.owner import Owners
from columba.queue.plan import NEVER_S
from columba.queue.retry import RetryPolicy
from columba.queue.schedule import Plan, Schedule
from columba.queue.shelf import Shelf, key_of
from columba.queue.stock import Stock
from columba.queue.store.base import ABSENT, ANYTHING
from columba.queue.store.calls import StoreCalls
from tests.fakes.clock import FakeClock
from tests.fakes.memory_store import MemoryStore

S = 1_000_000_000


class Life:
    """One process's stock on a store that outlives it."""

    def __init__(self, store: MemoryStore, folder: Path, clock: FakeClock) -> None:
        self.calls, self.node = StoreCalls(store, 2, 10.0), Node(folder)
        self.off_loop, event = OffLoop(2, "test"), Event(lambda _level, _text: None)
        terms = Terms(30 * S, 5 * S)
        self.owners = Owners(
            self.calls, self.node, self.off_loop, clock=clock, terms=terms, event=event
        )
        self.stock = Stock(
            Shelf(self.calls),
            self.owners,
            Schedule(10, 10),
            clock=clock,
            policy=RetryPolicy(),
            tombstone_s=1e6,
            event=event,
        )

    async def begin(self) -> str:
        return (await self.owners.begin()).owner

    def end(self) -> None:
        self.node.close()
        self.calls.close()
        self.off_loop.close()


def name(number: int) -> str:
    return f"{number:026d}"


async def filled(life: Life, store: MemoryStore, count: int) -> str:
    """Put records that nobody reads under an owner, and plan them."""
    owner = await life.begin()
    for number in range(count):
        key = key_of(owner, name(number))
        store.put(key, b"", ABSENT)
        due_s = NEVER_S if number == 3 else 1.9e9 + number
        plan = Plan(due_s, f"mx:d{number % 5}.example", "sender", 1.95e9, 2, 3, number % 2 == 0)
        life.stock.schedule.add(key, plan)
    assert await life.stock.keep_index(owner) == count
    return owner


async def test_the_next_life_knows_when_each_is_due_and_who_is_new(tmp_path: Path) -> None:
    store, clock, count = MemoryStore(), FakeClock(1.8e9), 2 * PAGE + 10
    first = Life(store, tmp_path, clock)
    owner = await filled(first, store, count)
    first.end()
    assert len(store.list(INDEX).keys) == 3
    store.put(key_of(owner, name(7) + ".1"), b"", ABSENT)
    store.delete(key_of(owner, name(9)))
    second = Life(store, tmp_path, clock)
    try:
        assert await second.begin() == owner
        assert await second.stock.load_owner(owner) == count
        schedule = second.stock.schedule
        assert len(schedule) == count
        last = schedule.item(key_of(owner, name(count - 1)))
        assert last is not None
        assert (last.due_s, last.destination) == (1.9e9 + count - 1, "mx:d4.example")
        assert (last.flow, last.rank, last.cost, last.is_lost) == ("sender", 2, 3, False)
        before = first.stock.schedule.item(key_of(owner, name(count - 1)))
        assert before is not None and last.deadline == before.deadline
        due = set(schedule.begin(1.8e9))
        assert due == {key_of(owner, name(3)), key_of(owner, name(7) + ".1")}, "held and new ones"
    finally:
        second.end()


async def test_old_and_broken_snapshots_count_for_nothing(tmp_path: Path) -> None:
    for harm in ("old", "broken"):
        store, clock = MemoryStore(), FakeClock(1.8e9)
        life = Life(store, tmp_path / harm, clock)
        owner = await filled(life, store, LEAST)
        if harm == "old":
            clock.advance(100_000)
        else:
            store.put(store.list(INDEX).keys[0], b"\xc1", ANYTHING)
        reader = Reader(life.stock.index, owner)
        assert await reader.plan(name(1)) is None
        await reader.close()
        life.end()


async def test_a_page_that_is_as_it_was_is_not_written_again(tmp_path: Path) -> None:
    store, clock = MemoryStore(), FakeClock(1.8e9)
    life = Life(store, tmp_path, clock)
    owner = await filled(life, store, PAGE + LEAST)
    first, second = (store.get(key).etag for key in store.list(INDEX).keys)
    clock.advance(60)
    life.stock.schedule.add(key_of(owner, name(0)), Plan(1.85e9))
    await life.stock.keep_index(owner)
    assert store.get(store.list(INDEX).keys[0]).etag != first
    assert store.get(store.list(INDEX).keys[1]).etag == second
    for key in store.list(f"env/{owner}/", limit=100_000).keys[10:]:
        store.delete(key)
    await life.stock.keep_index(owner)
    assert store.list(INDEX).keys == (), "so few need none"
    life.end()
