"""What an administrator's orders make of a record.

Pure. An order says what is to become of the recipients that wait; what is final stays so. What is in doubt stays in
doubt whatever is ordered: trying it could deliver it twice, and a bounce could be about mail that arrived.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from columba.common.errors import RefusedError
from columba.common.ipc import wire
from columba.queue import message, outcome
from columba.queue.record import (
    DELETED,
    PENDING,
    Recipient,
    Record,
    changed,
    tombstone,
    with_recipients,
)

Change = Callable[[Record], Record]
HOLD_ASKED: Final = "held by the administrator"
LATEST_S: Final = 1e11  # seconds since 1970, in the year 5138
_ROUTES: Final = ("mx", "relay", "lmtp", "maildir", "discard")


def order(command: str, request: Mapping[str, object], now_s: float) -> Change:
    """Return the change that a command means; RefusedError when its arguments do not fit."""
    reason = " ".join(str(request.get("reason") or "").split())[:400]
    match command:
        case "flush":
            return lambda record: changed(record, due_s=now_s) if record.pending else record
        case "hold":
            return lambda record: outcome.held(record, reason or HOLD_ASKED)
        case "release":
            return released
        case "delete":
            return lambda record: deleted(record, now_s)
        case "bounce":
            return lambda record: bounced(record, reason or "Given up by the administrator", now_s)
        case "reroute":
            route = parse_route(str(request.get("to", "")))
            return lambda record: rerouted(record, route, now_s)
        case "retry-at":
            at_s = request.get("at")
            if not isinstance(at_s, int | float) or not 0 <= at_s < LATEST_S:
                raise RefusedError("retry-at wants a time")
            return lambda record: changed(record, due_s=float(at_s), release_s=float(at_s))
        case _:
            raise RefusedError(f"the queue knows no command {command!r}")


def released(record: Record) -> Record:
    """Return the record with nothing held, and due as soon as its other times allow."""
    people = [
        msgspec.structs.replace(p, hold="", hold_n=p.hold_n + 1) for p in record.pending if p.hold
    ]
    return outcome.held(with_recipients(record, people), "") if record.hold or people else record


def deleted(record: Record, now_s: float) -> Record:
    """Return the tombstone of a record whose mail nobody gets, and nobody is told."""
    gone = [
        Recipient(number=p.number, spec=p.spec, state=DELETED, at_s=now_s) for p in record.pending
    ]
    new = with_recipients(record, gone)
    return record if record.is_tombstone else tombstone(new, now_s)


def bounced(record: Record, reason: str, now_s: float) -> Record:
    """Return the record with everybody who waits failed, held ones too; the senders who may be told will be."""
    people = []
    for person in record.pending:
        if person.state != PENDING or person.doubt_s > now_s:
            continue
        failure = wire.Outcome(
            number=person.number, kind="failed", code=554, enhanced="5.4.7", text=reason
        )
        people.append(outcome.failed(record, person, failure, now_s))
    return with_recipients(record, people) if people else record


def rerouted(record: Record, route: wire.Route, now_s: float) -> Record:
    """Return the record with everybody who waits on this route, which no script changes any more."""
    people = [
        msgspec.structs.replace(
            person, spec={**person.spec, "route": message.to_map(route), "pinned": True}
        )
        for person in record.pending
        if person.state == PENDING
    ]
    return changed(with_recipients(record, people), due_s=now_s) if people else record


def parse_route(text: str) -> wire.Route:
    """Return the route of "relay:host:587", "mx:example.net", "lmtp:/run/x", "lmtp:host:24", "maildir:user/box"."""
    kind, _, rest = text.partition(":")
    if kind not in _ROUTES or (not rest and kind not in {"mx", "discard"}):
        raise RefusedError(
            f"'{text}' is no route such as relay:HOST:PORT, mx:DOMAIN, lmtp:/PATH, maildir:PATH"
        )
    if kind == "maildir" or (kind == "lmtp" and rest.startswith("/")):
        return wire.Route(kind="maildir" if kind == "maildir" else "lmtp", path=rest)
    host, port = _host_and_port(rest)
    match kind:
        case "mx":
            return wire.Route(kind="mx", host=host)
        case "discard":
            return wire.Route(kind="discard")
        case "relay":
            return wire.Route(kind="relay", host=host, port=port)
        case _:
            return wire.Route(kind="lmtp", host=host, port=port)


def _host_and_port(text: str) -> tuple[str, int]:
    """Return host and port; an IPv6 address stands in brackets."""
    end = text.rfind("]")
    host, colon, port = text.rpartition(":") if text.rfind(":") > end else (text, "", "")
    if not colon:
        return text, 0
    if not (port.isascii() and port.isdecimal()) or len(port) > 5 or not 0 < int(port) < 65536:
        raise RefusedError(f"'{port}' is no port")
    return host, int(port)
