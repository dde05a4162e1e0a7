"""The delivery step: deadlines, doubt, cancelling, keeping; with scripted hops and a queue that notes."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zmq

from columba.common.clock import SystemClock
from columba.common.hop.chain import Chain, Delays
from columba.common.hop.keeper import Keeper
from columba.common.hop.mail import Mail
from columba.common.hop.queue_client import QueueClient
from columba.common.ids import new_id
from columba.common.ipc import wire
from columba.common.ipc.calls import Caller
from columba.common.ipc.directory import Directory
from columba.common.ipc.server import Incoming
from columba.common.ipc.spool import spool_name
from columba.common.log.event import Event
from columba.delivery.filing import Filer
from columba.delivery.maildir import Maildirs
from columba.delivery.step import DeliveryStep, Policy
from tests.fakes.delivering import BODY, HEADER, Bench, seconds
from tests.peers.all import Peers
from tests.peers.hop import Hop, Step
from tests.peers.process import wait_until

NAME = "delivery.0.1"


@dataclass
class Notes(QueueClient):
    """A queue that notes what it is told. `full` makes it store nothing."""

    stored: list[wire.Intake] = field(default_factory=list)
    settled: list[wire.Outcome] = field(default_factory=list)
    fenced: list[wire.FencePut] = field(default_factory=list)
    cleared: list[tuple[bytes, bytes]] = field(default_factory=list)
    full: bool = False

    async def store(self, mail: Mail, intake: wire.Intake, until_ns: int) -> wire.Stored | str:
        assert until_ns == mail.handoff.deadline_ns
        if self.full:
            return "full"
        self.stored.append(intake)
        return wire.Stored(keeper="queue.0.1")

    def settle(self, id: str, outcomes: tuple[wire.Outcome, ...], fence: bytes) -> None:
        self.settled += outcomes

    async def fence_put(self, put: wire.FencePut, until_ns: int) -> bool:
        self.fenced.append(put)
        return True

    def fence_clear(self, base: bytes, doubts: tuple[tuple[bytes, bytes], ...]) -> None:
        self.cleared += doubts


class World:
    """A step with its surroundings."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bench, self.queue = folder, Bench(), Notes()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.directory = Directory(self.context, str(folder))
        self.caller = Caller(self.context, str(folder), self.directory)
        self.keeper = Keeper(self.queue.settle)
        delays = Delays(60, 600)
        event = Event(lambda _level, _text: None)
        self.step = DeliveryStep(
            Policy(NAME, folder, 25, 100, delays, 60.0),
            self.bench.attempts,
            Filer(Maildirs(folder / "mail"), "us.test", self.bench.off_loop),
            chain=Chain(NAME, self.caller, self.queue, delays, event),
            queue=self.queue,
            keeper=self.keeper,
            off_loop=self.bench.off_loop,
            clock=SystemClock(),
            event=event,
        )

    async def close(self) -> None:
        await self.step.close()
        await self.bench.close()
        self.caller.close()
        self.directory.close()
        self.context.destroy(0)

    async def run(self, mail: Mail, call: Incoming | None = None) -> dict[str, wire.Outcome]:
        """Return the outcomes by number; there is exactly one for each recipient."""
        result = await self.step.run(mail, call or Incoming(mail.handoff, [], b"", b""))
        outcomes = {o.number: o for o in result.outcomes}
        assert len(result.outcomes) == len(outcomes) == len(mail.handoff.recipients)
        return outcomes


@pytest.fixture
async def world(shared_path: Path) -> AsyncIterator[World]:
    made = World(shared_path)
    yield made
    await made.close()


def relay(hop: Hop) -> wire.Route:
    return wire.Route(kind="relay", host="127.0.0.1", port=hop.port)


def mail(*routes: wire.Route | None, within_s: float = 30.0, **fields: object) -> Mail:
    everyone = tuple(
        wire.Recipient(number=str(n), address=f"r{n}@x.test".encode(), route=route)
        for n, route in enumerate(routes, 1)
    )
    given: dict[str, object] = {
        "id": new_id(), "step": "delivery", "deadline_ns": seconds(within_s),
        "envelope": wire.Envelope(sender=b"me@x.test"), "client": wire.Client(trusted=True),
        "recipients": everyone, "body": wire.Body(size=len(BODY)), "may_queue": "yes",
        "fence": b"base", "path": ("smtpd.0.1", "sieve.0.1"), **fields,
    }  # fmt: skip
    return Mail(wire.Handoff(**given), HEADER, BODY)  # type: ignore[arg-type]  # fields of any kind


async def test_every_destination_has_its_own_outcome_at_the_same_time(
    peers: Peers, world: World
) -> None:
    one, two, three = peers.hop(), peers.hop(), peers.hop()
    for hop in (one, two, three):
        hop.always("dot", Step(delay_s=0.3))
    two.always("dot", Step("550 5.7.1 no", delay_s=0.3))
    three.always("dot", Step("450 4.2.0 later", delay_s=0.3))
    routes = relay(one), relay(two), relay(three), wire.Route(kind="maildir", path="x/kim")
    began = time.monotonic()
    outcomes = await world.run(mail(*routes, wire.Route(kind="discard")))
    assert time.monotonic() - began < 0.9
    kinds = [outcomes[n].kind for n in "12345"]
    assert kinds == ["delivered", "failed", "queued", "delivered", "discarded"]
    (intake,) = world.queue.stored
    assert [r.number for r in intake.handoff.recipients] == ["3"]
    assert (intake.due_in_s, intake.in_doubt, intake.handoff.step) == (60.0, False, "delivery")
    assert (intake.replies[0].code, intake.replies[0].enhanced) == (450, "4.2.0")
    assert outcomes["3"].keeper == "queue.0.1" and outcomes["1"].keeper == NAME
    assert len(list((world.folder / "mail/x/kim/new").iterdir())) == 1


@pytest.mark.parametrize(("may_queue", "full"), [("no", False), ("yes", True)])
async def test_what_is_not_stored_is_refused_with_the_hops_words(
    peers: Peers, world: World, may_queue: str, full: bool
) -> None:
    hop = peers.hop()
    hop.always("rcpt", Step("450 4.2.0 greylisted"))
    world.queue.full = full
    outcomes = await world.run(mail(relay(hop), may_queue=may_queue))
    assert (outcomes["1"].kind, outcomes["1"].code) == ("refused", 450)
    assert "greylisted" in outcomes["1"].text and not world.queue.stored


async def test_a_queue_run_stores_nothing(peers: Peers, world: World) -> None:
    hop = peers.hop()
    hop.always("rcpt", Step("450 4.2.0 greylisted"))
    outcomes = await world.run(mail(relay(hop), origin="queue"))
    assert (outcomes["1"].kind, outcomes["1"].step) == ("deferred", "delivery")
    assert outcomes["1"].code == 450 and not world.queue.stored


async def test_with_less_than_five_seconds_nobody_ends_a_message(
    peers: Peers, world: World
) -> None:
    hop = peers.hop()
    outcomes = await world.run(mail(relay(hop), within_s=4.9))
    assert outcomes["1"].kind == "queued" and not hop.transactions[0].dot_s
    assert not world.queue.stored[0].in_doubt


async def test_a_lease_that_ended_ends_no_message(peers: Peers, world: World) -> None:
    hop = peers.hop()
    ended_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 1
    outcomes = await world.run(mail(relay(hop), origin="queue", not_after_boot_ns=ended_ns))
    assert outcomes["1"].kind == "deferred" and not hop.transactions[0].dot_s


async def test_before_the_end_of_data_the_deadline_closes_the_connection(
    peers: Peers, world: World
) -> None:
    hop = peers.hop()
    hop.always("data", Step(delay_s=20))
    work = asyncio.ensure_future(world.run(mail(relay(hop))))
    await asyncio.sleep(0.3)
    world.step.hurry(time.monotonic_ns())
    outcomes = await asyncio.wait_for(work, 3)
    assert outcomes["1"].kind == "queued"
    assert (world.queue.stored[0].in_doubt, world.queue.stored[0].due_in_s) == (False, 0.0)
    assert world.step.late == 0 and not hop.transactions[0].dot_s


async def in_doubt(world: World, hop: Hop, **fields: object) -> wire.Outcome:
    """Run a mail past its deadline, while the hop has its end of data and says nothing."""
    work = asyncio.ensure_future(world.run(mail(relay(hop), **fields)))  # type: ignore[arg-type]
    await asyncio.to_thread(hop.wait_dots, 1)
    world.step.hurry(time.monotonic_ns())
    return (await asyncio.wait_for(work, 3))["1"]


@pytest.mark.parametrize(
    ("reply", "close", "kind"),
    [
        ("250 2.0.0 at last", False, "delivered"),
        ("550 5.7.1 no", False, "failed"),
        ("451 4.3.0 no", False, "refused"),
        ("", True, "refused"),
    ],
)
async def test_a_late_answer_is_settled(
    peers: Peers, world: World, reply: str, close: bool, kind: str
) -> None:
    hop = peers.hop()
    hop.always("dot", Step(reply, delay_s=1.0, close=close))
    outcome = await in_doubt(world, hop)
    assert (outcome.kind, outcome.in_doubt) == ("queued", True)
    (intake,) = world.queue.stored
    assert (intake.in_doubt, intake.due_in_s) == (True, 600)
    assert world.step.late == 1 and not world.queue.settled
    await asyncio.to_thread(wait_until, lambda: world.queue.settled, "the late answer", 10)
    assert [(o.number, o.kind) for o in world.queue.settled] == [("1", kind)]


async def test_doubt_that_may_not_be_queued_is_fenced(peers: Peers, world: World) -> None:
    hop = peers.hop()
    hop.always("dot", Step("550 5.7.1 no", delay_s=1.0))
    outcome = await in_doubt(world, hop, may_queue="no")
    assert (outcome.kind, outcome.code) == ("refused", 451)
    (put,) = world.queue.fenced
    assert (put.in_doubt, put.pairs) == (True, ((b"r1@x.test", b"r1@x.test"),))
    await asyncio.to_thread(wait_until, lambda: world.queue.cleared, "the late answer", 10)
    assert world.queue.cleared == [(b"r1@x.test", b"r1@x.test")]


async def test_a_cancelled_call_begins_nothing_more_and_stores_nothing(
    peers: Peers, world: World
) -> None:
    hop = peers.hop()
    hop.always("data", Step(delay_s=20))
    one = mail(relay(hop))
    call = Incoming(one.handoff, [], b"", b"")
    work = asyncio.ensure_future(world.run(one, call))
    await asyncio.sleep(0.3)
    call.cancel()
    outcomes = await asyncio.wait_for(work, 3)
    assert outcomes["1"].kind == "refused"
    assert not world.queue.stored and not hop.transactions[0].dot_s
    assert (await world.run(one, call))["1"].kind == "refused"
    assert len(hop.transactions) == 1


async def test_what_is_final_is_kept_until_the_client_was_told(peers: Peers, world: World) -> None:
    hop = peers.hop()
    told, untold = mail(relay(hop)), mail(relay(hop))
    await world.run(told)
    await world.run(untold)
    assert len(world.keeper) == 2
    world.keeper.answered((told.handoff.id,))
    dead = wire.Slot(service="sieve", slot=0, pid=1, generation=1, state="dead")
    world.keeper.died(dead)
    assert [(o.kind, o.address) for o in world.queue.settled] == [("delivered", b"r1@x.test")]
    put = world.keeper.withheld(told.handoff.id)
    assert put is None and len(world.keeper) == 0


def open_files() -> list[Path]:
    return [fd for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]


async def test_a_spooled_body_is_read_after_its_creator_unlinked_it(
    peers: Peers, world: World
) -> None:
    hop = peers.hop()
    hop.always("data", Step(delay_s=0.3))
    body = b"".join(b"line %d\r\n.dot\r\n" % n for n in range(40_000))
    one = mail(relay(hop))
    name = spool_name(one.handoff.id, 1, "smtpd.0.1")
    path = world.folder / name
    path.write_bytes(body)
    spooled = mail(relay(hop), id=one.handoff.id, body=wire.Body(size=len(body), spool=name))
    work = asyncio.ensure_future(world.run(spooled))
    await asyncio.sleep(0.15)
    path.unlink()
    assert (await work)["1"].kind == "delivered"
    assert hop.taken()[0].message == HEADER + b"\r\n" + body
    assert not any(str(path) in str(fd.readlink()) for fd in open_files())  # it was closed
    assert (await world.run(spooled))["1"].kind == "queued"  # the file is gone: nothing is sent


async def test_recipients_without_a_place_to_go(world: World) -> None:
    bad = mail(wire.Route(kind="relay"), wire.Route(kind="maildir", path="../etc"))
    outcomes = await world.run(bad)
    assert {o.kind for o in outcomes.values()} == {"queued"}
    assert {o.enhanced for o in world.queue.stored[0].replies} == {"4.3.5"}
