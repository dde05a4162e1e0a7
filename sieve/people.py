"""What the data stage makes of a mail's recipients.

Pure. Its actions hold for the whole mail: what it adds is one copy, however many recipients there are, and is numbered
below the first one that stays.
"""

import msgspec

from columba.common.hop.mail import Why, same_for_all
from columba.common.ipc import wire
from columba.sieve.branch import (
    DISCARDED,
    Branches,
    Person,
    redirected,
    signatures,
    with_wishes,
)
from columba.sieve.run.actions import AddRecipient, Keep, RemoveRecipient
from columba.sieve.run.envelope import parse_path
from columba.sieve.run.machine import Finished
from columba.sieve.run.message import Message

REMOVED = Why(250, "2.0.0", "Removed by policy")


def after_data(
    recipients: list[wire.Recipient], finished: Finished, message: Message, age_s: float = 0.0
) -> Branches:
    """Return outcomes for those that are gone, and the people for the route stage (as onward).

    message: as the script left it; age_s: of the mail.
    """
    if not finished.result.entries:  # nothing but tests and edits: the usual case
        return Branches(onward=tuple(Person(recipient, message) for recipient in recipients))
    sign = signatures(finished)
    people = [with_wishes(recipient, finished) for recipient in recipients]
    if sign:
        people = [msgspec.structs.replace(person, sign=sign) for person in people]
    kept = _kept_message(finished, message)
    removed = {a.address for a in finished.actions if isinstance(a, RemoveRecipient)}
    gone = [person for person in people if removed and _name(person) in removed]
    stay = [person for person in people if person not in gone] if kept is not None else []
    first = (stay or people)[0]
    added = redirected(finished, first, age_s)
    added += [
        Person(msgspec.structs.replace(first, address=a.address.encode()), kept)
        for a in finished.actions
        if isinstance(a, AddRecipient) and kept is not None
    ]
    parents = {first.number} if added else set()
    outcomes = same_for_all(
        [p for p in gone if p.number not in parents], "discarded", REMOVED, step="sieve"
    )
    if kept is None:
        left = [p for p in people if p not in gone and p.number not in parents]
        outcomes += same_for_all(left, "discarded", DISCARDED, step="sieve")
    staying = [Person(person, kept) for person in stay]
    if not added:
        return Branches(outcomes=outcomes, onward=tuple(staying))
    below = [*staying[:1], *added]
    return Branches(outcomes=outcomes, onward=(*_numbered(first, below), *staying[1:]))


def _kept_message(finished: Finished, message: Message) -> Message | None:
    """Return the message that the recipients get; None: they get none."""
    if finished.keeps:
        return message
    keeps = [e.message for e in finished.result.entries if isinstance(e.action, Keep)]
    return keeps[0] if keeps else None


def _numbered(first: wire.Recipient, people: list[Person]) -> list[Person]:
    original = first.original or first.address
    return [
        Person(
            msgspec.structs.replace(
                person.recipient, number=f"{first.number}.{n}", original=original
            ),
            person.message,
        )
        for n, person in enumerate(people, 1)
    ]


def _name(recipient: wire.Recipient) -> str:
    """Return the address as scripts saw it."""
    path = parse_path("<" + recipient.address.decode("utf-8", "surrogateescape") + ">")
    return str(path) if path is not None else ""
