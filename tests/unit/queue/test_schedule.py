"""Windows of destinations, fairness between senders, priority, deadlines."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from columba.common.ipc import wire
from columba.queue.destination import Destination, Probing, Sign, is_unreachable, signs
from columba.queue.schedule import WATCH, Plan, Schedule

A, B = "mx:a.example", "mx:b.example"
PROBING = Probing(first_s=30.0, most_s=100.0)


def filled(plans: Iterable[tuple[str, Plan]], in_flight: int = 10, share: int = 10) -> Schedule:
    schedule = Schedule(in_flight, share, PROBING)
    for name, plan in plans:
        schedule.add(name, plan)
    return schedule


def flood(
    sender: str, count: int, destination: str = A, rank: int = 1, cost: int = 1
) -> list[tuple[str, Plan]]:
    return [
        (f"{sender}{n}", Plan(0.0, destination, sender, rank=rank, cost=cost)) for n in range(count)
    ]


def test_ones_flood_delays_anothers_one_by_a_single_mail() -> None:
    schedule = filled([*flood("x", 1000), *flood("y", 1)], in_flight=1)
    order = []
    for _ in range(4):
        begun = schedule.begin(1.0)
        order += begun
        schedule.done(begun[0])
    assert "y0" in order[:2]


def test_nor_where_the_destinations_window_is_the_bound() -> None:
    schedule = filled([*flood("x", 1000), *flood("x", 50, B)], in_flight=100, share=1)
    first = schedule.begin(1.0)
    assert len(first) == 2, "one for each destination"
    schedule.add("y0", Plan(0.0, A, "y"))
    assert schedule.begin(1.0) == []
    schedule.done(next(name for name in first if schedule.begun_as(name) == A))
    assert len(schedule.begin(1.0)) == 1
    flying = [name for name in schedule if schedule.begun_as(name) == A]
    schedule.done(flying[0])
    assert flying == ["y0"] or schedule.begin(1.0) == ["y0"]


def test_large_mails_count_for_more() -> None:
    schedule = filled([*flood("x", 100, cost=8), *flood("y", 100)], in_flight=10, share=1)
    counts: Counter[str] = Counter()
    for _ in range(90):
        (name,) = schedule.begin(1.0)
        counts[name[0]] += 1
        schedule.done(name)
    assert counts["y"] > 4 * counts["x"] > 0


def test_urgent_goes_first_and_bulk_does_not_starve() -> None:
    plans = [*flood("b", 100, rank=2), *flood("n", 100), *flood("u", 100, rank=0)]
    schedule = filled(plans, in_flight=1)
    order = ""
    for _ in range(60):
        (name,) = schedule.begin(1.0)
        order += name[0]
        schedule.done(name)
    assert order.startswith("uuuuuu")
    assert order.count("b") >= 2
    assert order.count("u") > 40


def test_one_that_is_down_is_probed_by_one_and_its_mail_flows_when_it_comes_back() -> None:
    schedule = filled([*flood("x", 50), *flood("y", 3, B)], in_flight=30)
    begun = schedule.begin(0.0)
    for name in [name for name in begun if schedule.begun_as(name) == A]:
        schedule.done(name)
        schedule.failed(A, 1.0)
        schedule.add(name, Plan(3600.0, A, "x", is_lost=True))
    assert schedule.is_down(A)
    assert not schedule.is_down(B)
    assert [n for n in schedule.begin(2.0) if n[0] == "x"] == [], "45 are due, and none is tried"
    assert schedule.wait_s(2.0) == 29.0
    (probe,) = schedule.begin(31.0)
    assert schedule.begin(40.0) == [], "one alone"
    schedule.done(probe)
    schedule.failed(A, 41.0)
    schedule.add(probe, Plan(3600.0, A, "x", is_lost=True))
    assert schedule.begin(100.0) == [], "twice as long"
    (probe,) = schedule.begin(101.0)
    schedule.done(probe)
    schedule.worked(A)
    total = 0
    while begun := schedule.begin(102.0):
        total += len(begun)
        for name in begun:
            if schedule.begun_as(name) == A:
                schedule.worked(A)
            schedule.done(name)
    assert total == 49, "those too that were due in an hour"


def test_what_was_lost_before_a_restart_flows_with_the_first_success() -> None:
    late = [(f"x{n}", Plan(3600.0, A, "x", is_lost=True)) for n in range(3)]
    schedule = filled([*late, ("full", Plan(3600.0, A, "x")), ("new", Plan(0.0, A, "x"))])
    assert schedule.begin(1.0) == ["new"]
    schedule.worked(A)
    schedule.done("new")
    assert sorted(schedule.begin(1.0)) == ["x0", "x1", "x2"], "but not the one with a full mailbox"


def test_a_window_grows_with_success_and_halves_with_failure() -> None:
    line = Destination(20, PROBING)
    assert line.room(0.0) == 5
    for _ in range(200):
        line.worked(0.0)
    assert line.room(0.0) == 20
    line.failed(0.0)
    assert line.room(0.0) == 10
    line.failed(0.0)
    assert line.is_down
    assert (line.room(29.0), line.room(30.0)) == (0, 1)
    line.failed(10.0)
    assert line.room(30.0) == 1, "what was under way when it closed is no probe"
    line.reopen()
    assert line.room(0.0) > 0


def test_a_window_rests_below_what_there_was_no_room_for() -> None:
    line = Destination(20, PROBING)
    line.crowded(100.0)
    line.crowded(100.0)
    assert line.room(100.1) == 0, "a moment of rest"
    assert line.room(100.2) == 4, "those begun before the first refusal are no news"
    for _ in range(50):
        line.worked(109.9)
    assert line.room(109.9) == 4
    for _ in range(5):
        line.worked(110.0)
    assert line.room(110.0) == 5
    for second in range(200, 220):
        line.crowded(second)
    assert line.room(300.0) == 1, "never none"


def test_the_schedule_wakes_after_the_rest_of_a_crowded_destination() -> None:
    schedule = filled(flood("x", 6), in_flight=30)
    begun = schedule.begin(1.0)
    assert len(begun) == 5
    schedule.done(begun[0])
    schedule.crowded(A, 1.0)
    assert schedule.begin(1.0) == []
    wait_s = schedule.wait_s(1.0)
    assert wait_s is not None
    assert 0.1 < wait_s < 0.3
    for name in begun[1:]:
        schedule.done(name)
    assert schedule.begin(1.3) == ["x5"]


def test_what_outcomes_say_of_destinations() -> None:
    def told(route: str, kind: wire.OutcomeKind, **fields: object) -> wire.Outcome:
        return msgspec.convert(
            {"number": "1", "kind": kind, "route": route, **fields}, wire.Outcome
        )

    crowded = told("a", "deferred", enhanced="4.3.2", untried=True)
    lost = told("b", "deferred", enhanced="4.4.1", hop="b:25")
    refused = told("c", "deferred", enhanced="4.2.2", hop="c:25")
    assert signs((crowded, lost, refused)) == {
        "a": Sign.CROWDED,
        "b": Sign.UNREACHABLE,
        "c": Sign.WORKS,
    }
    assert signs((crowded, told("a", "delivered"))) == {"a": Sign.WORKS}


def test_what_says_that_a_destination_can_not_be_reached() -> None:
    assert is_unreachable("deferred", "4.4.1")
    assert not is_unreachable("deferred", "4.2.2"), "a full mailbox"
    assert not is_unreachable("deferred", "4.7.1"), "greylisting"
    assert not is_unreachable("failed", "5.4.4")


def test_a_deadline_is_met_although_nothing_can_be_begun() -> None:
    schedule = Schedule(1, 1, PROBING)
    schedule.add("flying", Plan(0.0, A))
    schedule.begin(0.0)
    schedule.add("waits", Plan(0.0, A, deadline_s=50.0))
    schedule.add("later", Plan(9e9, A, deadline_s=500.0))
    assert schedule.overdue(49.0, 10) == []
    assert schedule.overdue(60.0, 10) == ["waits"]
    assert schedule.begun_as("waits") == WATCH
    assert schedule.overdue(70.0, 10) == [], "once"
    schedule.done("waits")
    schedule.add("waits", Plan(9e9, A, deadline_s=90.0))
    schedule.remove("later")
    assert schedule.overdue(1000.0, 10) == ["waits"]


def test_a_deadline_that_moved_counts_once() -> None:
    schedule = Schedule(1, 1, PROBING)
    for at_s in (50.0, 80.0, 20.0):
        schedule.add("one", Plan(9e9, A, deadline_s=at_s))
    assert schedule.overdue(30.0, 10) == ["one"]
    schedule.done("one")
    assert schedule.overdue(1000.0, 10) == []
