"""The fence: what is known of a mail whose client was not told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from columba.common.errors import StoreError
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.queue.fence import Fence, key_of
from columba.queue.store.calls import StoreCalls
from columba.queue.store.faulty import FaultyStore, Profile
from columba.queue.store.file import FileStore
from tests.fakes.clock import FakeClock

A, B, F = b"a@x", b"b@x", b"final@x"


class World:
    def __init__(self, folder: Path) -> None:
        self.store = FaultyStore(FileStore(folder), Profile())
        self.clock = FakeClock()
        self.calls = StoreCalls(self.store, 2, 10.0)
        self.fence = self.another()

    def another(self) -> Fence:
        event = Event(lambda _level, _text: None)
        return Fence(self.calls, self.clock, 5 * 86400.0, 600.0, event)

    async def finals(self, *originals: bytes) -> dict[bytes, tuple[bytes, ...]]:
        told = await self.fence.ask(wire.FenceAsk(base=b"k", originals=originals))
        return {fenced.original: fenced.finals for fenced in told.fenced}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.calls.close()


def put(*pairs: tuple[bytes, bytes], in_doubt: bool = False, id: str = "ID") -> wire.FencePut:
    return wire.FencePut(base=b"k", id=id, pairs=pairs, in_doubt=in_doubt)


async def test_what_was_put_is_told_and_counted_on_every_node(world: World) -> None:
    assert world.fence.live == 0
    await world.fence.put(put((A, F), (A, A)))
    assert await world.finals(A, B) == {A: (F, A)}
    other = world.another()
    await other.sweep()
    assert (world.fence.live, other.live) == (1, 1)
    await world.fence.put(put((B, F)))
    await other.look()
    assert other.live == 2
    await world.fence.drop(wire.FenceDrop(base=b"k", originals=(A, B)))
    await other.look()
    assert other.live == 0


async def test_another_key_is_another_mail(world: World) -> None:
    await world.fence.put(put((A, A)))
    told = await world.fence.ask(wire.FenceAsk(base=b"other", originals=(A,)))
    assert told.fenced == ()
    assert key_of(b"k", A) != key_of(b"ka", b"@x")


async def test_a_second_put_adds(world: World) -> None:
    await world.fence.put(put((A, A)))
    await world.fence.put(put((A, F)))
    assert await world.finals(A) == {A: (A, F)}


async def test_doubt_is_told_until_it_is_over_or_settled(world: World) -> None:
    await world.fence.put(put((A, A), in_doubt=True))
    (told,) = (await world.fence.ask(wire.FenceAsk(base=b"k", originals=(A,)))).fenced
    assert (told.in_doubt, told.finals) == (True, (A,))
    await world.fence.put(put((A, A)))
    assert await world.finals(A) == {A: (A,)}
    await world.fence.put(put((A, A), in_doubt=True))
    assert await world.finals(A) == {A: (A,)}, "what was delivered stays so"
    await world.fence.put(put((B, B), in_doubt=True))
    world.clock.advance(601)
    assert await world.finals(B) == {}


async def test_one_final_in_doubt_does_not_hide_another_that_was_reached(world: World) -> None:
    await world.fence.put(put((A, F), in_doubt=True))
    await world.fence.put(put((A, A)))
    told = await world.fence.ask(wire.FenceAsk(base=b"k", originals=(A,)))
    assert {(each.finals, each.in_doubt) for each in told.fenced} == {((A,), False), ((F,), True)}
    await world.fence.drop(wire.FenceDrop(base=b"k", doubts=((A, F),)))
    assert await world.finals(A) == {A: (A,)}
    await world.fence.put(put((B, F), in_doubt=True))
    await world.fence.drop(wire.FenceDrop(base=b"k", doubts=((B, F),)))
    assert await world.finals(B) == {}
    assert world.fence.live == 1


async def test_it_ends_when_told_and_with_time(world: World) -> None:
    await world.fence.put(put((A, A), (B, B)))
    await world.fence.drop(wire.FenceDrop(base=b"k", originals=(A,)))
    assert await world.finals(A, B) == {B: (B,)}
    world.clock.advance(5 * 86400.0 + 1)
    assert await world.finals(B) == {}
    await world.fence.sweep()
    assert world.fence.live == 0
    assert world.store.list("fence/").keys == ()


async def test_unreadable_means_deliver(world: World) -> None:
    await world.fence.put(put((A, A)))
    world.store.fail_next("get", "fence/", "error")
    assert await world.finals(A) == {}


async def test_what_can_t_be_written_is_said(world: World) -> None:
    world.store.fail_next("put", "fence/", "full")
    with pytest.raises(StoreError):
        await world.fence.put(put((A, A)))


async def test_a_lost_answer_is_made_good_by_the_next_try(world: World) -> None:
    world.store.fail_next("put", "fence/", "lost")
    with pytest.raises(StoreError):
        await world.fence.put(put((A, A)))
    await world.fence.put(put((A, A)))
    assert await world.finals(A) == {A: (A,)}
