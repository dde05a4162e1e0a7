"""What is to be reported to a sender about which recipients: failures, deliveries, delays.

Pure: a record goes in, the reports that are due come out, and the record after they are durable. Each report has
a key, of which the id of its DSN is made together with the message's id, so that whoever makes it after a crash makes
the same one. RFC 3461 §4.1 (NOTIFY), §5.2 (who reports what), §6; RFC 5321 §4.5.5 (nothing for the null sender).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from columba.common import idforms as ids
from columba.common.mail.dsn import Action
from columba.queue import message
from columba.queue.record import (
    BOUNCED,
    CONFIRMING,
    DELIVERED,
    FAILED,
    OWED,
    Recipient,
    Record,
    changed,
    with_recipients,
)


@dataclass(frozen=True, slots=True)
class Due:
    """One report: of one kind, about these recipients."""

    action: Action
    people: tuple[Recipient, ...]
    key: tuple[str, ...]


def due(record: Record) -> list[Due]:
    """Return the reports that a record is waiting for."""
    found = [
        Due(Action.FAILED, each, (*_numbers(each), "failed")) for each in _batches(record.owed)
    ]
    for count in sorted({person.notices for person in record.unnoticed}):
        people = tuple(p for p in record.unnoticed if p.notices == count)
        found.append(Due(Action.DELAYED, people, (*_numbers(people), f"delayed {count}")))
    return found + _successes(record)


def after(record: Record, done: Due, is_sent: bool) -> Record:
    """Return the record when a report is durable, or when it turned out that none is made."""
    numbers = {person.number for person in done.people}
    people = []
    for person in record.recipients:
        if person.number not in numbers:
            continue
        if done.action is Action.DELAYED:
            people.append(msgspec.structs.replace(person, noticed=person.notices))
        elif person.state == OWED:
            people.append(msgspec.structs.replace(person, state=BOUNCED if is_sent else FAILED))
        elif person.state == CONFIRMING:
            people.append(msgspec.structs.replace(person, state=DELIVERED))
    return with_recipients(record, people)


def noticed(record: Record, now_s: float) -> Record:
    """Return the record when the time of its notice has come: it is owed for who may hear of delays."""
    if not record.notice_s or record.notice_s > now_s:
        return record
    return with_notices(changed(record, notice_s=0.0), [p.number for p in record.active])


def with_notices(record: Record, numbers: Sequence[str]) -> Record:
    """Return the record with a notice of delay owed for these recipients, where the sender wants any."""
    if not record.envelope.get("sender") or record.kind == "generated":
        return record
    if record.may_queue != "yes":
        return record
    people = [
        msgspec.structs.replace(person, notices=person.notices + 1)
        for person in record.active
        if person.number in numbers and wants(person, "DELAY")
    ]
    return with_recipients(record, people)


def wants(person: Recipient, kind: str) -> bool:
    """Tell whether a report of this kind may be sent about a recipient: asked for, or nothing was said."""
    notify = person.spec.get("notify", ())
    return not isinstance(notify, list | tuple) or not notify or kind in notify


def _successes(record: Record) -> list[Due]:
    """Return one report for what was delivered or relayed, and one for each address that was expanded."""
    plain = []
    expanded: dict[str, list[Recipient]] = {}
    for person in record.confirming:
        parent = _expanded_from(record, person.number)
        if parent:
            expanded.setdefault(parent, []).append(person)
        else:
            plain.append(person)
    found = [
        Due(Action.EXPANDED, tuple(people), (parent, "expanded"))
        for parent, people in expanded.items()
    ]
    for action in (Action.DELIVERED, Action.RELAYED):
        for people in _batches([p for p in plain if success_of(p) is action]):
            found.append(Due(action, people, (*_numbers(people), action.value)))
    return found


def success_of(person: Recipient) -> Action:
    """Return what a delivery was: into a mailbox, or to a hop that reports nothing itself."""
    return Action.RELAYED if person.reply.get("success") == "relayed" else Action.DELIVERED


def _expanded_from(record: Record, number: str) -> str:
    """Return the number of the address of which this recipient is one of several, "" when it is the only one."""
    for parent in ids.ancestors(number)[-1:]:
        siblings = [
            p for p in record.recipients if p.number != number and parent in ids.ancestors(p.number)
        ]
        return parent if siblings else ""
    return ""


def _batches(people: Sequence[Recipient]) -> list[tuple[Recipient, ...]]:
    """Return those that became so together: a batch is the same whoever looks, and whenever."""
    numbers = sorted({person.batch for person in people})
    return [tuple(p for p in people if p.batch == number) for number in numbers]


def _numbers(people: Sequence[Recipient]) -> list[str]:
    return sorted((person.number for person in people), key=message.by_number)
