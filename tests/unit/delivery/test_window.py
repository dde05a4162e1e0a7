"""Room at a destination: concurrency, the line, the rate; hosts that are down; demands on TLS."""

import asyncio
from pathlib import Path

import pytest

from columba.common.net.check import Check
from columba.delivery.board import Board
from columba.delivery.commitment import Commitment
from columba.delivery.health import ENTRIES_MAX, Health
from columba.delivery.target import Endpoint, TlsDemand
from columba.delivery.tlspolicy.decide import Demand, Use, demand
from columba.delivery.window import MEMORY_NS, MINUTE_NS, Bounds, Rate, Room, Window, Windows
from tests.fakes.clock import FakeClock
from tests.fakes.delivering import seconds

SECOND = 1_000_000_000


def test_a_minutes_share_may_come_at_once_then_one_per_interval() -> None:
    rate = Rate(6)
    for _ in range(6):
        assert rate.wait_ns(0) == 0
        rate.count(0)
    assert rate.wait_ns(0) == 10 * SECOND
    assert rate.wait_ns(10 * SECOND) == 0
    assert not rate.is_fresh(10 * SECOND) and rate.is_fresh(MINUTE_NS)
    assert Rate(0).wait_ns(0) == 0


async def test_whoever_finds_no_room_waits_in_line() -> None:
    window = Window(Bounds(1, 0))
    assert await window.enter(seconds(1))
    order: list[int] = []

    async def come(number: int) -> None:
        assert await window.enter(seconds(5))
        order.append(number)
        window.leave()

    waiting = [asyncio.ensure_future(come(n)) for n in range(3)]
    await asyncio.sleep(0)
    assert order == [] and not window.is_idle(0)
    window.leave()
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2]
    assert window.active == 0 and window.is_idle(0)


async def test_no_room_until_the_deadline() -> None:
    window = Window(Bounds(1, 0))
    await window.enter(seconds(1))
    assert not await window.enter(seconds(0.02))
    window.leave()
    assert await window.enter(seconds(0.02))


async def test_a_waiter_that_is_cancelled_takes_no_room_with_it() -> None:
    window = Window(Bounds(1, 0))
    await window.enter(seconds(1))
    first, second = (asyncio.ensure_future(window.enter(seconds(5))) for _ in range(2))
    await asyncio.sleep(0)
    window.leave()  # it is the first one's turn, and it is cancelled at this instant
    first.cancel()
    assert await second
    assert window.active == 1


async def test_the_rate_turns_away_what_can_not_wait() -> None:
    window = Window(Bounds(5, 1))
    assert await window.enter(seconds(1))
    assert not await window.enter(seconds(1))
    assert window.active == 1


def test_room_grows_with_each_round_and_shrinks_with_each_sign_of_pressure() -> None:
    room = Room(first=5, most=7)
    for _ in range(5):
        room.learn(is_pressed=False, now_ns=0)
    assert room.size == 6
    for _ in range(20):
        room.learn(is_pressed=False, now_ns=0)
    assert room.size == 7
    for _ in range(10):
        room.learn(is_pressed=True, now_ns=SECOND)
    assert room.size == 1 and not room.is_fresh(SECOND)
    assert room.is_fresh(2 * SECOND + MEMORY_NS)
    room.learn(is_pressed=False, now_ns=0)
    assert room.size == 2
    assert Room(first=20, most=3).size == 3


async def test_one_destination_takes_no_more_than_its_share_with_the_line() -> None:
    window = Window(Bounds(1, share=3))
    assert await window.enter(seconds(1))
    waiting = [asyncio.ensure_future(window.enter(seconds(5))) for _ in range(2)]
    await asyncio.sleep(0)
    assert not await window.enter(seconds(5))  # at once
    window.leave()
    assert await waiting[0] and not waiting[1].done()
    window.learn(is_pressed=False)
    window.leave()
    assert await waiting[1]


async def test_room_that_has_grown_lets_more_in() -> None:
    window = Window(Bounds(4, first=1))
    assert await window.enter(seconds(1))
    waiting = [asyncio.ensure_future(window.enter(seconds(5))) for _ in range(3)]
    await asyncio.sleep(0)
    window.learn(is_pressed=False)
    window.leave()
    await asyncio.sleep(0)
    assert window.active == 2
    window.learn(is_pressed=True)
    window.leave()
    await asyncio.sleep(0)
    assert [one.done() for one in waiting] == [True, True, False] and window.active == 1
    window.leave()
    assert await waiting[2]


def test_idle_windows_are_forgotten() -> None:
    windows = Windows(Bounds(1))
    first = windows.of("a")
    assert windows.of("a") is first
    windows.sweep(0)
    assert windows.of("a") is not first


def test_only_hosts_that_cost_time_are_left_alone() -> None:
    health, host = Health(30), Endpoint("mx", "192.0.2.1", 25)
    health.failed(host, SECOND // 2, 0)
    assert not health.is_down(host, 1)
    health.failed(host, SECOND, 0)
    assert health.is_down(host, 30 * SECOND - 1) and not health.is_down(host, 30 * SECOND)
    health.worked(host)
    assert not health.is_down(host, 1)
    for n in range(ENTRIES_MAX + 1):
        health.failed(Endpoint("mx", str(n), 25), SECOND, 0)
    assert not health.is_down(Endpoint("mx", "0", 25), 1)


def test_processes_tell_each_other_which_hosts_are_down(tmp_path: Path) -> None:
    one, two = (Health(30, Board(tmp_path / "down")) for _ in range(2))
    host, other = Endpoint("mx", "192.0.2.1", 25), Endpoint("mx", "192.0.2.1", 26)
    assert not two.is_down(host, SECOND)
    one.failed(host, SECOND, SECOND)
    assert two.is_down(host, 2 * SECOND) and not two.is_down(other, 2 * SECOND)
    assert not two.is_down(host, 31 * SECOND)
    one.worked(host)
    assert not two.is_down(host, 2 * SECOND)


def test_a_table_from_before_a_reboot_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "down"
    path.write_bytes(b"short")
    board = Board(path)
    board.put("192.0.2.1", 25, 10_000 * SECOND)
    assert board.get("192.0.2.1", 25, 9_990 * SECOND) == 10_000 * SECOND
    assert board.get("192.0.2.1", 25, SECOND) == 0
    board.close()


@pytest.mark.parametrize(
    ("route", "unix", "requiretls", "expected"),
    [
        ("may", False, False, Demand(Use.IF_OFFERED, Check.NOTHING)),
        ("none", False, False, Demand(Use.NEVER, Check.NOTHING)),
        ("encrypt", False, False, Demand(Use.ALWAYS, Check.NOTHING)),
        ("verify", False, False, Demand(Use.ALWAYS, Check.NAME)),
        ("none", False, True, Demand(Use.ALWAYS, Check.NAME)),
        ("may", False, True, Demand(Use.ALWAYS, Check.NAME)),
        ("verify", True, True, Demand(Use.NEVER, Check.NOTHING)),
    ],
)
def test_demands_on_tls(route: TlsDemand, unix: bool, requiretls: bool, expected: Demand) -> None:
    assert demand(route, unix, requiretls) == expected


def test_a_commitment_is_entered_or_closed_never_both() -> None:
    clock = FakeClock()
    until_ns = clock.monotonic_ns()
    first = Commitment(clock, until_ns)
    assert first.enter() and not first.close() and first.is_entered
    second = Commitment(clock, until_ns)
    assert second.close() and not second.enter() and not second.is_entered
    clock.advance(1)
    assert not Commitment(clock, until_ns).enter()


def test_a_commitment_ends_with_the_lease_also_when_the_machine_slept() -> None:
    clock = FakeClock()
    until_ns, lease_ns = clock.monotonic_ns() + SECOND, clock.boottime_ns() + SECOND
    assert Commitment(clock, until_ns, lease_ns).enter()
    clock.suspend(2)
    assert Commitment(clock, until_ns).enter()
    assert not Commitment(clock, until_ns, lease_ns).enter()


async def test_a_route_may_allow_less_than_the_settings() -> None:
    windows = Windows(Bounds(most=5, first=5))
    narrow, wide = windows.of("relay:x", 1), windows.of("relay:x")
    assert windows.of("relay:x", 1) is narrow and wide is not narrow
    assert await narrow.enter(seconds(1))
    assert not await narrow.enter(seconds(0.01))
    assert await wide.enter(seconds(1))
    assert windows.of("relay:x", 9)._room.size == 5
