"""What outcomes make of a record.

Pure: a record, the outcomes of a queue run or late ones, and the time go in; the new record comes out, with
the parts that must be stored before it. Recipients only go forward. `delivered` and `discarded` are final;
`failed` is owed a DSN (or nothing, or an administrator's look: `verdict`); everything else means another try.
A recipient that an alias split is replaced by its splits. Recipients that must resume at another step, or
with another message, than the rest become a part, a record of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from columba.common import idforms as ids
from columba.common.ipc import wire
from columba.queue import message, reports
from columba.queue.record import (
    CONFIRMING,
    DELIVERED,
    DISCARDED,
    FAILED,
    MOVED,
    OWED,
    PENDING,
    Claim,
    Recipient,
    Record,
    changed,
    with_recipients,
)
from columba.queue.retry import RetryPolicy, next_due_s

POISON_DEATHS: Final = 2
HOLD_POISON: Final = "poison: a worker died twice while it had this message"
HOLD_FAILED: Final = "failed for good, and nobody may be told"


@dataclass(frozen=True, slots=True)
class Variant:
    """A message that a step changed: header block, and the key of a new body or ""."""

    header: bytes
    body: bytes = b""
    body_key: str = ""
    body_size: int = 0
    has_body: bool = False
    selectors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """The record as it is to be written, after these parts are durable."""

    record: Record
    parts: tuple[Record, ...] = ()


CROWDED_S: Final = 5.0  # when mail is tried again that there was no room for
_Place = tuple[str, int]  # step, variant


def claimed(record: Record, owner: str, epoch: int, now_s: float) -> Record:
    """Return the record with an attempt begun."""
    claim = Claim(attempt=record.attempts + 1, owner=owner, epoch=epoch, at_s=now_s)
    return changed(record, attempts=record.attempts + 1, claim=claim)


def unclaimed(record: Record, due_s: float) -> Record:
    """Return the record as if the attempt had not begun: nobody took the message."""
    return changed(record, attempts=max(0, record.attempts - 1), claim=Claim(), due_s=due_s)


def doubted(record: Record, now_s: float, policy: RetryPolicy, has_died: bool) -> Record:
    """Return the record after a call whose result is unknown; has_died when its worker died.

    The second death makes it poison: held until an administrator has looked.
    """
    until_s = now_s + policy.in_doubt_s
    people = [msgspec.structs.replace(r, doubt_s=until_s) for r in record.active]
    deaths = record.deaths + has_died
    record = with_recipients(changed(record, claim=Claim(), deaths=deaths, due_s=until_s), people)
    if has_died and deaths >= POISON_DEATHS and not record.hold:
        return held(record, HOLD_POISON)
    return record


def held(record: Record, why: str) -> Record:
    """Return the record held, or released when why is ""."""
    return changed(record, hold=why, hold_n=record.hold_n + 1)


def expiry_s(record: Record, person: Recipient) -> float:
    """Return when a recipient is given up: as policy wished for it, else as the record says."""
    wished = wish_of(person).expire_s
    if not wished:
        return record.expires_s
    arrived = record.envelope.get("arrived_s")
    since_s = arrived if isinstance(arrived, float) and arrived > 0 else record.created_s
    return max(since_s, record.release_s) + wished


def expired(record: Record, now_s: float) -> Record:
    """Return the record after its time is over: what is still to be tried, and not in doubt, has failed."""
    people = []
    for person in record.active:
        if person.doubt_s > now_s or expiry_s(record, person) > now_s:
            continue
        last = message.reply_of(person)
        reply = msgspec.structs.replace(
            last,
            kind="failed",
            enhanced="4.4.7",  # RFC 3463: delivery time expired
            text=f"gave up after {record.attempts} tries: {last.text or 'no answer so far'}"[:400],
        )
        people.append(failed(record, person, reply, now_s))
    return with_recipients(record, people)


def apply(
    record: Record,
    outcomes: Sequence[wire.Outcome],
    variants: Sequence[Variant],
    now_s: float,
    policy: RetryPolicy,
) -> Applied:
    """Return what the outcomes of a queue run make of the record."""
    people = {person.number: person for person in record.recipients}
    places: dict[str, _Place] = {}
    for outcome in outcomes:
        person = _addressed(people, outcome)
        if person is None or person.final:
            continue
        doubt_s = now_s + policy.in_doubt_s if outcome.in_doubt else 0.0
        people[outcome.number] = _after(record, person, outcome, now_s, doubt_s)
        if people[outcome.number].state == PENDING and outcome.kind == "deferred":
            known = 0 < outcome.variant <= len(variants)
            places[outcome.number] = (outcome.step or record.step, outcome.variant * known)
    record = with_recipients(changed(record, claim=Claim()), people.values())
    untried = frozenset(o.number for o in outcomes if o.untried and not o.in_doubt)
    record, parts = _parted(record, places, variants)
    return Applied(
        _planned(record, now_s, policy, untried),
        tuple(_planned(part, now_s, policy, untried) for part in parts),
    )


def decided(record: Record, decisions: Mapping[str, wire.Verdict], now_s: float) -> Record:
    """Return the record after policy's decisions about recipients whose try failed."""
    people, nexts, notices = [], [], []
    for person in record.active:
        verdict = decisions.get(person.number)
        if verdict is None:
            continue
        people.append(_decided(record, person, verdict, now_s))
        if verdict.next_s is not None:
            nexts.append(now_s + verdict.next_s)
        if verdict.dsn in {"headers", "full"}:
            notices.append(person.number)
    silent = bool(decisions) and all(v.dsn == "none" for v in decisions.values())
    record = with_recipients(record, people)
    expires_s = min((expiry_s(record, p) for p in record.active), default=record.expires_s)
    record = changed(
        record,
        notice_s=0.0 if silent else record.notice_s,
        due_s=max(now_s, min(*nexts, expires_s)) if nexts else min(record.due_s, expires_s),
        priority=max((wish_of(p).priority for p in people), default=record.priority),
    )
    return reports.with_notices(record, notices) if notices else record


def _decided(record: Record, person: Recipient, verdict: wire.Verdict, now_s: float) -> Recipient:
    if verdict.gives_up:
        last = message.reply_of(person)
        failure = msgspec.structs.replace(
            last,
            kind="failed",
            code=verdict.code,
            enhanced=verdict.enhanced,
            text=f"{verdict.text}: {last.text}"[:400] if last.text else verdict.text,
        )
        return failed(record, person, failure, now_s)
    spec = dict(person.spec)
    if verdict.route is not None:
        spec.update(route=message.to_map(verdict.route), pinned=True)
    if verdict.sign:
        spec["sign"] = [message.to_map(sign) for sign in verdict.sign]
    if verdict.wish is not None:
        spec["wish"] = message.to_map(_joined(wish_of(person), verdict.wish))
    person = msgspec.structs.replace(person, spec=spec)
    hold = verdict.wish.hold if verdict.wish is not None else ""
    if not hold:
        return person
    return msgspec.structs.replace(person, hold=hold, hold_n=person.hold_n + 1)


def _joined(old: wire.QueueWish, new: wire.QueueWish) -> wire.QueueWish:
    """Return what is wished from now on; what retry.sieve says of the next try holds for that alone."""
    return msgspec.structs.replace(
        old,
        hold="",
        priority=new.priority or old.priority,
        expire_s=new.expire_s or old.expire_s,
    )


def settled(record: Record, outcomes: Sequence[wire.Outcome], now_s: float) -> Record:
    """Return what late outcomes make of the record: final ones hold, the rest ends the doubt and is due now."""
    people = {person.number: person for person in record.recipients}
    for outcome in outcomes:
        person = _addressed(people, outcome)
        if person is not None and not person.final:
            people[outcome.number] = _after(record, person, outcome, now_s, 0.0)
    return changed(with_recipients(record, people.values()), due_s=now_s)


def _addressed(people: dict[str, Recipient], outcome: wire.Outcome) -> Recipient | None:
    """Return the recipient of an outcome, made from the one it was split from when it is new."""
    person = people.get(outcome.number)
    if person is not None:
        return person
    for number in reversed(ids.ancestors(outcome.number)):
        parent = people.get(number)
        if parent is None:
            continue
        if parent.child or (parent.final and parent.state != MOVED):
            return None
        people[number] = msgspec.structs.replace(parent, state=MOVED)
        if outcome.recipient is not None:
            return Recipient(number=outcome.number, spec=message.to_map(outcome.recipient))
        spec = {**parent.spec, "number": outcome.number}
        spec.pop("route", None)
        spec.update(address=outcome.address or spec.get("address", b""))
        spec.update(original=outcome.original or spec.get("original", b""))
        return Recipient(number=outcome.number, spec=spec)
    return None


def _after(
    record: Record, person: Recipient, outcome: wire.Outcome, now_s: float, doubt_s: float
) -> Recipient:
    reply = message.to_map(msgspec.structs.replace(outcome, recipient=None))
    told = msgspec.structs.replace(person, reply=reply, at_s=now_s, doubt_s=doubt_s)
    match outcome.kind:
        case "delivered":
            state = CONFIRMING if confirms(record, outcome) else DELIVERED
            return msgspec.structs.replace(told, state=state, doubt_s=0.0, batch=record.seq)
        case "discarded":
            return msgspec.structs.replace(told, state=DISCARDED, doubt_s=0.0)
        case "failed":
            return failed(record, person, outcome, now_s)
        case _:
            return told


def confirms(record: Record, outcome: wire.Outcome) -> bool:
    """Tell whether we report this delivery: the sender asked, may be told, and no later hop does.

    RFC 3461 §5.2.2, §5.2.4. A stranger's sender address is nobody's word: nothing is sent to it.
    """
    is_known = bool(record.envelope.get("sender")) and record.may_queue == "yes"
    return bool(outcome.success) and is_known


def wish_of(person: Recipient) -> wire.QueueWish:
    """Return what policy wished for a recipient."""
    wish = person.spec.get("wish")
    return message.from_map(wish, wire.QueueWish) if isinstance(wish, dict) else wire.QueueWish()


def failed(record: Record, person: Recipient, outcome: wire.Outcome, now_s: float) -> Recipient:
    """Return a recipient after its failure: owed a DSN, held, or failed without a word."""
    told = msgspec.structs.replace(
        person,
        reply=message.to_map(outcome),
        at_s=now_s,
        doubt_s=0.0,
        state=OWED,
        batch=record.seq,
    )
    sender, notify = record.envelope.get("sender", b""), person.spec.get("notify", ())
    is_silent = isinstance(notify, list | tuple) and "NEVER" in notify  # RFC 3461 §4.1
    if isinstance(notify, list | tuple) and notify and "FAILURE" not in notify:
        is_silent = True
    if is_silent or record.double:
        return msgspec.structs.replace(told, state=FAILED)
    if record.may_queue == "hold":  # a failure that can't be reported without backscatter
        return msgspec.structs.replace(
            told, state=PENDING, hold=HOLD_FAILED, hold_n=person.hold_n + 1
        )
    if not sender and record.kind != "generated":
        return msgspec.structs.replace(told, state=FAILED)
    return told


def _parted(
    record: Record, places: dict[str, _Place], variants: Sequence[Variant]
) -> tuple[Record, list[Record]]:
    """Give each group of recipients with another step or message than the first's a record of its own."""
    stay: _Place = (record.step, 0)
    groups: dict[_Place, list[str]] = {}
    for person in record.pending:
        groups.setdefault(places.get(person.number, stay), []).append(person.number)
    if not groups:
        return record, []
    home = min(groups, key=lambda place: min(map(message.by_number, groups[place])))
    parts, pointers = [], []
    for place, numbers in groups.items():
        if place == home:
            continue
        name = message.part_name(record.id, numbers)
        parts.append(_placed(message.part_of(record, numbers, name), place, variants))
        pointers += message.pointers(numbers, name)
    return _placed(with_recipients(record, pointers), home, variants), parts


def _placed(record: Record, place: _Place, variants: Sequence[Variant]) -> Record:
    step, number = place
    if not number:
        return changed(record, step=step)
    variant = variants[number - 1]
    record = changed(
        record, step=step, header=variant.header, selectors=[*record.selectors, *variant.selectors]
    )
    if not variant.has_body:
        return record
    return changed(
        record, body=variant.body, body_key=variant.body_key, body_size=variant.body_size
    )


def _planned(record: Record, now_s: float, policy: RetryPolicy, untried: frozenset[str]) -> Record:
    """Plan the next try. One for which there was no room for anybody was none: it is not counted."""
    if record.active and all(person.number in untried for person in record.active):
        return unclaimed(record, now_s + CROWDED_S)
    wishes = [wish.retry_s for person in record.active if (wish := wish_of(person)).retry_s]
    expires_s = min((expiry_s(record, p) for p in record.active), default=record.expires_s)
    wished_s = min(wishes, default=())
    return changed(record, due_s=next_due_s(policy, record.attempts, now_s, expires_s, wished_s))
