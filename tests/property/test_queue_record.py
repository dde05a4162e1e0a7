"""Records survive encoding with what they don't know, and merge in any order to the same thing."""

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columba.queue.document import Map, RecordError
from columba.queue.record import (
    _ORDER,
    DELIVERED,
    PENDING,
    Claim,
    Recipient,
    Record,
    decode,
    encode,
    merge,
    tombstone,
    with_recipients,
)

maps: st.SearchStrategy[Map] = st.dictionaries(
    st.text(max_size=4).map(lambda text: "x-" + text),
    st.one_of(st.integers(-5, 5), st.binary(max_size=4), st.text(max_size=4)),
    max_size=2,
)
recipients = st.builds(
    Recipient,
    number=st.sampled_from(["1", "2", "2.1", "10"]),
    spec=st.just({"address": b"a@example.org"}),
    state=st.sampled_from(_ORDER),
    reply=maps,
    at_s=st.sampled_from([0.0, 1.0, 2.5]),
    hold=st.sampled_from(["", "poison"]),
    hold_n=st.integers(0, 3),
    extra=maps,
)
records = st.builds(
    Record,
    id=st.just("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    name=st.just("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    seq=st.integers(0, 3),
    nonce=st.sampled_from(["", "n1", "n2"]),
    due_s=st.sampled_from([0.0, 5.0]),
    attempts=st.integers(0, 3),
    deaths=st.integers(0, 2),
    finished_s=st.sampled_from([0.0, 9.0]),
    hold=st.sampled_from(["", "asked"]),
    hold_n=st.integers(0, 2),
    header=st.binary(max_size=8),
    body=st.binary(max_size=8),
    claim=st.builds(Claim, attempt=st.integers(0, 2), epoch=st.integers(0, 2)),
    recipients=st.lists(recipients, max_size=4, unique_by=lambda r: r.number).map(
        lambda people: tuple(
            sorted(people, key=lambda r: [int(part) for part in r.number.split(".")])
        )
    ),
    extra=maps,
)


@given(records)
def test_what_is_written_is_read(record: Record) -> None:
    assert decode(encode(record)) == record


@given(records, records)
def test_merge_is_commutative(one: Record, other: Record) -> None:
    assert merge(one, other) == merge(other, one)


@given(records, records, records)
def test_merge_is_associative(one: Record, two: Record, three: Record) -> None:
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@given(records, records)
def test_merge_is_idempotent(one: Record, other: Record) -> None:
    assert merge(one, one) == one
    assert merge(merge(one, other), other) == merge(one, other)


@given(records, records)
def test_merge_never_goes_back(one: Record, other: Record) -> None:
    result = {person.number: person for person in merge(one, other).recipients}
    for person in (*one.recipients, *other.recipients):
        merged = result[person.number]
        assert _ORDER.index(merged.state) >= _ORDER.index(person.state)
        assert merged.hold_n >= person.hold_n


@given(st.binary(max_size=200))
def test_any_octets_are_a_record_or_an_error(data: bytes) -> None:
    with contextlib.suppress(RecordError):
        assert isinstance(decode(data), Record)


def test_fields_of_a_newer_version_are_kept() -> None:
    tree = msgpack.unpackb(encode(Record(id="A", name="A", recipients=(Recipient(number="1"),))))
    tree["colour"], tree["recipients"][0]["language"] = [1, b"\xff"], {"de": 1}
    record = decode(msgpack.packb(tree))
    delivered = Recipient(number="1", state=DELIVERED, extra=record.recipients[0].extra)
    again = msgpack.unpackb(encode(with_recipients(record, [delivered])))
    assert again["colour"] == [1, b"\xff"]
    assert again["recipients"] == [{"number": "1", "state": "delivered", "language": {"de": 1}}]


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", b"\x91" * 9999, b"\x81\xa2id\x01"])
def test_what_is_no_record_is_an_error(data: bytes) -> None:
    with pytest.raises(RecordError):
        decode(data)


def test_a_tombstone_knows_who_got_what_and_no_mail() -> None:
    person = Recipient(number="1", state=DELIVERED, reply={"text": "ok"})
    record = Record(
        id="A", name="A", header=b"h", body=b"b", client={"ip": "x"}, recipients=(person,)
    )
    stone = tombstone(record, 7.0)
    assert stone.is_tombstone
    assert (stone.header, stone.body, stone.client) == (b"", b"", {})
    assert [(r.number, r.state) for r in stone.recipients] == [("1", DELIVERED)]


def test_held_recipients_are_pending_and_not_active() -> None:
    people = (
        Recipient(number="1", hold="x"),
        Recipient(number="2"),
        Recipient(number="3", state=DELIVERED),
    )
    record = Record(id="A", name="A", recipients=people)
    assert [r.number for r in record.pending] == ["1", "2"]
    assert [r.number for r in record.active] == ["2"]
    assert people[0].state == PENDING
