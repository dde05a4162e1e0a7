"""Handing over: every way that a callee can fail, and what becomes of the recipients."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import zmq

from columba.common.hop.admission import WINDOW_NS, Admission
from columba.common.hop.answered import Answerer
from columba.common.hop.chain import GRACE_NS, STEP_NS, Chain, Delays, Next
from columba.common.hop.keeper import OVERDUE_NS, Keeper
from columba.common.hop.mail import Mail, StepResult, Why, changed, joined, missing, same_for_all
from columba.common.hop.queue_client import QueueClient
from columba.common.ipc import wire
from columba.common.ipc.calls import Caller
from columba.common.ipc.directory import Directory
from columba.common.ipc.server import Answer, Incoming, Server
from columba.common.log.event import Event

ID = "01JD0000000000000000000000"
Handler = Callable[[Incoming], Awaitable[Answer]]
OK = Why(250, "2.0.0", "ok")


def mail(numbers: str = "1", **fields: object) -> Mail:
    handoff = wire.Handoff(
        id=ID,
        step="sieve",
        deadline_ns=0,
        envelope=wire.Envelope(sender=b"a@b"),
        client=wire.Client(),
        recipients=tuple(wire.Recipient(number=n, address=b"x@y") for n in numbers.split()),
        body=wire.Body(size=4),
        may_queue="yes",
    )
    return Mail(msgspec.structs.replace(handoff, **fields), b"Subject: x\r\n", b"body")


class World:
    """One worker named dkim, one named queue, and the chain that calls them."""

    def __init__(self, run: Path) -> None:
        for name in ("dkim", "queue", "anvil"):
            (run / name).mkdir()
        self.run = run
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.lines: list[str] = []
        self.event = Event(lambda _level, text: self.lines.append(text))
        self.directory = Directory(self.context, str(run))
        self.caller = Caller(self.context, str(run), self.directory)
        self.queue = QueueClient(self.caller, self.directory, self.event)
        self.chain = Chain("sieve.0.1", self.caller, self.queue, Delays(60, 600), self.event)
        self.to = Next("dkim", "dkim", Admission(10, 500, time.monotonic_ns()))
        self.stored: list[wire.Intake] = []
        self.told: list[wire.Request] = []
        self.seen: list[Incoming] = []
        self.reply: wire.Reply = wire.Stored()
        self.servers: list[Server] = []
        self.number = 0

    def serve(self, service: str, handler: Handler) -> None:
        server = Server(
            self.context,
            self.run / service / "0.1",
            10,
            handler,
            self.event,
            uids=frozenset({os.getuid()}),
            on_unsent=lambda _call, _reply: None,
            on_change=lambda: None,
        )
        self.servers.append(server)

    def tell(self, **states: str) -> None:
        self.number += 1
        slots = [
            {"service": s, "slot": 0, "pid": 1, "generation": 1, "state": state}
            for s, state in states.items()
        ]
        table = msgspec.convert({"number": self.number, "slots": slots}, wire.Directory)
        self.directory.take(table)

    async def on_queue(self, call: Incoming) -> Answer:
        if isinstance(call.request, wire.Intake):
            self.stored.append(call.request)
            return self.reply, []
        self.told.append(call.request)
        return wire.Done(), []

    async def hand_over(self, what: Mail, seconds: float = 10) -> StepResult:
        deadline_ns = time.monotonic_ns() + int(seconds * 1e9)
        return await self.chain.hand_over(what, self.to, own_deadline_ns=deadline_ns)

    def close(self) -> None:
        self.caller.close()
        self.directory.close()
        for server in self.servers:
            server.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    made.serve("queue", made.on_queue)
    yield made
    await made.queue.close(0)
    made.close()
    made.context.destroy(0)


async def delivered(call: Incoming) -> Answer:
    assert isinstance(call.request, wire.Handoff)
    outcomes = same_for_all(call.request.recipients, "delivered", OK)
    return wire.Outcomes(outcomes=outcomes), []


async def silent(_call: Incoming) -> Answer:
    await asyncio.sleep(30)
    return wire.Busy(), []


def answers(reply: wire.Reply) -> Handler:
    async def handler(_call: Incoming) -> Answer:
        return reply, []

    return handler


def kinds(result: StepResult) -> list[str]:
    return [o.kind for o in result.outcomes]


async def test_outcomes_are_passed_on(world: World) -> None:
    world.serve("dkim", delivered)
    world.tell(dkim="ready", queue="ready")
    result = await world.hand_over(mail("1 2"))
    assert kinds(result) == ["delivered", "delivered"]
    assert not world.stored


async def test_the_callee_gets_three_seconds_less_and_the_path(world: World) -> None:
    async def handler(call: Incoming) -> Answer:
        world.seen.append(call)
        return await delivered(call)

    world.serve("dkim", handler)
    world.tell(dkim="ready", queue="ready")
    own = time.monotonic_ns() + 10_000_000_000
    await world.chain.hand_over(mail(), world.to, own_deadline_ns=own)
    request = world.seen[0].request
    assert isinstance(request, wire.Handoff)
    assert request.deadline_ns == own - STEP_NS
    assert request.path == ("sieve.0.1",)
    assert request.step == "dkim"


async def test_no_worker_means_queued_and_due_at_once(world: World) -> None:
    world.tell(queue="ready")
    result = await world.hand_over(mail())
    assert kinds(result) == ["queued"]
    assert result.outcomes[0].keeper == "queue.0.1"
    assert world.stored[0].due_in_s == 0
    assert world.stored[0].handoff.step == "dkim"


async def test_mail_that_is_not_to_leave_yet_waits_in_the_queue(world: World) -> None:
    world.serve("dkim", delivered)
    world.tell(dkim="ready", queue="ready")
    later = wire.Envelope(sender=b"a@b", hold_until_s=time.time() + 600)
    assert kinds(await world.hand_over(mail(envelope=later))) == ["queued"]
    assert world.stored[0].handoff.envelope == later
    assert kinds(await world.hand_over(mail(envelope=later, origin="queue"))) == ["delivered"]
    past = wire.Envelope(sender=b"a@b", hold_until_s=time.time() - 1)
    assert kinds(await world.hand_over(mail(envelope=past))) == ["delivered"]
    world.to = Next("sieve", "sieve", world.to.admission)
    await world.hand_over(mail(envelope=later))
    assert len(world.stored) == 2  # no worker: its scripts have not run, and it waits with them


async def test_who_may_not_be_queued_is_refused(world: World) -> None:
    world.tell(queue="ready")
    result = await world.hand_over(mail(may_queue="no"))
    assert kinds(result) == ["refused"]
    assert result.outcomes[0].code == 451
    assert not world.stored


@pytest.mark.parametrize(("seconds", "due_in_s"), [(10, 60), (100, 100)])
async def test_a_dead_callee_is_taken_over_for_later(
    world: World, seconds: float, due_in_s: float
) -> None:
    """Not before those whom it had called have ended."""
    world.serve("dkim", silent)
    world.tell(dkim="ready", queue="ready")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(world.hand_over(mail(), seconds))
        await asyncio.sleep(0.1)
        world.tell(dkim="dead", queue="ready")
    assert kinds(task.result()) == ["queued"]
    assert world.stored[0].due_in_s == pytest.approx(due_in_s, abs=1)
    assert not world.stored[0].in_doubt


async def test_a_silent_callee_is_cancelled_and_stored_in_doubt(world: World) -> None:
    async def handler(call: Incoming) -> Answer:
        world.seen.append(call)
        return await silent(call)

    world.serve("dkim", handler)
    world.tell(dkim="ready", queue="ready")
    result = await world.hand_over(mail(), seconds=STEP_NS / 1e9 + 0.1)
    assert kinds(result) == ["queued"]
    assert result.outcomes[0].in_doubt
    assert world.stored[0].in_doubt
    assert world.stored[0].due_in_s == 600
    assert world.seen[0].is_cancelled
    assert GRACE_NS == 1_000_000_000


@pytest.mark.parametrize(
    ("reply", "due_in_s"), [(wire.Expired(), 0), (wire.Crashed(), 60), (wire.Done(), 60)]
)
async def test_an_answer_that_is_no_outcome_means_queued(
    world: World, reply: wire.Reply, due_in_s: float
) -> None:
    world.serve("dkim", answers(reply))
    world.tell(dkim="ready", queue="ready")
    assert kinds(await world.hand_over(mail())) == ["queued"]
    assert world.stored[0].due_in_s == due_in_s


async def test_a_queue_that_can_not_store_means_refused(world: World) -> None:
    world.reply = wire.NotStored(text="no space")
    world.tell(queue="ready")
    assert kinds(await world.hand_over(mail())) == ["refused"]


async def test_no_queue_means_refused(world: World) -> None:
    world.tell()
    assert kinds(await world.hand_over(mail())) == ["refused"]


async def test_a_silent_queue_is_told_to_forget(world: World, tmp_path: Path) -> None:
    world.reply = wire.Crashed()
    world.tell(queue="ready")
    assert kinds(await world.hand_over(mail("1 2"))) == ["refused", "refused"]
    await asyncio.sleep(0.1)
    (disown,) = world.told
    assert isinstance(disown, wire.Disown)
    assert (disown.id, disown.numbers) == (ID, ("1", "2"))
    assert disown.by, "so that it undoes this caller's intake alone"


async def test_in_a_queue_run_nothing_is_stored(world: World) -> None:
    world.tell(queue="ready")
    result = await world.hand_over(mail(origin="queue"))
    assert kinds(result) == ["deferred"]
    assert result.outcomes[0].step == "dkim"
    assert not world.stored


async def test_recipients_that_an_answer_lacks_are_taken_over(world: World) -> None:
    only_first = same_for_all([wire.Recipient(number="1.1", address=b"x@y")], "delivered", OK)
    world.serve("dkim", answers(wire.Outcomes(outcomes=only_first)))
    world.tell(dkim="ready", queue="ready")
    result = await world.hand_over(mail("1 2"))
    assert [(o.number, o.kind) for o in result.outcomes] == [("1.1", "delivered"), ("2", "queued")]


async def test_past_the_admission_limit_mail_goes_to_the_queue(world: World) -> None:
    world.serve("dkim", silent)
    world.tell(dkim="ready", queue="ready")
    world.to = Next("dkim", "dkim", Admission(1, 500, time.monotonic_ns()))
    async with asyncio.TaskGroup() as group:
        first = group.create_task(world.hand_over(mail()))
        await asyncio.sleep(0.05)
        assert kinds(await world.hand_over(mail())) == ["queued"]
        world.tell(dkim="dead", queue="ready")
    assert kinds(first.result()) == ["queued"]


async def test_the_last_reply_is_the_reason_that_the_client_hears(world: World) -> None:
    world.tell()
    said = same_for_all(mail().handoff.recipients, "refused", Why(450, "4.2.1", "full up"))
    until = time.monotonic_ns() + 5_000_000_000
    result = await world.chain.store(mail(), "delivery", OK, until, 0.0, replies=said)
    assert (result.outcomes[0].code, result.outcomes[0].text) == (450, "full up")


async def test_settling_goes_on_until_the_queue_is_there(world: World) -> None:
    outcomes = same_for_all(mail().handoff.recipients, "delivered", OK)
    world.queue.settle(ID, outcomes, b"f")
    await asyncio.sleep(0.05)
    assert not world.told
    world.tell(queue="ready")
    await asyncio.sleep(0.8)
    assert world.told == [wire.Settle(id=ID, outcomes=outcomes, fence=b"f")]


async def test_each_turn_of_the_load_switch_is_one_line(world: World) -> None:
    begun_ns = time.monotonic_ns() - 2 * WINDOW_NS
    admission = Admission(10, 500, begun_ns)
    assert admission.enter(begun_ns, False)
    admission.leave(begun_ns, False, 900.0)  # its window ends with the next call
    world.to = Next("dkim", "dkim", admission)
    for _ in range(3):
        await world.hand_over(mail())
    turns = [line for line in world.lines if line.startswith("Load switch")]
    assert turns == ["Load switch: service=dkim state=cut limit=7"]


def test_a_keeper_settles_when_a_process_of_the_path_dies() -> None:
    settled: list[tuple[str, int, bytes]] = []
    keeper = Keeper(lambda id, outcomes, fence: settled.append((id, len(outcomes), fence)))
    handoff = mail("1", path=("smtpd.0.1", "sieve.0.1"), fence=b"f").handoff
    keeper.keep(handoff, same_for_all(handoff.recipients, "delivered", OK))
    gone = wire.Slot(service="dkim", slot=0, pid=1, generation=1, state="dead")
    keeper.died(gone)
    assert not settled
    keeper.died(msgspec.structs.replace(gone, service="sieve"))
    assert settled == [(ID, 1, b"f")]
    assert len(keeper) == 0


def test_a_keeper_forgets_what_was_answered_and_fences_what_was_withheld() -> None:
    keeper = Keeper(lambda *_: pytest.fail("settled"))
    handoff = mail("1 2", fence=b"f").handoff
    keeper.keep(handoff, same_for_all(handoff.recipients[:1], "delivered", OK))
    keeper.keep(handoff, same_for_all(handoff.recipients[1:], "failed", OK))
    put = keeper.withheld(ID)
    assert put == wire.FencePut(base=b"f", id=ID, pairs=((b"x@y", b"x@y"),))
    keeper.keep(handoff, same_for_all(handoff.recipients, "delivered", OK))
    keeper.answered((ID,))
    assert keeper.withheld(ID) is None
    keeper.turn()


def test_what_ends_after_a_process_of_its_path_died_is_settled_at_once() -> None:
    settled: list[str] = []
    keeper = Keeper(lambda id, _outcomes, _fence: settled.append(id), {"sieve.0.1"}.__contains__)
    handoff = mail("1", path=("smtpd.0.1", "sieve.0.1")).handoff
    keeper.keep(handoff, same_for_all(handoff.recipients, "delivered", OK))
    assert settled == [ID]
    assert len(keeper) == 0


def test_a_keeper_settles_what_is_overdue() -> None:
    settled: list[str] = []
    keeper = Keeper(lambda id, _outcomes, _fence: settled.append(id))
    handoff = mail().handoff
    keeper.keep(handoff, same_for_all(handoff.recipients, "delivered", OK))
    keeper.turn()
    assert not settled
    keeper._kept[ID].until_ns -= OVERDUE_NS + 1
    keeper.turn()
    assert settled == [ID]


def test_variants_are_renumbered_when_results_are_joined() -> None:
    deferred = wire.Outcome(number="1", kind="deferred")
    one = changed(StepResult((deferred,)), wire.Variant(), b"A: 1\r\n")
    two = changed(StepResult((deferred,)), wire.Variant(), b"B: 2\r\n")
    both = joined([one, two])
    assert [o.variant for o in both.outcomes] == [1, 2]
    assert [header for _, header in both.variants] == [b"A: 1\r\n", b"B: 2\r\n"]
    assert changed(both, wire.Variant(), b"C: 3\r\n") == both


def test_splits_cover_their_parent() -> None:
    recipients = mail("1 2 3").handoff.recipients
    outcomes = [wire.Outcome(number=n, kind="delivered") for n in ("1", "3.1.2")]
    assert [r.number for r in missing(recipients, outcomes)] == ["2"]


async def test_answered_ids_reach_their_keeper_in_one_batch(world: World) -> None:
    heard: list[wire.Request] = []

    async def handler(call: Incoming) -> Answer:
        heard.append(call.request)
        return wire.Done(), []

    world.serve("dkim", handler)
    world.tell(dkim="ready")
    answerer = Answerer(world.caller, world.directory)
    for n in range(3):
        outcome = wire.Outcome(number="1", kind="delivered", keeper="dkim.0.1")
        answerer.told(f"{ID}{n}", (outcome, outcome))
    await asyncio.sleep(0.3)
    assert heard == [wire.Answered(ids=(f"{ID}0", f"{ID}1", f"{ID}2"))]
    answerer.close()
