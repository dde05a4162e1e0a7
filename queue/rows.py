"""What an administrator sees of a record, and what queries compare.

Rows are plain values for the tool's formatters; facts are those of query.py. Nothing is read or changed here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from columba.common.admin import Row
from columba.queue import message
from columba.queue.plan import NEVER_S, destination_of, due_s
from columba.queue.query import Facts
from columba.queue.record import Recipient, Record
from columba.queue.shelf import Shelved, owner_of

AGES_S = (300, 600, 1200, 2400, 4800, 9600, 19_200, 86_400)  # of the summary; then: older
UNREAD = "(not read yet)"


@dataclass(frozen=True, slots=True)
class Moment:
    """What of a record's state does not stand in it."""

    now_s: float
    is_flying: bool = False
    is_suspended: bool = False


def state_of(record: Record, moment: Moment) -> str:
    """Return the one word for what a record is doing."""
    if moment.is_flying:
        return "active"
    if record.hold or not (record.active or record.owed or record.confirming):
        return "held"
    if moment.is_suspended:
        return "suspended"
    doubts = [person.doubt_s for person in record.active]
    return "doubt" if doubts and min(doubts) > moment.now_s else "waiting"


def facts_of(shelved: Shelved, moment: Moment) -> Facts:
    """Return what a query may ask about a record."""
    record, people = shelved.record, shelved.record.pending
    goes_to = {destination_of(person) for person in people}
    held = {record.hold, *(person.hold for person in people)} - {""}
    due = due_s(record)
    return {
        "id": (record.id, record.name),
        "owner": (owner_of(shelved.key),),
        "sender": (_text(record.envelope.get("sender")),),
        "recipient": tuple(_address(person) for person in people),
        "destination": (*goes_to, *(each.partition(":")[2] for each in goes_to)),
        "login": (_text(record.client.get("login")),),
        "client": (_text(record.client.get("ip")),),
        "state": (state_of(record, moment),),
        "hold": tuple(held),
        "reason": tuple(_said(person) for person in people),
        "step": (record.step,),
        "kind": (record.kind,),
        "age": moment.now_s - record.created_s,
        "next": max(0.0, due - moment.now_s),
        "expires": record.expires_s - moment.now_s,
        "size": float(size_of(record)),
        "attempts": float(record.attempts),
        "priority": float(record.priority),
    }


def row_of(shelved: Shelved, moment: Moment) -> Row:
    """Return the line of a record in a list."""
    record, due = shelved.record, due_s(shelved.record)
    last = max(record.pending, key=lambda person: person.at_s, default=None)
    holds = [person.hold for person in record.pending if person.hold]
    return {
        "id": record.name,
        "state": state_of(record, moment),
        "size": size_of(record),
        "age": round(moment.now_s - record.created_s),
        "next": None if due >= NEVER_S else max(0, round(due - moment.now_s)),
        "attempts": record.attempts,
        "sender": _text(record.envelope.get("sender")),
        "recipients": [_address(person) for person in record.pending],
        "step": record.step,
        "reason": record.hold or (holds[0] if holds else _said(last) if last else ""),
    }


def unreadable_row(key: str, error: str) -> Row:
    """Return the line of a record that can't be read."""
    return {
        "id": key.rpartition("/")[2],
        "state": "unreadable",
        "size": None,
        "age": None,
        "next": None,
        "attempts": None,
        "sender": "",
        "recipients": [],
        "step": "",
        "reason": error,
    }


def unreadable_facts(key: str, error: str) -> Facts:
    """Return what a query may ask about a record that can't be read."""
    name = key.rpartition("/")[2]
    texts = dict.fromkeys(("sender", "recipient", "destination", "login", "client"), ("",))
    return {
        **texts,
        "id": (name.partition(".")[0], name),
        "owner": (owner_of(key),),
        "state": ("unreadable",),
        "reason": (error,),
        "hold": (),
    }


def detail_of(shelved: Shelved, person: Recipient, moment: Moment) -> Row:
    """Return all about one recipient."""
    record, reply, due = shelved.record, message.reply_of(person), due_s(shelved.record)
    return {
        "id": record.name,
        "owner": owner_of(shelved.key),
        "number": person.number,
        "recipient": _address(person),
        "state": person.state if not person.hold else f"{person.state}, held: {person.hold}",
        "message_state": "done" if record.is_tombstone else state_of(record, moment),
        "sender": _text(record.envelope.get("sender")),
        "login": _text(record.client.get("login")),
        "client": _text(record.client.get("ip")),
        "step": record.step,
        "priority": record.priority,
        "attempts": record.attempts,
        "created": round(record.created_s),
        "due": None if due >= NEVER_S else round(due),
        "expires": round(record.expires_s),
        "in_doubt_until": round(person.doubt_s) or None,
        "destination": destination_of(person),
        "route": reply.route,
        "hop": reply.hop,
        "reply": _said(person),
        "last_try": round(person.at_s) or None,
        "part": person.child,
    }


def summary_of(ages: Iterable[tuple[str, float]]) -> list[Row]:
    """Return a line for each destination with its messages by age, the most first, and a line of all."""
    counts: dict[str, list[int]] = {}
    for destination, age_s in ages:
        line = counts.setdefault(destination or UNREAD, [0] * (len(AGES_S) + 1))
        line[sum(age_s >= limit for limit in AGES_S)] += 1
    total = [sum(column) for column in zip(*counts.values(), strict=True)]
    ordered = sorted(counts.items(), key=lambda pair: (-sum(pair[1]), pair[0]))
    lines = [("TOTAL", total), *ordered] if counts else []
    return [_summary_row(name, line) for name, line in lines]


def title_of(column: int) -> str:
    """Return the title of a column of the summary: its messages are younger than this."""
    if column >= len(AGES_S):
        return "older"
    minutes = AGES_S[column] // 60
    return f"{minutes}m" if minutes < 1440 else f"{minutes // 1440}d"


def size_of(record: Record) -> int:
    """Return the octets of a mail."""
    return len(record.header) + 2 + (record.body_size or len(record.body))


def _summary_row(name: str, line: list[int]) -> Row:
    row: Row = {"destination": name, "messages": sum(line)}
    row.update({title_of(column): count for column, count in enumerate(line)})
    return row


def _said(person: Recipient) -> str:
    reply = message.reply_of(person)
    if not person.reply:
        return ""
    return f"{reply.code} {reply.enhanced} {reply.text}".replace("  ", " ").strip()


def _address(person: Recipient) -> str:
    return _text(person.spec.get("address"))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
