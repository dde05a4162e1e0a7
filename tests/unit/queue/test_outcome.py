"""What outcomes make of a record."""

import msgspec
import pytest

from columba.common.ipc import wire
from columba.queue import outcome
from columba.queue.message import record_of, to_map
from columba.queue.outcome import Variant
from columba.queue.plan import due_s
from columba.queue.record import (
    DELIVERED,
    DISCARDED,
    FAILED,
    MOVED,
    OWED,
    PENDING,
    Claim,
    Record,
    changed,
    with_recipients,
)
from columba.queue.retry import RetryPolicy

POLICY = RetryPolicy()
ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
NOW_S = 1_800_000_000.0


def record(*addresses: str, sender: bytes = b"sender@example.org", **fields: object) -> Record:
    people = tuple(
        wire.Recipient(number=str(n), address=address.encode())
        for n, address in enumerate(addresses, 1)
    )
    handoff = wire.Handoff(
        id=ID,
        step="route",
        deadline_ns=0,
        envelope=wire.Envelope(sender=sender),
        client=wire.Client(),
        recipients=people,
        body=wire.Body(size=4),
        may_queue="yes",
    )
    made = record_of(wire.Intake(handoff=handoff), b"A: b\r\n", b"body", NOW_S, POLICY)
    return outcome.claimed(changed(made, **fields), "node-0", 3, NOW_S)


def said(number: str, kind: wire.OutcomeKind, **fields: object) -> wire.Outcome:
    return msgspec.convert({"number": number, "kind": kind, **fields}, wire.Outcome)


def states(made: Record) -> dict[str, str]:
    return {person.number: person.state for person in made.recipients}


def test_final_outcomes_are_final_and_the_rest_is_tried_again() -> None:
    before = record("a@x", "b@x", "c@x", "d@x", "e@x")
    outcomes = [
        said("1", "delivered"),
        said("2", "discarded"),
        said("3", "failed", code=550),
        said("4", "deferred", code=451, step="route"),
    ]
    after = outcome.apply(before, outcomes, (), NOW_S, POLICY).record
    assert states(after) == {"1": DELIVERED, "2": DISCARDED, "3": OWED, "4": PENDING, "5": PENDING}
    assert after.claim == Claim()
    assert after.due_s == NOW_S + 60
    assert due_s(after) == 0.0, "the DSN is due at once"


def test_a_try_without_room_is_not_counted_and_is_made_again_soon() -> None:
    before = record("a@x", "b@x", attempts=6)
    full = said("1", "deferred", code=451, enhanced="4.3.2", untried=True)
    after = outcome.apply(before, [full, said("2", "delivered")], (), NOW_S, POLICY).record
    assert (after.attempts, after.due_s, after.claim) == (6, NOW_S + 5, Claim())
    tried = said("2", "deferred", code=452)
    after = outcome.apply(before, [full, tried], (), NOW_S, POLICY).record
    assert (after.attempts, after.due_s) == (7, NOW_S + 60 * 2**6), "somebody was tried"


def test_what_is_final_stays_so() -> None:
    done = outcome.apply(record("a@x"), [said("1", "delivered")], (), NOW_S, POLICY).record
    again = outcome.apply(done, [said("1", "failed")], (), NOW_S, POLICY).record
    assert states(again) == {"1": DELIVERED}


def test_a_later_step_with_a_changed_message_is_put_into_the_same_record() -> None:
    variant = Variant(b"DKIM-Signature: x\r\nA: b\r\n", selectors=("s1",))
    applied = outcome.apply(
        record("a@x", "b@x"),
        [said(n, "deferred", step="delivery", variant=1) for n in "12"],
        [variant],
        NOW_S,
        POLICY,
    )
    assert applied.parts == ()
    assert applied.record.step == "delivery"
    assert applied.record.header == variant.header
    assert applied.record.body == b"body"
    assert applied.record.selectors == ["s1"]


def test_recipients_that_part_become_records_of_their_own() -> None:
    variant = Variant(b"signed", body=b"other", body_size=5, has_body=True)
    applied = outcome.apply(
        record("a@x", "b@x", "c@x"),
        [
            said("1", "delivered"),
            said("2", "deferred", step="route"),
            said("3", "deferred", step="delivery", variant=1),
        ],
        [variant],
        NOW_S,
        POLICY,
    )
    assert states(applied.record) == {"1": DELIVERED, "2": PENDING, "3": MOVED}
    assert applied.record.recipients[2].child == f"{ID}.3"
    (part,) = applied.parts
    assert (part.name, part.step, part.header, part.body) == (
        f"{ID}.3",
        "delivery",
        b"signed",
        b"other",
    )
    assert states(part) == {"3": PENDING}
    assert applied.record.header == b"A: b\r\n"


def test_a_recipient_that_was_split_is_replaced_by_its_splits() -> None:
    route = wire.Route(kind="maildir", path="u")
    split = wire.Recipient(number="1.2", address=b"c@y", original=b"a@x", route=route, pinned=True)
    after = outcome.apply(
        record("a@x"),
        [
            said("1.1", "delivered", address=b"b@y", original=b"a@x"),
            said("1.2", "deferred", step="route", address=b"c@y", recipient=to_map(split)),
        ],
        (),
        NOW_S,
        POLICY,
    ).record
    assert states(after) == {"1": MOVED, "1.1": DELIVERED, "1.2": PENDING}
    assert after.recipients[2].spec == to_map(split), "with its pinned route, or it is split again"
    assert "recipient" not in after.recipients[2].reply


@pytest.mark.parametrize(
    ("notify", "sender", "may_queue", "state"),
    [
        ((), b"s@x", "yes", OWED),
        (("FAILURE", "DELAY"), b"s@x", "yes", OWED),
        (("NEVER",), b"s@x", "yes", FAILED),
        (("SUCCESS",), b"s@x", "yes", FAILED),
        ((), b"", "yes", FAILED),
        ((), b"s@x", "hold", PENDING),
    ],
)
def test_a_failure_is_reported_only_to_whom_it_may_be(
    notify: tuple[str, ...], sender: bytes, may_queue: str, state: str
) -> None:
    before = record("a@x", sender=sender, may_queue=may_queue)
    person = msgspec.structs.replace(before.recipients[0], spec={"notify": list(notify)})
    before = with_recipients(before, [person])
    after = outcome.apply(before, [said("1", "failed", code=550)], (), NOW_S, POLICY).record
    assert states(after) == {"1": state}
    assert after.active == ()


def test_a_failed_dsn_is_owed_to_the_postmaster_and_his_to_nobody() -> None:
    dsn = record("a@x", sender=b"", kind="generated")
    assert states(outcome.apply(dsn, [said("1", "failed")], (), NOW_S, POLICY).record) == {
        "1": OWED
    }
    double = changed(dsn, double=True)
    after = outcome.apply(double, [said("1", "failed")], (), NOW_S, POLICY).record
    assert states(after) == {"1": FAILED}


def test_doubt_delays_the_recipient_in_doubt_alone() -> None:
    after = outcome.apply(
        record("a@x", "b@x"),
        [said("1", "deferred", step="route", in_doubt=True), said("2", "deferred", step="route")],
        (),
        NOW_S,
        POLICY,
    ).record
    assert due_s(after) == NOW_S + 60
    assert [person.doubt_s for person in after.recipients] == [NOW_S + 600, 0.0]


def test_a_late_outcome_ends_doubt_and_makes_the_rest_due() -> None:
    before = outcome.doubted(record("a@x", "b@x", "c@x"), NOW_S, POLICY, has_died=False)
    assert due_s(before) == NOW_S + 600
    late = [said("1", "delivered"), said("2", "failed"), said("3", "refused", code=421)]
    after = outcome.settled(before, late, NOW_S + 30)
    assert states(after) == {"1": DELIVERED, "2": OWED, "3": PENDING}
    assert due_s(with_recipients(after, [])) == 0.0
    paid = with_recipients(after, [msgspec.structs.replace(after.owed[0], state="bounced")])
    assert due_s(paid) == NOW_S + 30


def test_the_second_death_is_poison() -> None:
    once = outcome.doubted(record("a@x"), NOW_S, POLICY, has_died=True)
    assert (once.deaths, once.hold) == (1, "")
    twice = outcome.doubted(once, NOW_S, POLICY, has_died=True)
    assert (twice.deaths, twice.hold) == (2, outcome.HOLD_POISON)
    assert twice.active == ()


def test_what_expires_has_failed_but_not_what_is_in_doubt() -> None:
    before = record("a@x", "b@x")
    doubtful = msgspec.structs.replace(before.recipients[0], doubt_s=NOW_S + 10)
    before = changed(before, expires_s=NOW_S)
    after = outcome.expired(with_recipients(before, [doubtful]), NOW_S)
    assert states(after) == {"1": PENDING, "2": OWED}
    assert after.recipients[1].reply["enhanced"] == "4.4.7"


def test_a_try_that_nobody_took_does_not_count() -> None:
    after = outcome.unclaimed(record("a@x"), NOW_S + 5)
    assert (after.attempts, after.claim, after.due_s) == (0, Claim(), NOW_S + 5)
