"""The queue asks its scripts where there are some, and goes on without them."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from columba.common.errors import PeerLateError
from columba.common.ipc import wire
from columba.common.ipc.client import Answer
from columba.common.log.event import Event
from columba.queue import reports
from columba.queue.bounce import PLAIN
from columba.queue.policy import Policy
from columba.queue.record import OWED, Recipient, Record
from columba.sieve.engine import CompileErrors, compile_script
from columba.sieve.lang.stage import Stage
from tests.fakes.clock import FakeClock

ROOT = Path(__file__).resolve().parent.parent.parent.parent
PERSON = Recipient(
    number="1", spec={"address": b"r@example.net"}, reply={"code": 451, "text": "busy"}
)
MAIL = Record(
    id="01ARZ3NDEKTSV4RRFFQ69G5FAV",
    name="x",
    created_s=90.0,
    expires_s=200.0,
    due_s=160.0,
    attempts=3,
    envelope={"sender": b"s@example.org"},
    header=b"Subject: hello\r\n",
    recipients=(PERSON,),
)


class Script:
    """Answers stages as the test says."""

    def __init__(self, reply: wire.Reply | None) -> None:
        self.reply, self.asked = reply, list[wire.Stage]()
        self.lines: list[str] = []

    async def ask(self, stage: wire.Stage, parts: Sequence[bytes], until_ns: int) -> Answer:
        self.asked.append(stage)
        assert list(parts) == [MAIL.header]
        if self.reply is None:
            raise PeerLateError("silent")
        return Answer(self.reply, [], "sieve.0.1")

    def policy(self, is_there: bool = True) -> Policy:
        event = Event(lambda _level, text: self.lines.append(text))
        return Policy(self.ask, FakeClock(100.0), event, retries=is_there, bounces=is_there)


async def test_retry_hears_the_facts_and_decides() -> None:
    script = Script(wire.Verdict(next_s=7))
    assert await script.policy().decide(MAIL, ["1", "2"]) == {"1": wire.Verdict(next_s=7)}
    (asked,) = script.asked
    assert (asked.stage, asked.sender, asked.recipient) == (
        "retry",
        b"s@example.org",
        b"r@example.net",
    )
    assert asked.facts["attempt"] == "3"
    assert asked.facts["age"] == "10"
    assert asked.facts["next"] == "60"
    assert asked.facts["expires"] == "100"
    assert asked.facts["text"] == "busy"


async def test_without_a_script_nobody_is_asked() -> None:
    script = Script(None)
    assert await script.policy(is_there=False).decide(MAIL, ["1"]) == {}
    (due,) = reports.due(_owing())
    assert await script.policy(is_there=False).form(_owing(), due) == PLAIN
    assert script.asked == []


@pytest.mark.parametrize("reply", [None, wire.Verdict(action="reply", code=451), wire.Crashed()])
async def test_a_script_that_fails_is_a_warning_and_the_defaults_hold(
    reply: wire.Reply | None,
) -> None:
    script = Script(reply)
    assert await script.policy().decide(MAIL, ["1"]) == {}
    (due,) = reports.due(_owing())
    assert await script.policy().form(_owing(), due) == PLAIN
    assert len(script.lines) == 2


async def test_bounce_says_the_form_of_a_report() -> None:
    wish = wire.QueueWish(hold="look")
    script = Script(wire.Verdict(dsn="headers", dsn_text="Hi", dsn_copy=b"c@x", wish=wish))
    (due,) = reports.due(_owing())
    form = await script.policy().form(_owing(), due)
    assert (form.returns, form.text, form.copy, form.hold) == ("headers", "Hi", b"c@x", "look")
    assert script.asked[0].facts["kind"] == "failed"


def _owing() -> Record:
    import msgspec

    return msgspec.structs.replace(MAIL, recipients=(msgspec.structs.replace(PERSON, state=OWED),))


@pytest.mark.parametrize("stage", [Stage.RETRY, Stage.BOUNCE])
def test_the_shipped_examples_compile(stage: Stage) -> None:
    path = ROOT / "etc" / "sieve" / f"{stage.value}.sieve"
    text = path.read_text()
    uncommented = "\n".join(
        line[1:] if line.startswith("#") and line[1:2] not in (" ", "") else line
        for line in text.replace("\n#    ", "\n#\t").splitlines()
    )
    for octets in (text, uncommented):
        assert not isinstance(compile_script(octets.encode(), path.name, stage), CompileErrors)
