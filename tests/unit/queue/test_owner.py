"""Owners: who may act, who takes over, who has to stop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from columba.common.errors import NotFoundError, RefusedError
from columba.common.log.event import Event
from columba.common.log.level import Level
from columba.common.off_loop import OffLoop
from columba.queue import lease as leases
from columba.queue.lease import Terms
from columba.queue.node import Node
from columba.queue.owner import CloneError, Owners
from columba.queue.store.base import ANYTHING, match
from columba.queue.store.calls import StoreCalls
from columba.queue.store.faulty import FaultyStore, Profile
from columba.queue.store.file import FileStore
from tests.fakes.clock import FakeClock

S = 1_000_000_000
TERMS = Terms(ttl_ns=30 * S, margin_ns=5 * S)


class World:
    """One store, one clock, any number of machines and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, FakeClock()
        self.store = FaultyStore(FileStore(folder / "store"), Profile())
        self.calls = StoreCalls(self.store, 2, 10.0)
        self.off_loop = OffLoop(2, "test")
        self.lines: list[str] = []
        self.nodes: list[Node] = []

    def process(self, machine: str) -> "Process":
        node = Node(self.folder / machine)
        self.nodes.append(node)
        return Process(self, node)

    def lease(self, owner: str) -> leases.Lease:
        return leases.decode(self.store.get(leases.key_of(owner)).data)


class Process(Owners):
    """A queue process as far as its leases go."""

    def __init__(self, world: World, node: Node) -> None:
        event = Event(lambda level, text: world.lines.append(text) if level > Level.INFO else None)
        super().__init__(
            world.calls, node, world.off_loop, clock=world.clock, terms=TERMS, event=event
        )
        self.node = node
        self.gained: list[str] = []
        self.lost: list[str] = []
        self.on_gain, self.on_loss = self.gained.append, self.lost.append

    def die(self) -> None:
        self.node.close()


@asynccontextmanager
async def world_in(folder: Path) -> AsyncIterator[World]:
    world = World(folder)
    try:
        yield world
    finally:
        for node in world.nodes:
            node.close()
        world.calls.close()
        world.off_loop.close()


async def test_a_first_process_gets_a_lease(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        process = world.process("a")
        holding = await process.begin()
        assert process.is_held(holding)
        assert world.lease(holding.owner).epoch == 1
        assert process.gained == [holding.owner]


async def test_two_processes_of_a_machine_get_two(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        one, two = world.process("a"), world.process("a")
        assert (await one.begin()).owner != (await two.begin()).owner


async def test_without_renewal_it_stops_and_with_it_goes_on(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        process = world.process("a")
        holding = await process.begin()
        world.clock.advance(24)
        assert process.is_held(holding)
        await process.turn()
        world.clock.advance(24)
        assert process.is_held(holding)
        world.clock.advance(1)
        assert not process.is_held(holding)


async def test_suspend_counts(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        process = world.process("a")
        holding = await process.begin()
        world.clock.suspend(60)
        assert not process.is_held(holding)


async def test_a_new_life_takes_its_lease_again_at_once(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        first = world.process("a")
        owner = (await first.begin()).owner
        first.die()
        again = await world.process("a").begin()
        assert again.owner == owner
        assert again.lease.epoch == 2


async def test_another_machine_adopts_after_ttl_and_not_before(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        dead, other = world.process("a"), world.process("b")
        owner = (await dead.begin()).owner
        await other.begin()
        dead.die()
        for _ in range(6):
            await other.turn()
            assert owner not in other.owners
            world.clock.advance(5)
        await other.turn()
        assert owner in other.owners
        assert world.lease(owner).epoch == 2


async def test_one_that_renews_is_not_adopted(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        one, other = world.process("a"), world.process("b")
        owner = (await one.begin()).owner
        await other.begin()
        for _ in range(30):
            await one.turn()
            await other.turn()
            world.clock.advance(5)
        assert owner in one.owners
        assert owner not in other.owners


async def test_another_slot_of_the_machine_adopts_what_a_dead_one_left(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        dead, other = world.process("a"), world.process("a")
        owner = (await dead.begin()).owner
        await other.begin()
        for _ in range(8):  # it hangs: its lock says that it lives
            await other.turn()
            world.clock.advance(5)
        assert owner not in other.owners
        dead.die()
        await other.turn()
        assert owner in other.owners


async def test_one_that_returns_finds_itself_displaced_and_starts_anew(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        frozen, other = world.process("a"), world.process("b")
        old = await frozen.begin()
        await other.begin()
        for _ in range(8):
            await other.turn()
            world.clock.advance(5)
        assert not frozen.is_held(old)
        await frozen.turn()
        assert frozen.lost == [old.owner]
        assert frozen.main is not None
        assert frozen.main.owner != old.owner
        assert not frozen.is_held(old)
        assert old.owner in other.owners


async def test_a_lost_answer_to_a_renewal_loses_no_lease(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        process = world.process("a")
        holding = await process.begin()
        world.clock.advance(5)
        world.store.fail_next("put", "lease/", "lost")
        await process.turn()
        world.clock.advance(5)
        await process.turn()
        assert process.owners == [holding.owner]
        world.clock.advance(19)
        assert process.is_held(holding), "it counts from the first try, 24 s ago"
        world.clock.advance(1)
        assert not process.is_held(holding)


async def test_a_store_that_fails_is_waited_for(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        process = world.process("a")
        holding = await process.begin()
        world.clock.advance(5)
        world.store.fail_next("put", "lease/", "error")
        await process.turn()
        world.clock.advance(5)
        await process.turn()
        world.clock.advance(19)
        assert process.is_held(holding)
        assert any("can't be renewed" in line for line in world.lines)


async def test_a_lease_that_was_left_is_taken_again(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        process = world.process("a")
        owner = (await process.begin()).owner
        await process.release(owner, is_empty=True)
        assert world.lease(owner).holder == ""
        assert (await world.process("a").begin()).owner == owner


@pytest.mark.parametrize(("is_empty", "adopted"), [(True, False), (False, True)])
async def test_a_left_lease_is_adopted_if_it_guards_mail(
    tmp_path: Path, is_empty: bool, adopted: bool
) -> None:
    async with world_in(tmp_path) as world:
        gone, other = world.process("a"), world.process("b")
        owner = (await gone.begin()).owner
        await other.begin()
        await gone.release(owner, is_empty)
        for _ in range(8):
            await other.turn()
            world.clock.advance(5)
        assert (owner in other.owners) is adopted


async def test_a_cloned_machine_stops(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        original = world.process("a")
        await original.begin()
        clone_folder = tmp_path / "clone" / "queue-node"
        clone_folder.mkdir(parents=True)
        (clone_folder / "node").write_text(original.node.name)
        with pytest.raises(CloneError):
            await world.process("clone").begin()


async def test_a_clone_that_took_our_lease_stops_us(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        original = world.process("a")
        holding = await original.begin()
        stolen = leases.taken(holding.lease, original.node.name, "life-of-a-clone")
        world.store.put(leases.key_of(holding.owner), leases.encode(stolen), match(holding.etag))
        with pytest.raises(CloneError):
            await original.turn()


async def test_a_lease_that_can_t_be_read_stops_nobody(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        process = world.process("a")
        world.store.put("lease/garbage", b"\xc1", ANYTHING)
        await process.begin()
        await process.turn()
        assert any("can't be read" in line for line in world.lines)


async def test_a_lease_of_ours_that_can_t_be_read_is_named_and_another_taken(
    tmp_path: Path,
) -> None:
    async with world_in(tmp_path) as world:
        first = world.process("a")
        broken = (await first.begin()).owner
        first.die()
        await world.calls.put(leases.key_of(broken), b"garbage", ANYTHING)
        second = world.process("a")
        holding = await second.begin()
        assert holding.owner != broken and second.is_held(holding)
        assert any(leases.key_of(broken) in line for line in world.lines)


async def test_what_is_given_away_is_taken_at_once_and_not_taken_back(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        leaving, other = world.process("a"), world.process("b")
        owner = (await leaving.begin()).owner
        await other.begin()
        leaving.is_away = True
        await leaving.release(owner, is_empty=False, is_offered=True)
        await leaving.turn()
        assert leaving.owners == []
        await other.turn()
        assert owner in other.owners
        assert not world.lease(owner).offered
        await leaving.turn()
        assert leaving.owners == [], "not even of those that are stale"
        leaving.is_away = False
        await leaving.turn()
        assert leaving.main is not None
        assert leaving.main.owner != owner


async def test_a_takeover_by_order_displaces_a_living_holder(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        holder, other = world.process("a"), world.process("b")
        old = await holder.begin()
        await other.begin()
        await other.take_over(old.owner)
        assert old.owner in other.owners and world.lease(old.owner).epoch == 2
        await holder.turn()
        assert holder.lost == [old.owner] and not holder.is_held(old)
        with pytest.raises(RefusedError, match="ours already"):
            await other.take_over(old.owner)


async def test_a_takeover_is_refused_where_the_process_lives_on_this_machine(
    tmp_path: Path,
) -> None:
    async with world_in(tmp_path) as world:
        holder, sibling = world.process("a"), world.process("a")
        owner = (await holder.begin()).owner
        await sibling.begin()
        with pytest.raises(RefusedError, match="lives on this machine"):
            await sibling.take_over(owner)
        with pytest.raises(RefusedError, match="no owner"):
            await sibling.take_over("../body/x")
        with pytest.raises(NotFoundError):
            await sibling.take_over("0123456789ab-7")


async def test_it_looks_again_as_soon_as_a_lease_may_be_stale(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        dead, other = world.process("a"), world.process("b")
        owner = (await dead.begin()).owner
        await other.begin()
        assert other.stale_in_s() is None
        await other.turn()
        world.clock.advance(27)
        assert other.stale_in_s() == 3.0
        dead.die()
        world.clock.advance(3)
        assert other.stale_in_s() is None
        await other.turn()
        assert owner in other.owners
