"""The log lines of the queue: one for each final outcome of a recipient, one for each try that was not the last.

It reads two states of a record and says what happened between them.
"""

from typing import Final

from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.queue.message import reply_of
from columba.queue.record import (
    BOUNCED,
    DELETED,
    DELIVERED,
    DISCARDED,
    DISOWNED,
    FAILED,
    OWED,
    Recipient,
    Record,
)

_WORDS: Final = {
    DELIVERED: "Delivered",
    DISCARDED: "Discarded",
    FAILED: "Failed",
    OWED: "Failed",
    DELETED: "Deleted",
    DISOWNED: "Disowned",
}


def say_result(event: Event, old: Record, new: Record, now_s: float) -> None:
    """Write the lines for what became of the recipients."""
    before = {person.number: person for person in old.recipients}
    for person in new.recipients:
        known = before.get(person.number)
        if known is not None and (known.state, known.at_s) == (person.state, person.at_s):
            continue
        if person.state in _WORDS and person.state != BOUNCED:
            _say(event, _WORDS[person.state], new, person, now_s)
        elif not person.final:
            _say(event, "Held" if person.hold else "Deferred", new, person, now_s)


def _say(event: Event, words: str, record: Record, person: Recipient, now_s: float) -> None:
    outcome = reply_of(person)
    address = person.spec.get("address", b"")
    event.info(
        f"{words} from the queue",
        id=record.id,
        to=address.decode("utf-8", "replace") if isinstance(address, bytes) else "",
        number=person.number,
        route=outcome.route or None,
        hop=outcome.hop or None,
        reply=_reply(outcome) if person.reply else None,
        step=outcome.step or None,
        attempts=record.attempts,
        age_s=round(now_s - record.created_s, 1),
        hold=person.hold or None,
        in_doubt=True if person.doubt_s > now_s else None,
        next_s=None if person.final else max(0, round(record.due_s - now_s)),
    )


def _reply(outcome: wire.Outcome) -> str:
    return f"{outcome.code} {outcome.enhanced} {outcome.text}".replace("  ", " ").strip()
