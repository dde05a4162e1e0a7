"""From the wire to a record and back.

Pure: what an Intake asks for becomes a Record, and a Record becomes the Handoff of a queue run. The mail's
facts are kept as plain maps, so that what a newer process sent is stored and sent again unchanged.
"""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from columba.common import idforms as ids
from columba.common.errors import StoreError
from columba.common.ipc import wire
from columba.queue.document import Map
from columba.queue.record import DISOWNED, MOVED, PENDING, Recipient, Record, changed
from columba.queue.retry import RetryPolicy

T = TypeVar("T")


class MessageError(StoreError):
    """An Intake that can't be stored, whoever asks again."""

    temporary = False


def to_map(thing: msgspec.Struct) -> Map:
    """Return a wire struct as plain values."""
    tree: Map = msgspec.to_builtins(thing, builtin_types=(bytes,))
    return tree


def from_map(tree: Map, kind: type[T]) -> T:
    """Return a wire struct of plain values; MessageError when they do not fit."""
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        raise MessageError(f"record: {error}") from error


def check(handoff: wire.Handoff) -> None:
    """Raise MessageError when ids or numbers can't be keys, or nobody is to get the mail."""
    numbers = [recipient.number for recipient in handoff.recipients]
    if not ids.is_id(handoff.id):
        raise MessageError("not a message id")
    if not numbers or len(set(numbers)) != len(numbers) or not all(map(ids.is_number, numbers)):
        raise MessageError("not the numbers of recipients")


def record_of(
    intake: wire.Intake, header: bytes, body: bytes, now_s: float, policy: RetryPolicy
) -> Record:
    """Return the record that an Intake asks for; a body that is too large for it is stored beside it."""
    handoff = intake.handoff
    replies = {outcome.number: outcome for outcome in intake.replies}
    doubt_s = now_s + policy.in_doubt_s if intake.in_doubt else 0.0
    begins_s = max(handoff.envelope.arrived_s or now_s, handoff.envelope.hold_until_s)
    people = tuple(_recipient(r, replies.get(r.number), now_s, doubt_s) for r in handoff.recipients)
    notice_s = _notice_s(handoff, policy)
    return Record(
        id=handoff.id,
        name=handoff.id,
        created_s=now_s,
        expires_s=policy.expires_s(begins_s),
        notice_s=begins_s + notice_s if notice_s else 0.0,
        priority=max((r.wish.priority for r in handoff.recipients if r.wish), default=0),
        due_s=max(now_s + max(policy.fresh_s, intake.due_in_s), handoff.envelope.hold_until_s),
        release_s=handoff.envelope.hold_until_s,
        step=handoff.step,
        kind=handoff.kind,
        may_queue=handoff.may_queue,
        hold=intake.hold,
        hold_n=1 if intake.hold else 0,
        envelope=to_map(handoff.envelope),
        client=to_map(handoff.client),
        variables=handoff.variables,
        sign=[to_map(sign) for sign in handoff.sign],
        selectors=list(handoff.signed),
        fence=handoff.fence,
        fenced=[to_map(fenced) for fenced in handoff.fenced],
        header=header,
        body=body,
        body_size=handoff.body.size or len(body),
        by=[intake.by],
        recipients=people,
    )


def _notice_s(handoff: wire.Handoff, policy: RetryPolicy) -> float:
    """Return when the sender hears of the delay, from arrival on: the soonest of what policy wished and the setting."""
    if handoff.may_queue != "yes":
        return 0.0
    wished = [r.wish.notice_s for r in handoff.recipients if r.wish and r.wish.notice_s]
    known = [policy.notice_s] if policy.notice_s > 0 else []
    return float(min([*wished, *known], default=0.0))


def handoff_of(
    record: Record,
    people: Iterable[Recipient],
    body: wire.Body,
    *,
    deadline_ns: int,
    not_after_boot_ns: int,
) -> wire.Handoff:
    """Return the handoff of a queue run for these recipients; MessageError when the record does not fit."""
    tree: Map = {
        "id": record.id,
        "step": record.step,
        "deadline_ns": deadline_ns,
        "envelope": record.envelope,
        "client": record.client,
        "recipients": [{**person.spec, "number": person.number} for person in people],
        "body": to_map(body),
        "may_queue": record.may_queue,
        "origin": "queue",
        "kind": record.kind,
        "fence": record.fence,
        "fenced": record.fenced,
        "sign": record.sign,
        "signed": record.selectors,
        "variables": record.variables,
        "attempt": record.attempts,
        "not_after_boot_ns": not_after_boot_ns,
    }
    return from_map(tree, wire.Handoff)


def reply_of(person: Recipient) -> wire.Outcome:
    """Return the last answer about a recipient; a plain temporary failure when there was none."""
    if not person.reply:
        return wire.Outcome(number=person.number, kind="deferred", code=451)
    # What is stored leaves out what the struct fills in itself: no code means 250.
    return from_map({"number": person.number, "kind": "deferred", **person.reply}, wire.Outcome)


def covers(record: Record, number: str) -> bool:
    """Tell whether a record already has this recipient, or one that it was split from.

    One whose intake was taken back does not count: whoever stores it now must find it stored.
    """
    return _is_covered(_known(record), number)


def missing(record: Record, numbers: Iterable[str]) -> list[str]:
    """Return the numbers that a record does not cover."""
    known = _known(record)
    return [number for number in numbers if not _is_covered(known, number)]


def part_name(id: str, numbers: Iterable[str]) -> str:
    """Return the name of the part of a message that has these recipients, of which no other part has any."""
    return f"{id}.{min(numbers, key=by_number)}"


def part_of(record: Record, numbers: list[str], name: str) -> Record:
    """Return a record under another name for these of its recipients."""
    people = tuple(person for person in record.recipients if person.number in numbers)
    return changed(record, name=name, seq=0, recipients=people)


def by_number(number: str) -> tuple[int, ...]:
    """Return what recipient numbers are sorted by."""
    return tuple(int(part) for part in number.split("."))


def pointers(numbers: Iterable[str], name: str) -> list[Recipient]:
    """Return the recipients by which the first record of a message knows what one of its parts has."""
    return [Recipient(number=number, state=MOVED, child=name) for number in numbers]


def excluded(record: Record, part: Record) -> list[Map]:
    """Return the part's fenced list with the splits of its recipients that are stored elsewhere.

    A store of recipient 3 that comes after one of 3.1 adds what is missing of 3, and must not do 3.1 again.
    """
    fenced = list(part.fenced)
    for person in part.recipients:
        finals = [
            other.spec["address"]
            for other in record.recipients
            if person.number in ids.ancestors(other.number) and "address" in other.spec
        ]
        original = person.spec.get("original") or person.spec.get("address")
        if finals and isinstance(original, bytes):
            fenced.append({"original": original, "finals": finals, "id": record.id})
    return fenced


def _known(record: Record) -> set[str]:
    return {person.number for person in record.recipients if person.state != DISOWNED}


def _is_covered(known: set[str], number: str) -> bool:
    return number in known or any(ancestor in known for ancestor in ids.ancestors(number))


def _recipient(
    recipient: wire.Recipient, reply: wire.Outcome | None, now_s: float, doubt_s: float
) -> Recipient:
    hold = recipient.wish.hold if recipient.wish else ""
    return Recipient(
        number=recipient.number,
        spec=to_map(recipient),
        state=PENDING,
        reply=to_map(reply) if reply else {},
        at_s=now_s if reply else 0.0,
        doubt_s=doubt_s,
        hold=hold,
        hold_n=int(bool(hold)),
    )
