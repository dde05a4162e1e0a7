"""Intake and tries on a store that fails at random: what was answered `Stored` is delivered, and ends once.

The real intake, attempts, settler and schedule run in this process on a store that loses answers, fails, is
full and tears lists, by a seed. Only the chain is played: it delivers, and counts.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from columba.common.errors import PeerGoneError, StoreError
from columba.common.ipc import wire
from columba.common.ipc.client import Answer
from columba.common.log.event import Event
from columba.common.off_loop import OffLoop
from columba.queue.attempt import Attempts, Limits
from columba.queue.body import Bodies
from columba.queue.bounce import Bounces, Sender
from columba.queue.fence import Fence
from columba.queue.intake import Intake
from columba.queue.lease import Terms
from columba.queue.node import Node
from columba.queue.owner import Owners
from columba.queue.policy import Policy
from columba.queue.record import BOUNCED, DELIVERED, DISOWNED, Recipient, Record
from columba.queue.retry import RetryPolicy
from columba.queue.schedule import Schedule
from columba.queue.settle import Settler, with_missing
from columba.queue.shelf import Shelf
from columba.queue.stock import Stock
from columba.queue.store.calls import StoreCalls
from columba.queue.store.faulty import FaultyStore, Profile
from columba.queue.store.file import FileStore
from tests.fakes.clock import FakeClock
from tests.fakes.queue_process import intake

S = 1_000_000_000
STORM = Profile(error=0.06, lost=0.06, full=0.03, torn=0.3)


class Chain:
    """Plays everything behind the queue: outcomes by chance, deaths of workers too."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.delivered: Counter[tuple[str, str]] = Counter()
        self.failed: set[tuple[str, str]] = set()

    async def __call__(
        self, handoff: wire.Handoff, parts: Sequence[bytes], until_ns: int
    ) -> Answer:
        if handoff.kind != "generated" and self._random.random() < 0.05:
            raise PeerGoneError("died")
        outcomes = []
        for recipient in handoff.recipients:
            kinds: tuple[wire.OutcomeKind, ...] = ("delivered", "deferred", "deferred", "failed")
            kind = "delivered" if handoff.kind == "generated" else self._random.choice(kinds)
            step = self._random.choice(["route", "delivery"]) if kind == "deferred" else ""
            key = (handoff.id, recipient.number)
            self.delivered[key] += kind == "delivered"
            if kind == "failed":
                self.failed.add(key)
            outcomes.append(
                wire.Outcome(
                    number=recipient.number, kind=kind, address=recipient.address, step=step
                )
            )
        return Answer(wire.Outcomes(outcomes=tuple(outcomes)), [], "sieve.0.1")

    async def ask(self, stage: wire.Stage, parts: object, until_ns: int) -> Answer:
        raise AssertionError("no script is configured")

    def is_there(self) -> bool:
        return True

    def told(self, id: str, outcomes: tuple[wire.Outcome, ...]) -> None:
        return


class Dying(Chain):
    """A chain that does one thing."""

    def __init__(
        self, act: Callable[[wire.Handoff, Sequence[bytes], int], Awaitable[Answer]]
    ) -> None:
        super().__init__(0)
        self._act = act

    async def __call__(
        self, handoff: wire.Handoff, parts: Sequence[bytes], until_ns: int
    ) -> Answer:
        return await self._act(handoff, parts, until_ns)


class Storm:
    """One queue process without its sockets."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.clock, self.chain = FakeClock(time.time()), Chain(seed)
        self.store = FaultyStore(FileStore(folder / "store"), Profile(), seed)
        self.calls = StoreCalls(self.store, 4, 10.0)
        self.off_loop, self.node = OffLoop(4, "storm"), Node(folder / "state")
        self.tasks: list[asyncio.Task[object]] = []
        event = Event(lambda _level, _text: None)
        terms = Terms(ttl_ns=10**6 * S, margin_ns=S)
        self.owners = Owners(
            self.calls, self.node, self.off_loop, clock=self.clock, terms=terms, event=event
        )
        policy, shelf = RetryPolicy(), Shelf(self.calls, 1 << 20)
        self.stock = Stock(
            shelf,
            self.owners,
            Schedule(50, 50),
            clock=self.clock,
            policy=policy,
            tombstone_s=10.0**9,
            event=event,
        )
        fence = Fence(self.calls, self.clock, 1e9, 600.0, event)
        self.settler = Settler(self.stock, fence, keep_s=600.0, spawn=self.spawn, sleep=self.sleep)
        self.intake = Intake(self.stock, self.settler, self.off_loop, folder)
        bounces = Bounces(shelf, Sender("mx.example.org", b"p@example.org"), policy, event)
        bodies = Bodies(shelf, self.off_loop, folder, "queue.0.1", event)
        self.attempts = Attempts(
            self.stock,
            self.chain,
            bounces,
            bodies,
            Policy(self.chain.ask, self.clock, event, retries=False, bounces=False),
            Limits(3600 * S, 300 * S),
            sleep=self.sleep,
        )

    def spawn(self, work: "asyncio.Future[object] | object", what: str) -> object:
        assert asyncio.iscoroutine(work)
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.append(task)
        return task

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    async def turn(self) -> None:
        """Let an hour pass and do all that is due."""
        self.clock.advance(3600)
        for key in self.stock.schedule.begin(self.clock.wall_s()):
            shelved, wait_s = None, 10.0
            try:
                done = await self.attempts.run(key)
                shelved, wait_s = done.shelved, done.wait_s or 0.0
            except StoreError:
                pass
            self.stock.schedule.done(key)
            if shelved is None:
                self.stock.plan_again(key, wait_s)
            else:
                self.stock.plan(shelved)

    def close(self) -> None:
        self.node.close()
        self.calls.close()
        self.off_loop.close()


async def is_stored(storm: Storm, request: wire.Intake) -> bool:
    """Ask at most twice, as one caller."""
    for _ in range(2):
        reply = await storm.intake.store(request, [b"A: b\r\n", b"body\r\n"])
        if isinstance(reply, wire.Stored):
            return True
    return False


async def stored_of(storm: Storm, count: int) -> set[tuple[str, str]]:
    """Store many mails; one to three callers ask for each. Return whom we answered for."""
    stored: set[tuple[str, str]] = set()
    for number in range(count):
        request = intake("a@example.net", "b@example.net", "c@example.net")
        for caller in range(1 + number % 3):
            if await is_stored(storm, msgspec.structs.replace(request, by=f"caller {caller}")):
                stored |= {(request.handoff.id, r.number) for r in request.handoff.recipients}
    return stored


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_that_was_stored_is_lost(tmp_path: Path, seed: int) -> None:
    storm = Storm(tmp_path, seed)
    try:
        await storm.owners.begin()
        storm.store.profile = STORM
        stored = await stored_of(storm, 25)
        for _ in range(60):
            await storm.turn()
        storm.store.profile = Profile()
        await asyncio.gather(*storm.tasks)
        await storm.stock.load_owner(storm.owners.owners[0])
        for _ in range(200):
            await storm.turn()
        parts = [
            await storm.stock.shelf.load(key)
            for key in storm.store.list("env/", limit=100_000).keys
        ]
        states = {
            (part.record.id, person.number): person.state
            for part in parts
            for person in part.record.recipients
            if person.state != "moved"
        }
        assert len(stored) > 30, "the storm let something through"
        poison = {part.record.id for part in parts if part.record.hold}
        left = {
            key: states.get(key)
            for key in stored
            if states.get(key) not in {DELIVERED, BOUNCED} and key[0] not in poison
        }
        assert left == {}, "each stored recipient has one end"
        assert max(storm.chain.delivered.values()) == 1
        assert {states[key] for key in storm.chain.failed} == {BOUNCED}
        assert sum(storm.chain.delivered.values()) > 30
    finally:
        storm.close()


async def test_a_lost_answer_to_the_note_of_a_death_makes_no_second_death(tmp_path: Path) -> None:
    storm = Storm(tmp_path, 0)
    try:
        await storm.owners.begin()

        async def dies(handoff: wire.Handoff, parts: Sequence[bytes], until_ns: int) -> Answer:
            storm.store.fail_next("put", "env/", "lost")
            raise PeerGoneError("died")

        storm.attempts._call = Dying(dies)
        assert await is_stored(storm, intake("a@example.net"))
        await storm.turn()
        (key,) = storm.store.list("env/").keys
        record = (await storm.stock.shelf.load(key)).record
        assert (record.deaths, record.attempts, record.hold) == (1, 1, "")
    finally:
        storm.close()


async def test_a_body_that_can_not_be_read_leaves_no_try_in_doubt(tmp_path: Path) -> None:
    storm = Storm(tmp_path, 0)
    try:
        await storm.owners.begin()
        request = intake("a@example.net")
        body = b"x" * 98 + b"\r\n"
        handoff = msgspec.structs.replace(request.handoff, body=wire.Body(size=100_000))
        request = msgspec.structs.replace(request, handoff=handoff)
        reply = await storm.intake.store(request, [b"A: b\r\n", body * 1000])
        assert isinstance(reply, wire.Stored)
        storm.store.fail_next("get", "body/", "error")
        await storm.turn()
        (key,) = storm.store.list("env/").keys
        record = (await storm.stock.shelf.load(key)).record
        assert (record.claim.attempt, record.attempts) == (0, 0)
        assert storm.chain.delivered == {}
        storm.chain = storm.attempts._call = Chain(3)
        for _ in range(20):
            await storm.turn()
        record = (await storm.stock.shelf.load(key)).record
        assert record.recipients[0].state in {DELIVERED, BOUNCED}
    finally:
        storm.close()


async def test_an_intake_is_taken_back_where_it_was_written_although_that_lease_is_lost(
    tmp_path: Path,
) -> None:
    storm = Storm(tmp_path, 0)
    try:
        holding = await storm.owners.begin()
        request = intake("a@example.net")
        storm.store.fail_next("put", "env/", "lost")
        reply = await storm.intake.store(request, [b"A: b\r\n", b"body\r\n"])
        assert isinstance(reply, wire.NotStored)
        storm.owners._lose(holding)
        await asyncio.gather(*storm.tasks)
        (key,) = storm.store.list("env/").keys
        record = (await storm.stock.shelf.load(key)).record
        assert [person.state for person in record.recipients] == [DISOWNED]
        assert record.is_tombstone, "nobody tries it"
    finally:
        storm.close()


def test_what_is_stored_is_not_undone_by_another_callers_disowning() -> None:
    stored = Recipient(number="1")
    record = Record(id="id", name="id", recipients=(stored,))
    gone = [Recipient(number="1", state=DISOWNED), Recipient(number="2", state=DISOWNED)]
    assert with_missing(record, gone).recipients == (stored, gone[1])
