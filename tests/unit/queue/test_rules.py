"""Rules hold for a time, on every node, and end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from columba.common.errors import NotFoundError
from columba.common.log.event import Event
from columba.queue.query import Facts, QueryError
from columba.queue.rules import RULES, RuleRecord, Rules
from columba.queue.store.base import ANYTHING
from columba.queue.store.calls import StoreCalls
from columba.queue.store.file import FileStore
from tests.fakes.clock import FakeClock

GMAIL: Facts = {"destination": ("mx:gmail.com", "gmail.com")}
OTHER: Facts = {"destination": ("mx:x.example", "x.example")}


class World:
    def __init__(self, folder: Path) -> None:
        self.clock, self.store = FakeClock(1000.0), FileStore(folder)
        self.calls = StoreCalls(self.store, 2, 10.0)
        self.lines: list[str] = []

    def node(self) -> Rules:
        return Rules(self.calls, self.clock, Event(lambda _level, text: self.lines.append(text)))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.calls.close()


def rule(id: str = "R1", until_s: float = 2000.0) -> RuleRecord:
    return RuleRecord(id=id, query="destination=gmail.com", until_s=until_s, made_s=1000.0)


async def test_a_rule_is_known_to_every_node_and_ends_for_all(world: World) -> None:
    one, other = world.node(), world.node()
    ends: list[set[float]] = []
    other.on_change = ends.append
    await one.add(rule())
    await other.add(rule())  # both processes of a node are told
    third = world.node()
    await third.look()
    for node in (one, other, third):
        assert (node.until_s(lambda: GMAIL), node.until_s(lambda: OTHER)) == (2000.0, 0.0)
    await one.remove("R1")
    await other.look()
    assert ends == [set(), {2000.0}]
    assert other.all == []
    with pytest.raises(NotFoundError):
        await other.remove("R1")


async def test_a_rule_is_over_when_its_time_is(world: World) -> None:
    node = world.node()
    await node.add(rule())
    world.clock.advance(1000)
    assert node.until_s(lambda: GMAIL) == 0.0
    assert node.all == []
    await node.look()
    assert world.store.list(RULES).keys == ()


async def test_without_rules_nobody_looks_at_the_mail(world: World) -> None:
    def never() -> Facts:
        raise AssertionError

    assert world.node().until_s(never) == 0.0


async def test_what_can_not_be_read_is_said_and_holds_nothing(world: World) -> None:
    world.store.put(f"{RULES}R2", b"garbage", ANYTHING)
    node = world.node()
    await node.look()
    assert node.all == []
    assert "can't be read" in world.lines[0]
    with pytest.raises(QueryError):
        await node.add(RuleRecord(id="R3", query="colour=red", until_s=2000.0))
