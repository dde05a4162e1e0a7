"""Between the wire and a record."""

import msgspec
import pytest

from columba.common.ipc import wire
from columba.queue.message import (
    MessageError,
    check,
    covers,
    excluded,
    handoff_of,
    missing,
    part_name,
    part_of,
    record_of,
    reply_of,
    to_map,
)
from columba.queue.record import DISOWNED, Recipient, Record, decode, encode
from columba.queue.retry import RetryPolicy

ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
HANDOFF = wire.Handoff(
    id=ID,
    step="dkim",
    deadline_ns=5,
    envelope=wire.Envelope(sender="søren@example.org".encode(), smtputf8=True, envid="e+1"),
    client=wire.Client(ip="192.0.2.1", login="u", trusted=True),
    recipients=(
        wire.Recipient(number="1", address=b"a\xff@x", notify=("FAILURE",)),
        wire.Recipient(
            number="3.1", address=b"b@x", route=wire.Route(kind="lmtp", path="/l"), pinned=True
        ),
    ),
    body=wire.Body(size=2),
    may_queue="yes",
    kind="submitted",
    fence=b"\x00key",
    fenced=(wire.Fenced(original=b"o@x", finals=(b"f@x",)),),
    sign=(wire.Sign(domain="example.org"),),
    variables={"v": "1"},
)


def test_a_queue_run_hands_over_what_was_taken_in() -> None:
    record = record_of(wire.Intake(handoff=HANDOFF), b"A: b\r\n", b"xy", 7.0, RetryPolicy())
    record = decode(encode(record))
    again = handoff_of(record, record.active, HANDOFF.body, deadline_ns=9, not_after_boot_ns=4)
    assert again == msgspec.structs.replace(
        HANDOFF, deadline_ns=9, not_after_boot_ns=4, origin="queue"
    )


def test_due_and_doubt_come_from_the_intake() -> None:
    policy = RetryPolicy()
    plain = record_of(wire.Intake(handoff=HANDOFF), b"", b"", 100.0, policy)
    assert (plain.due_s, plain.expires_s) == (105.0, 100.0 + policy.lifetime_s)
    taken = record_of(
        wire.Intake(handoff=HANDOFF, due_in_s=60.0, in_doubt=True), b"", b"", 100.0, policy
    )
    assert taken.due_s == 160.0
    assert {person.doubt_s for person in taken.recipients} == {700.0}


def test_a_mail_for_later_is_due_then_and_has_its_whole_life_from_then() -> None:
    policy = RetryPolicy()
    envelope = wire.Envelope(sender=b"a@x", arrived_s=90.0, hold_until_s=5000.0)
    held = msgspec.structs.replace(HANDOFF, envelope=envelope)
    record = record_of(wire.Intake(handoff=held), b"", b"", 100.0, policy)
    assert (record.due_s, record.expires_s) == (5000.0, 5000.0 + policy.lifetime_s)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../../etc/passwd"},
        {"recipients": ()},
        {"recipients": (wire.Recipient(number="1/2", address=b"a@x"),)},
        {"recipients": (wire.Recipient(number="1", address=b"a@x"),) * 2},
    ],
)
def test_what_can_t_be_a_key_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(MessageError):
        check(msgspec.structs.replace(HANDOFF, **change))


def test_a_record_that_does_not_fit_the_wire_is_an_error() -> None:
    record = Record(id=ID, name=ID, envelope={"sender": 5})
    with pytest.raises(MessageError):
        handoff_of(record, (), wire.Body(), deadline_ns=0, not_after_boot_ns=0)


def test_splits_of_what_is_stored_are_stored() -> None:
    people = tuple(Recipient(number=number) for number in ("1", "3.1"))
    record = Record(id=ID, name=ID, recipients=people)
    assert covers(record, "1.2.4")
    assert covers(record, "3.1")
    assert not covers(record, "3"), "the rest of 3 may be nowhere"
    assert missing(record, ["1", "1.1", "2", "3", "3.1", "3.10"]) == ["2", "3", "3.10"]


def test_what_was_taken_back_is_not_stored() -> None:
    record = Record(id=ID, name=ID, recipients=(Recipient(number="1", state=DISOWNED),))
    assert missing(record, ["1", "1.1"]) == ["1", "1.1"]


def test_parts_are_named_by_their_first_number() -> None:
    assert part_name(ID, ["10", "9", "9.1"]) == f"{ID}.9"


def test_a_store_of_an_ancestor_leaves_out_the_split_that_is_stored() -> None:
    stored = Recipient(number="3.1", spec={"address": b"f@x"})
    base = Record(id=ID, name=ID, recipients=(stored,))
    whole = Recipient(number="3", spec={"address": b"a@x"})
    part = part_of(Record(id=ID, name=ID, recipients=(whole,)), ["3"], f"{ID}.3")
    assert excluded(base, part) == [{"original": b"a@x", "finals": [b"f@x"], "id": ID}]


def test_a_stored_reply_is_read_as_it_was() -> None:
    taken = wire.Outcome(number="1", kind="delivered", enhanced="2.0.0", text="Ok")
    assert reply_of(Recipient(number="1", reply=to_map(taken))) == taken
    assert (reply_of(Recipient(number="1")).kind, reply_of(Recipient(number="1")).code) == (
        "deferred",
        451,
    )
