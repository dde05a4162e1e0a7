"""Lines of the log: of each recipient whose fate is decided here, of scripts that fail, and scripts' own.

A recipient's fate is decided by a script, by the fence, or by an equal copy; in a queue run the queue writes it, from
what it stores.
"""

from collections.abc import Iterable
from typing import Final

from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.sieve.lang.errors import ScriptError
from columba.sieve.run.state import Run

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


def say_failed(event: Event, error: ScriptError, id: str, session: str) -> None:
    """Write the line of a run-time error, with its place in the script."""
    event.warning(
        "Script failed",
        id=id or None,
        session=session or None,
        script=str(error.position),
        error=error.text,
    )


def say_lines(event: Event, run: Run, id: str, session: str) -> None:
    """Write the lines that a script asked for itself."""
    for said in run.said:
        say = {
            "debug": event.debug,
            "info": event.info,
            "warning": event.warning,
            "error": event.error,
        }[said.level]
        fields: dict[str, str] = dict(said.fields)
        say(said.text, id=id or None, session=session or None, script=str(said.place), **fields)
