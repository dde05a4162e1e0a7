"""The log line of each recipient whose fate is decided here: by a script, by the fence, or by an equal copy.

In a queue run the queue writes them, from what it stores.
"""

from collections.abc import Iterable
from typing import Final

from columba.common.ipc import wire
from columba.common.log.event import Event

_WORDS: Final = {
    "delivered": "Delivered",
    "discarded": "Discarded",
    "failed": "Failed",
    "refused": "Refused",
    "queued": "Queued",
}


def say_decided(event: Event, handoff: wire.Handoff, outcomes: Iterable[wire.Outcome]) -> None:
    """Write a line for each of these outcomes of a client's mail."""
    if handoff.origin == "queue":
        return
    for outcome in outcomes:
        event.info(
            f"{_WORDS.get(outcome.kind, outcome.kind)} by policy"
            if outcome.step == "sieve"
            else f"{_WORDS.get(outcome.kind, outcome.kind)} with another copy",
            id=handoff.id,
            n=outcome.number,
            to=outcome.address.decode("utf-8", "replace"),
            original=outcome.original.decode("utf-8", "replace"),
            sender=handoff.envelope.sender.decode("utf-8", "replace"),
            reply=f"{outcome.code} {outcome.enhanced} {outcome.text}",
        )
