"""What scripts decide leaves a line."""

from typing import Literal

from columba.common.hop.mail import Why, same_for_all
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.sieve.report import say_decided

PERSON = wire.Recipient(number="1", address=b"ann@b.example", original=b"team@b.example")


def said(origin: Literal["client", "queue"]) -> list[str]:
    lines: list[str] = []
    handoff = wire.Handoff(
        id="ID",
        step="sieve",
        deadline_ns=0,
        envelope=wire.Envelope(sender=b"s@far.example"),
        client=wire.Client(),
        recipients=(PERSON,),
        body=wire.Body(),
        origin=origin,
    )
    thrown = same_for_all([PERSON], "discarded", Why(250, "2.0.0", "Discarded"), step="sieve")
    same = same_for_all([PERSON], "delivered", Why(250, "2.0.0", "Ok"), step="delivery")
    say_decided(Event(lambda _level, text: lines.append(text)), handoff, (*thrown, *same))
    return lines


def test_each_recipient_has_a_line() -> None:
    thrown, same = said("client")
    assert thrown.startswith("Discarded by policy: id=ID n=1 to=ann@b.example original=team@")
    assert same.startswith("Delivered with another copy: id=ID")


def test_the_queue_writes_its_own() -> None:
    assert said("queue") == []
