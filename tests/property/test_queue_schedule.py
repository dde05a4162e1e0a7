"""The schedule begins what is due, keeps its limits and forgets nobody."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from columba.queue.schedule import Plan, Schedule

LIMIT, SHARE = 5, 2
names = st.integers(0, 15).map(str)
places = st.sampled_from(["a.example", "b.example", "c.example"])


class ScheduleMachine(RuleBasedStateMachine):
    """Compares the schedule with two plain dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = Schedule(LIMIT, SHARE)
        self.planned: dict[str, tuple[float, str]] = {}
        self.flying: dict[str, str] = {}
        self.changed: set[str] = set()
        self.now_s = 0.0

    @rule(
        name=names,
        wait_s=st.integers(-5, 20),
        place=places,
        sender=st.sampled_from("xyz"),
        rank=st.integers(0, 2),
    )
    def add(self, name: str, wait_s: int, place: str, sender: str, rank: int) -> None:
        self.schedule.add(name, Plan(self.now_s + wait_s, place, sender, rank=rank))
        if name in self.flying:
            self.changed.add(name)
        else:
            self.planned[name] = (self.now_s + wait_s, place)

    @rule(name=names)
    def remove(self, name: str) -> None:
        self.schedule.remove(name)
        self.planned.pop(name, None)

    @rule(names=st.sets(names))
    def remove_all(self, names: set[str]) -> None:
        self.schedule.remove_all(lambda name: name in names)
        self.planned = {n: p for n, p in self.planned.items() if n in names}
        self.flying = {n: p for n, p in self.flying.items() if n in names}
        self.changed &= names

    @rule(step_s=st.integers(0, 10))
    def begin(self, step_s: int) -> None:
        self.now_s += step_s
        for name in self.schedule.begin(self.now_s):
            due_s, place = self.planned.pop(name)
            assert due_s <= self.now_s
            self.flying[name] = place
        if len(self.flying) < LIMIT:
            for due_s, place in self.planned.values():
                full = sum(p == place for p in self.flying.values()) >= SHARE
                assert due_s > self.now_s or full, "one that is due and has room was left out"

    @rule(name=names)
    def done(self, name: str) -> None:
        assert self.schedule.done(name) is (name in self.changed)
        self.flying.pop(name, None)
        self.changed.discard(name)

    @invariant()
    def it_knows_what_we_know(self) -> None:
        assert sorted(self.schedule) == sorted([*self.planned, *self.flying])
        assert len(self.schedule) == len(self.planned) + len(self.flying)

    @invariant()
    def limits_hold(self) -> None:
        assert self.schedule.in_flight == len(self.flying) <= LIMIT
        for place in set(self.flying.values()):
            assert sum(p == place for p in self.flying.values()) <= SHARE

    @invariant()
    def it_wakes_in_time(self) -> None:
        wait_s = self.schedule.wait_s(self.now_s)
        later = [due_s for due_s, _ in self.planned.values() if due_s > self.now_s]
        if later:
            assert wait_s is not None
            assert wait_s <= min(later) - self.now_s


TestSchedule = ScheduleMachine.TestCase
TestSchedule.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
