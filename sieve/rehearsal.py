"""dry_run: scripts decide, the log says what they decided, and nobody gets anything.

For a copy of the mail stream beside the server that is to be replaced. What would be delivered is discarded, with a
line of its own; what would be refused is refused, so that both servers' logs can be compared.
"""

from typing import Final

from columba.common.hop.destination import destination
from columba.common.hop.mail import Why, same_for_all
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.sieve.expand import Expansion

REHEARSED: Final = Why(250, "2.0.0", "Dry run: nothing was delivered")


def rehearsed(event: Event, handoff: wire.Handoff, made: Expansion) -> tuple[wire.Outcome, ...]:
    """Return the outcomes of a mail, and write what would become of it."""
    for leaf in made.leaves:
        recipient = leaf.recipient
        event.info(
            "Would be delivered",
            id=handoff.id,
            n=recipient.number,
            to=recipient.address.decode("utf-8", "replace"),
            sender=(recipient.sender or handoff.envelope.sender).decode("utf-8", "replace"),
            route=destination(recipient.route, recipient.address),
            path=(recipient.route.path or None) if recipient.route else None,
            folder=(recipient.route.folder or None) if recipient.route else None,
            changed=leaf.message is not None,
        )
    for todo in made.todo:
        for entry in todo.entries:
            event.info("Would be sent", id=handoff.id, action=entry.action.name)
    people = [leaf.recipient for leaf in made.leaves]
    return (*made.outcomes, *same_for_all(people, "discarded", REHEARSED, step="sieve"))
