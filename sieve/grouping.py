"""Which recipients of a stranger may stand in one transaction: those whose results can't part (promises §2).

A mail that some recipients get and others don't would need a report to a sender whom nothing vouches for. So
the route stage is run ahead for each RCPT: recipients of one next hop form a group; one that is delivered here counts
only if a table has confirmed it in this transaction; whoever has no group stands alone.
"""

from columba.common.hop.chain import STEP_NS
from columba.common.hop.destination import destination, is_local
from columba.common.hop.mail import Mail
from columba.common.ipc import wire
from columba.sieve.expand import Expander


async def group_of(expander: Expander, stage: wire.Stage, found: list[str]) -> str:
    """Return the name of the group of the stage's recipient; "" = it stands alone.

    found: the keys that tables confirmed while the rcpt script ran.
    """
    made = await expander.expand(_probe(stage))
    routes = [leaf.recipient.route for leaf in made.leaves]
    if made.outcomes or not routes:
        return ""
    if any(is_local(route) for route in routes) and not _is_confirmed(stage.recipient, found):
        return ""
    names = {destination(leaf.recipient.route, leaf.recipient.address) for leaf in made.leaves}
    return names.pop() if len(names) == 1 else ""


def _probe(stage: wire.Stage) -> Mail:
    """Return a mail without content for the one recipient, past its data stage."""
    handoff = wire.Handoff(
        id=stage.id,
        step="route",
        deadline_ns=stage.deadline_ns + STEP_NS,  # no step comes behind
        envelope=wire.Envelope(sender=stage.sender),
        client=stage.client,
        recipients=(wire.Recipient(number="1", address=stage.recipient),),
        body=wire.Body(),
        variables=stage.variables,
    )
    return Mail(handoff, b"", b"")


def _is_confirmed(recipient: bytes, found: list[str]) -> bool:
    address = recipient.decode("utf-8", "surrogateescape").lower()
    return any(key.lower() == address for key in found)
