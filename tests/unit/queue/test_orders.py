"""What an administrator's orders make of a record."""

import msgspec

from columba.common.ipc import wire
from columba.queue import orders
from columba.queue.message import record_of
from columba.queue.record import DISOWNED, OWED, PENDING, Record, with_recipients
from columba.queue.retry import RetryPolicy

NOW_S = 1_800_000_000.0


def record(*addresses: str) -> Record:
    people = tuple(
        wire.Recipient(number=str(n), address=address.encode())
        for n, address in enumerate(addresses, 1)
    )
    handoff = wire.Handoff(
        id="01ARZ3NDEKTSV4RRFFQ69G5FAV",
        step="route",
        deadline_ns=0,
        envelope=wire.Envelope(sender=b"sender@example.org"),
        client=wire.Client(),
        recipients=people,
        body=wire.Body(size=4),
        may_queue="yes",
    )
    return record_of(wire.Intake(handoff=handoff), b"A: b\r\n", b"body", NOW_S, RetryPolicy())


def held(old: Record) -> Record:
    """Return the record with each of its recipients held, as policy does it."""
    people = [msgspec.structs.replace(p, hold="policy", hold_n=1) for p in old.recipients]
    return with_recipients(old, people)


def test_a_release_ends_every_hold_and_nothing_else() -> None:
    old = msgspec.structs.replace(held(record("a@b", "c@d")), hold="asked", hold_n=2)
    new = orders.released(old)
    assert (new.hold, new.hold_n) == ("", 3)
    assert [(p.state, p.hold, p.hold_n, p.spec) for p in new.recipients] == [
        (PENDING, "", 2, p.spec) for p in old.recipients
    ]
    assert orders.released(record("a@b")) == record("a@b")


def test_who_was_given_up_while_held_is_not_tried_again_by_a_release() -> None:
    given_up = orders.bounced(held(record("a@b")), "no more", NOW_S)
    assert [p.state for p in given_up.recipients] == [OWED]
    new = orders.released(given_up)
    assert [(p.state, p.hold) for p in new.recipients] == [(OWED, "")]
    assert not new.active and new.owed, "the report is still to be made"


def test_a_recipient_whose_intake_was_taken_back_is_no_business_of_orders() -> None:
    old = record("a@b", "c@d")
    gone = with_recipients(old, [msgspec.structs.replace(old.recipients[0], state=DISOWNED)])
    assert orders.deleted(gone, NOW_S).recipients[0].state == DISOWNED
