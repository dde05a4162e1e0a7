"""From what the route stage's script decided to what becomes of one recipient.

Pure. A recipient is refused, discarded, or goes on: as itself with a route, or split into several (kept here,
filed there, redirected elsewhere), which are numbered below it.
"""

from dataclasses import dataclass

import msgspec

from columba.common.hop.mail import Why, same_for_all
from columba.common.ipc import wire
from columba.sieve.run.actions import FileInto, Keep, Redirect, Reject, Reply, RouteTo
from columba.sieve.run.machine import Finished

DISCARDED = Why(250, "2.0.0", "Discarded by policy")
FAILED_SCRIPT = Why(451, "4.3.0", "Policy can't be applied now, try again later")
DEPTH_MAX = 8


@dataclass(frozen=True, slots=True)
class Leaf:
    """One recipient with its final route."""

    recipient: wire.Recipient
    sign: tuple[wire.Sign, ...] = ()


@dataclass(frozen=True, slots=True)
class Branches:
    """What one recipient became: outcomes that are decided, leaves, and recipients to run the stage for again."""

    outcomes: tuple[wire.Outcome, ...] = ()
    leaves: tuple[Leaf, ...] = ()
    onward: tuple[wire.Recipient, ...] = ()


class BranchError(Exception):
    """The script asks for what can't be: a run-time error of the script."""


def branches(recipient: wire.Recipient, finished: Finished) -> Branches:
    """Return what became of the recipient; raises BranchError."""
    refusal = finished.refusal
    if refusal is not None:
        return Branches(outcomes=refused([recipient], refusal))
    chosen = finished.route
    base = _route(chosen) if chosen is not None else wire.Route(kind="mx")
    sign = (wire.Sign(domain=chosen.sign),) if chosen is not None and chosen.sign else ()
    kept = _kept(finished, base)
    redirects = [a.address.encode() for a in finished.actions if isinstance(a, Redirect)]
    if not kept and not redirects:
        return Branches(outcomes=same_for_all([recipient], "discarded", DISCARDED, step="sieve"))
    if kept == [base] and not redirects:
        return Branches(leaves=(Leaf(msgspec.structs.replace(recipient, route=base), sign),))
    return _split(recipient, kept, redirects, sign)


def refused(recipients: list[wire.Recipient], refusal: Reject | Reply) -> tuple[wire.Outcome, ...]:
    """Return the outcome that a reject, ereject or reply means for recipients."""
    if isinstance(refusal, Reject):
        why = Why(550, "5.7.1", " ".join(refusal.text.split()) or "Rejected")
    else:
        why = Why(refusal.code, refusal.enhanced, " ".join(refusal.lines))
    kind: wire.OutcomeKind = "failed" if why.code >= 500 else "refused"
    return same_for_all(recipients, kind, why, step="sieve")


def _kept(finished: Finished, base: wire.Route) -> list[wire.Route]:
    kept = [base] if finished.keeps else []
    for action in finished.actions:
        route = base if isinstance(action, Keep) else None
        if isinstance(action, FileInto):
            route = _filed(base, action.mailbox)
        if route is not None and route not in kept:
            kept.append(route)
    return kept


def _split(
    recipient: wire.Recipient,
    kept: list[wire.Route],
    redirects: list[bytes],
    sign: tuple[wire.Sign, ...],
) -> Branches:
    if recipient.number.count(".") >= DEPTH_MAX:
        why = Why(554, "5.4.6", "Aliases or redirects form a loop")
        return Branches(outcomes=same_for_all([recipient], "failed", why, step="sieve"))
    if len(kept) == 1 and not redirects:
        return Branches(leaves=(Leaf(msgspec.structs.replace(recipient, route=kept[0]), sign),))
    original = recipient.original or recipient.address
    parts = [
        msgspec.structs.replace(
            recipient, number=f"{recipient.number}.{n}", original=original, route=route, pinned=True
        )
        for n, route in enumerate(kept, 1)
    ]
    onward = [
        msgspec.structs.replace(
            recipient, number=f"{recipient.number}.{n}", original=original, address=address
        )
        for n, address in enumerate(redirects, len(kept) + 1)
    ]
    return Branches(leaves=tuple(Leaf(part, sign) for part in parts), onward=tuple(onward))


def _route(chosen: RouteTo) -> wire.Route:
    return wire.Route(
        kind=chosen.kind,
        host=chosen.host,
        port=chosen.port,
        path=chosen.path,
        tls=chosen.tls,
        source=chosen.source,
        helo=chosen.helo,
    )


def _filed(base: wire.Route, mailbox: str) -> wire.Route:
    if base.kind == "discard":
        return base
    if base.kind != "maildir":
        raise BranchError("fileinto needs a route to a maildir")
    folder = "" if mailbox.upper() == "INBOX" else mailbox
    return msgspec.structs.replace(base, folder=folder)


def same_copy(leaves: list[Leaf]) -> tuple[list[Leaf], dict[str, str]]:
    """Return the leaves without those that would be second copies, and for each of those the number of the first.

    A final recipient reached through several aliases gets one copy: by address and route, after expansion.
    """
    firsts: dict[tuple[bytes, wire.Route | None], str] = {}
    kept: list[Leaf] = []
    shadows: dict[str, str] = {}
    for leaf in leaves:
        local, at, domain = leaf.recipient.address.rpartition(b"@")
        key = (local + at + domain.lower(), leaf.recipient.route)
        if key in firsts:
            shadows[leaf.recipient.number] = firsts[key]
        else:
            firsts[key] = leaf.recipient.number
            kept.append(leaf)
    return kept, shadows


def with_shadows(
    outcomes: tuple[wire.Outcome, ...], shadows: dict[str, str], leaves: list[Leaf]
) -> tuple[wire.Outcome, ...]:
    """Return the outcomes with those of second copies, which are what the first ones are."""
    by_number = {o.number: o for o in outcomes}
    recipients = {leaf.recipient.number: leaf.recipient for leaf in leaves}
    copies = [
        msgspec.structs.replace(
            by_number[first],
            number=number,
            original=recipients[number].original or recipients[number].address,
        )
        for number, first in shadows.items()
        if first in by_number
    ]
    return (*outcomes, *copies)


def fenced(
    leaves: list[Leaf], known: tuple[wire.Fenced, ...]
) -> tuple[list[Leaf], tuple[wire.Outcome, ...]]:
    """Return the leaves that are still to be delivered, and outcomes for those that an earlier try reached."""
    left: list[Leaf] = []
    outcomes: tuple[wire.Outcome, ...] = ()
    for leaf in leaves:
        recipient = leaf.recipient
        original = recipient.original or recipient.address
        entries = [f for f in known if f.original == original and _is_reached(f, recipient.address)]
        entry = min(entries, key=lambda f: f.in_doubt, default=None)
        if entry is None:
            left.append(leaf)
        elif entry.in_doubt:
            why = Why(451, "4.4.7", f"An earlier try is not finished yet (id {entry.id})")
            outcomes += same_for_all([recipient], "refused", why, step="fence")
        else:
            why = Why(250, "2.0.0", f"Delivered before as {entry.id}")
            outcomes += same_for_all([recipient], "delivered", why, step="fence")
    return left, outcomes


def _is_reached(entry: wire.Fenced, final: bytes) -> bool:
    """Tell whether the earlier try reached this final recipient; without finals, the doubt is about them all."""
    return final in entry.finals or (entry.in_doubt and not entry.finals)
