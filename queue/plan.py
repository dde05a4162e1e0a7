"""Where a record stands in the schedule: when, for whom, and on whose account.

Pure. A record with several destinations stands at the first that is not down; a try leaves out the recipients of
the others that are. Tombstones are due when they are swept, held records never.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from columba.common.hop.destination import destination
from columba.common.ipc import wire
from columba.queue import message
from columba.queue.destination import is_unreachable
from columba.queue.outcome import expiry_s
from columba.queue.ready import COST_MAX, NORMAL
from columba.queue.record import Recipient, Record
from columba.queue.schedule import Plan

NEVER_S: Final = 1e12
SWEEP: Final = "sweep:"
_COST_OCTETS: Final = 256 * 1024
_Share = Callable[[str], str]
_IsDown = Callable[[str], bool]


def plan_of(record: Record, tombstone_s: float, is_down: _IsDown, share: _Share = str) -> Plan:
    """Return a record's place. share returns a string that equals its argument, so that many plans share one."""
    if record.is_tombstone:
        return Plan(record.finished_s + tombstone_s, SWEEP)
    if record.owed or record.confirming or record.unnoticed or not record.pending:
        return Plan(0.0, flow=share(flow_of(record)))
    if not record.active:
        return Plan(NEVER_S, flow=share(flow_of(record)))
    goes_to = next_of(record, is_down)
    return Plan(
        due_s(record),
        share(goes_to),
        share(flow_of(record)),
        deadline_s(record),
        rank_of(record.priority),
        cost_of(len(record.header) + record.body_size),
        is_lost(record, goes_to),
    )


def shared(plan: Plan, share: _Share) -> Plan:
    """Return a plan that was read from elsewhere with strings that many plans share."""
    return replace(plan, destination=share(plan.destination), flow=share(plan.flow))


def due_s(record: Record) -> float:
    """Return when the next try is due: the later of the record's times and the end of the first doubt."""
    return 0.0 if record.owed else max(record.due_s, earliest_s(record))


def earliest_s(record: Record) -> float:
    """Return when a try is possible at all: not before its release, and not while everything is in doubt."""
    doubts = [person.doubt_s for person in record.active]
    return max(record.release_s, min(doubts, default=0.0))


def is_turn(record: Record, begun: str, now_s: float, is_down: _IsDown) -> bool:
    """Tell whether a record that was begun for a destination goes there, and is due or was lost there."""
    if not record.active or begun != next_of(record, is_down):
        return False
    return due_s(record) <= now_s or (earliest_s(record) <= now_s and is_lost(record, begun))


def deadline_s(record: Record) -> float:
    """Return when a record must be looked at, whatever became of its tries."""
    times = [max(expiry_s(record, person), person.doubt_s) for person in record.active]
    return min([*times, record.notice_s] if record.notice_s else times, default=0.0)


def destination_of(person: Recipient) -> str:
    """Return where a recipient goes next, as far as is known: where it was sent, or where it last went."""
    address = person.spec.get("address")
    octets = address if isinstance(address, bytes) else b""
    sent = person.spec.get("route")
    if isinstance(sent, dict) and person.spec.get("pinned"):
        return destination(message.from_map(sent, wire.Route), octets)
    route = person.reply.get("route")
    return route if isinstance(route, str) and route else destination(None, octets)


def next_of(record: Record, is_down: _IsDown) -> str:
    """Return the destination of the first recipient that waits for none that is down."""
    first = ""
    for person in record.active:
        goes_to = destination_of(person)
        if not is_down(goes_to):
            return goes_to
        first = first or goes_to
    return first


def is_lost(record: Record, goes_to: str) -> bool:
    """Tell whether the last thing known of a record's destination is that it could not be reached."""
    since_s = earliest_s(record)
    people = [p for p in record.active if p.reply and destination_of(p) == goes_to]
    return any(
        person.at_s >= since_s
        and is_unreachable(str(person.reply.get("kind", "")), str(person.reply.get("enhanced", "")))
        for person in people
    )


def flow_of(record: Record) -> str:
    """Return on whose account a record is: its login, else its sender."""
    login, sender = record.client.get("login"), record.envelope.get("sender")
    if isinstance(login, str) and login:
        return login
    return sender.decode("utf-8", "replace").lower() if isinstance(sender, bytes) else ""


def rank_of(priority: int) -> int:
    """Return the class of a priority of -9 to 9."""
    return NORMAL - (priority > 0) + (priority < 0)


def cost_of(size: int) -> int:
    """Return what a message of this size counts for."""
    return min(COST_MAX, 1 + size // _COST_OCTETS)


def within(people: Iterable[Recipient], begun: str, is_down: _IsDown) -> list[Recipient]:
    """Return the recipients to try in a run that was begun for one destination."""
    return [p for p in people if (goes_to := destination_of(p)) == begun or not is_down(goes_to)]
