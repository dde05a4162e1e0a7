"""Effects: once, when the recipient is accepted, and never for what was refused."""

import time
from collections.abc import Sequence

import pytest

from columba.common.dict.base import Change
from columba.common.dict.memory import MemoryDict
from columba.common.errors import UnavailableError
from columba.common.hop.mail import Mail
from columba.common.hop.queue_client import QueueClient
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.sieve.commit import Committer, accepted
from columba.sieve.engine import Finished, Inputs, Script, begin, compile_script
from columba.sieve.expand import Todo
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.mailing import Origin
from columba.sieve.run.effects import MARKS
from columba.sieve.run.message import message_of
from columba.sieve.view import envelope

ID = "01JD0000000000000000000000"
ADD = wire.Effect(kind="add", key="count", dict="d", amount=2)
MESSAGE = (
    b"From: s@far.example\r\nTo: me@b.example\r\nSubject: hi\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n"
)


class FakeQueue(QueueClient):
    """Remembers what it was asked to store; `problem` is its answer if it is not ""."""

    def __init__(self) -> None:
        self.stored: dict[str, tuple[wire.Handoff, Mail]] = {}
        self.problem = ""

    async def store(self, mail: Mail, intake: wire.Intake, until_ns: int) -> wire.Stored | str:
        if self.problem:
            return self.problem
        self.stored[intake.handoff.id] = (intake.handoff, mail)
        return wire.Stored(keeper="queue.0.1")


class World:
    def __init__(self) -> None:
        self.dicts = {"d": MemoryDict(), MARKS: MemoryDict()}
        self.queue = FakeQueue()
        self.lines: list[str] = []
        event = Event(lambda _level, text: self.lines.append(text))
        origin = Origin("mx.b.example", "postmaster@b.example")
        self.committer = Committer(self.dicts, self.queue, origin, 1.0, event)

    async def commit(
        self, todo: Todo, *outcomes: wire.Outcome, id: str = ID, origin: str = "client"
    ) -> tuple[wire.Outcome, ...]:
        handoff = wire.Handoff(
            id=id,
            step="sieve",
            deadline_ns=time.monotonic_ns() + 10**10,
            envelope=wire.Envelope(sender=b"s@far.example"),
            client=wire.Client(),
            recipients=(),
            body=wire.Body(),
            origin="queue" if origin == "queue" else "client",
        )
        return await self.committer.commit(handoff, [todo], outcomes)

    async def count(self) -> str | None:
        return await self.dicts["d"].get("count", 1.0)


def outcome(number: str, kind: wire.OutcomeKind) -> wire.Outcome:
    return wire.Outcome(number=number, kind=kind, address=b"me@b.example")


def vacation(text: str = 'vacation "away";', limits: Limits | None = None) -> Todo:
    script = compile_script(
        f'require ["vacation", "vacation-seconds", "enotify", "fcc", "mailbox"]; {text}'.encode(),
        "route",
        Stage.ROUTE,
    )
    assert isinstance(script, Script), script
    machine = begin(
        script,
        Inputs(
            clock=time.thread_time_ns,
            message=message_of(MESSAGE),
            envelope=envelope(b"s@far.example", [b"me@b.example"], ""),
            limits=limits or Limits(),
            wall_s=1e9,
        ),
    )
    finished = machine.step()
    assert isinstance(finished, Finished)
    home = wire.Route(kind="maildir", path="b.example/me")
    return Todo("1", entries=tuple(finished.result.entries), run=machine.run, home=home)


@pytest.mark.parametrize("kind", ["refused", "failed", "deferred"])
async def test_nothing_is_done_for_what_was_not_accepted(kind: wire.OutcomeKind) -> None:
    world = World()
    assert (
        await world.commit(Todo("1", (ADD,)), outcome("1", kind), outcome("2", "delivered")) == ()
    )
    assert await world.commit(vacation(), outcome("1", kind)) == ()
    assert await world.count() is None
    assert not world.queue.stored


@pytest.mark.parametrize("kind", ["delivered", "queued", "discarded"])
async def test_an_effect_is_done_once_for_each_recipient(kind: wire.OutcomeKind) -> None:
    world = World()
    for _ in range(3):
        await world.commit(Todo("1", (ADD,)), outcome("1", kind))
    assert await world.count() == "2"
    await world.commit(Todo("2", (ADD,)), outcome("2", kind))
    assert await world.count() == "4"


async def test_a_split_of_the_recipient_is_enough() -> None:
    outcomes = (outcome("1.1", "refused"), outcome("1.2", "queued"), outcome("11", "delivered"))
    assert accepted("1", outcomes) == outcomes[1]
    assert accepted("", outcomes) == outcomes[1]
    assert accepted("2", outcomes) is None


async def test_the_effects_of_data_wait_for_the_first_who_is_accepted() -> None:
    world = World()
    await world.commit(Todo("", (ADD,)), outcome("1", "refused"), outcome("2", "delivered"))
    await world.commit(Todo("", (ADD,)), outcome("1", "delivered"), outcome("2", "delivered"))
    assert await world.count() == "2"


async def test_a_dict_that_does_not_answer_costs_the_effect_alone() -> None:
    world = World()
    lost = wire.Effect(kind="set", key="k", dict="none", value="v")
    assert await world.commit(Todo("1", (lost, ADD)), outcome("1", "delivered")) == ()
    assert await world.count() == "2"
    assert "An effect is lost" in world.lines[0]


async def test_a_reply_is_stored_before_the_answer_and_only_once() -> None:
    world = World()
    for _ in range(2):
        assert await world.commit(vacation(), outcome("1", "delivered")) == ()
    ((id, (handoff, mail)),) = world.queue.stored.items()
    assert handoff.kind == "generated" and handoff.step == "route"
    assert handoff.envelope.sender == b""
    assert [r.address for r in handoff.recipients] == [b"s@far.example"]
    assert b"Auto-Submitted: auto-replied" in mail.header and mail.body == b"away\r\n"
    assert id[:10] == ID[:10]


async def test_another_mail_of_the_same_sender_gets_no_second_reply() -> None:
    world = World()
    await world.commit(vacation(), outcome("1", "delivered"))
    await world.commit(vacation(), outcome("1", "delivered"), id=ID[:-1] + "1")
    assert len(world.queue.stored) == 1
    other = vacation('vacation "other words";')
    await world.commit(other, outcome("1", "delivered"), id=ID[:-1] + "2")
    assert len(world.queue.stored) == 2


async def test_without_a_period_every_mail_is_answered() -> None:
    world = World()
    limits = Limits(options={"sieve_vacation_min_period": "0"})
    todo = vacation('vacation :seconds 0 "away";', limits)
    await world.commit(todo, outcome("1", "delivered"))
    await world.commit(todo, outcome("1", "delivered"), id=ID[:-1] + "1")
    assert len(world.queue.stored) == 2


async def test_a_reply_that_cant_be_stored_makes_the_client_come_again() -> None:
    world = World()
    world.queue.problem = "the disk is full"
    (more,) = await world.commit(vacation(), outcome("1", "delivered"))
    assert (more.number, more.kind, more.code) == ("1.0", "refused", 451)
    world.queue.problem = ""
    assert await world.commit(vacation(), outcome("1", "delivered"), id=ID[:-1] + "1") == ()
    assert len(world.queue.stored) == 1


async def test_in_a_queue_run_it_is_only_an_error_in_the_log() -> None:
    world = World()
    world.queue.problem = "the disk is full"
    assert await world.commit(vacation(), outcome("1", "delivered"), origin="queue") == ()
    assert any("could not be stored" in line for line in world.lines)


async def test_a_copy_of_the_reply_is_filed() -> None:
    world = World()
    await world.commit(vacation('vacation :fcc "Sent" :create "away";'), outcome("1", "delivered"))
    filed = [h for h, _ in world.queue.stored.values() if h.step == "delivery"]
    (person,) = filed[0].recipients
    assert person.route == wire.Route(
        kind="maildir", path="b.example/me", folder="Sent", create=True
    )
    assert person.pinned


async def test_a_notice_goes_to_its_recipients() -> None:
    world = World()
    await world.commit(
        vacation('notify :message "new mail" "mailto:me@phone.example";'), outcome("1", "queued")
    )
    ((handoff, mail),) = world.queue.stored.values()
    assert [r.address for r in handoff.recipients] == [b"me@phone.example"]
    assert b'Auto-Submitted: auto-notified; owner-email="' in mail.header


class Silent(MemoryDict):
    """A dict whose server does not answer."""

    asked = 0

    async def commit(self, mark: str, changes: Sequence[Change], timeout_s: float) -> bool:
        self.asked += 1
        raise UnavailableError(f"no answer after {timeout_s} s")


@pytest.mark.parametrize(("left_s", "asked"), [(-1.0, 1), (10.0, 30)])
async def test_a_silent_dict_makes_the_answer_late_once(left_s: float, asked: int) -> None:
    """Of 30 recipients; as long as there is time it is asked for each."""
    world = World()
    world.dicts["d"] = silent = Silent()
    handoff = wire.Handoff(
        id=ID,
        step="sieve",
        deadline_ns=time.monotonic_ns() + int(left_s * 1e9),
        envelope=wire.Envelope(sender=b"s@far.example"),
        client=wire.Client(),
        recipients=(),
        body=wire.Body(),
    )
    todo = [Todo(str(n), (ADD,)) for n in range(30)]
    await world.committer.commit(handoff, todo, [outcome(str(n), "delivered") for n in range(30)])
    assert silent.asked == asked
    assert sum("An effect is lost" in line for line in world.lines) == 30
