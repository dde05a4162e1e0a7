"""From what the route stage's script decided to what becomes of one recipient.

Pure. A recipient is refused, discarded, or goes on: as itself with a route, or split into several (kept here,
filed there, redirected elsewhere), which are numbered below it.
"""

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from columba.common.hop.destination import final, folder
from columba.common.hop.mail import Why, same_for_all
from columba.common.ipc import wire
from columba.sieve import verdict
from columba.sieve.run.actions import (
    FileInto,
    Keep,
    Redirect,
    Reject,
    Reply,
    SetSender,
    SignAs,
    Wishes,
)
from columba.sieve.run.machine import Finished
from columba.sieve.run.message import Message

DISCARDED = Why(250, "2.0.0", "Discarded by policy")
FAILED_SCRIPT = Why(451, "4.3.0", "Policy can't be applied now, try again later")
DEPTH_MAX = 8
NOTIFIES: Final[tuple[Literal["NEVER", "SUCCESS", "FAILURE", "DELAY"], ...]] = (
    "NEVER",
    "SUCCESS",
    "FAILURE",
    "DELAY",
)
RETURNS: Final[tuple[Literal["FULL", "HDRS"], ...]] = ("FULL", "HDRS")


@dataclass(frozen=True, slots=True)
class Person:
    """A recipient and the message that is his; None: the message as it was handed over."""

    recipient: wire.Recipient
    message: Message | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """One recipient with its final route, and the message that goes there; None: as it was handed over."""

    recipient: wire.Recipient
    sign: tuple[wire.Sign, ...] = ()
    message: Message | None = None


@dataclass(frozen=True, slots=True)
class Branches:
    """What one recipient became: outcomes that are decided, leaves, and recipients to run the stage for again."""

    outcomes: tuple[wire.Outcome, ...] = ()
    leaves: tuple[Leaf, ...] = ()
    onward: tuple[Person, ...] = ()


class BranchError(Exception):
    """The script asks for what can't be: a run-time error of the script."""


def branches(
    recipient: wire.Recipient, finished: Finished, message: Message, age_s: float = 0.0
) -> Branches:
    """Return what became of the recipient; message: as the script left it; age_s: of the mail. Raises BranchError."""
    refusal = finished.refusal
    if refusal is not None:
        return Branches(outcomes=refused([recipient], refusal))
    chosen = finished.route
    base = verdict.route(chosen) if chosen is not None else wire.Route(kind="mx")
    if len(finished.result.entries) <= 1 and (chosen is not None or not finished.actions):
        # A route and nothing else: the usual case.
        sign = recipient.sign
        if chosen is not None and chosen.sign:
            sign = (wire.Sign(domain=chosen.sign),)
        route = _flagged(base, finished.result.flags)
        leaf = msgspec.structs.replace(recipient, route=route)
        return Branches(leaves=(Leaf(leaf, sign, message),))
    recipient = with_wishes(recipient, finished)
    sign = signatures(finished) or recipient.sign
    kept = _kept(finished, base, message)
    own = recipient.original or recipient.address
    redirects = redirected(finished, _with_orcpt(recipient, own), age_s)
    if not kept and not redirects:
        return Branches(outcomes=same_for_all([recipient], "discarded", DISCARDED, step="sieve"))
    return _split(recipient, kept, redirects, sign)


def with_wishes(recipient: wire.Recipient, finished: Finished) -> wire.Recipient:
    """Return the recipient with what the script said of its sender and of the queue."""
    senders = [a.address.encode() for a in finished.actions if isinstance(a, SetSender)]
    wish = verdict.wish(finished.actions, recipient.wish)
    if not senders and wish is recipient.wish:
        return recipient
    sender = senders[-1] if senders else recipient.sender
    return msgspec.structs.replace(recipient, sender=sender, wish=wish)


def signatures(finished: Finished) -> tuple[wire.Sign, ...]:
    """Return the signatures that a script asks for, each once."""
    chosen = finished.route
    named = [wire.Sign(domain=chosen.sign)] if chosen is not None and chosen.sign else []
    for action in finished.actions:
        if isinstance(action, SignAs):
            sign = wire.Sign(domain=action.domain, selector=action.selector, seal=action.is_seal)
            named += [sign] if sign not in named else []
    return tuple(named)


def redirected(finished: Finished, recipient: wire.Recipient, age_s: float = 0.0) -> list[Person]:
    """Return the recipients that redirects make of one, still with its number; age_s: of the mail."""
    people = []
    for entry in finished.result.entries:
        action = entry.action
        if isinstance(action, Redirect):
            person = msgspec.structs.replace(recipient, address=action.address.encode())
            if action.wishes is not None:
                person = _wished(person, action.wishes, age_s)
            people.append(Person(person, entry.message))
    return people


def _wished(recipient: wire.Recipient, wishes: Wishes, age_s: float) -> wire.Recipient:
    """RFC 6009 §4, §5: NOTIFY and RET go out as the script says; the deadline is kept by our own queue."""
    notify = tuple(w for w in NOTIFIES if w in wishes.notify.split(",")) or recipient.notify
    ret = next((r for r in RETURNS if r == wishes.ret), recipient.ret)
    wish = recipient.wish
    if wishes.by_s is not None:
        after_s = max(1, int(age_s) + wishes.by_s)
        known = wish or wire.QueueWish()
        if wishes.by_mode == "return":
            wish = msgspec.structs.replace(known, expire_s=min(known.expire_s or after_s, after_s))
        else:
            wish = msgspec.structs.replace(known, notice_s=min(known.notice_s or after_s, after_s))
    return msgspec.structs.replace(recipient, notify=notify, ret=ret, wish=wish)


def _with_orcpt(recipient: wire.Recipient, original: bytes) -> wire.Recipient:
    """RFC 3461 §5.2.1: what is sent on may say whom the sender wrote to, unless the sender has said it."""
    if recipient.orcpt or b"@" not in original:
        return recipient
    kind = "rfc822" if original.isascii() else "utf-8"  # RFC 6533 §3
    orcpt = f"{kind};{original.decode('utf-8', 'replace')}"
    return msgspec.structs.replace(recipient, orcpt=orcpt)


def refused(recipients: list[wire.Recipient], refusal: Reject | Reply) -> tuple[wire.Outcome, ...]:
    """Return the outcome that a reject, ereject or reply means for recipients."""
    if isinstance(refusal, Reject):
        why = Why(550, "5.7.1", " ".join(refusal.text.split()) or "Rejected")
    else:
        why = Why(refusal.code, refusal.enhanced, " ".join(refusal.lines))
    kind: wire.OutcomeKind = "failed" if why.code >= 500 else "refused"
    return same_for_all(recipients, kind, why, step="sieve")


def _kept(
    finished: Finished, base: wire.Route, message: Message
) -> list[tuple[wire.Route, Message]]:
    """Return where the mail is kept and which message there; each place once."""
    kept: dict[wire.Route, Message] = {}
    if finished.keeps:
        kept[_flagged(base, finished.result.flags)] = message
    for entry in finished.result.entries:
        match entry.action:
            case Keep(flags=flags):
                kept.setdefault(_flagged(base, flags), entry.message)
            case FileInto() as action:
                kept.setdefault(_filed(base, action), entry.message)
            case _:
                pass
    return list(kept.items())


def _split(
    recipient: wire.Recipient,
    kept: list[tuple[wire.Route, Message]],
    redirects: list[Person],
    sign: tuple[wire.Sign, ...],
) -> Branches:
    if len(kept) == 1 and not redirects:
        route, message = kept[0]
        leaf = Leaf(msgspec.structs.replace(recipient, route=route), sign, message)
        return Branches(leaves=(leaf,))
    if recipient.number.count(".") >= DEPTH_MAX:
        why = Why(554, "5.4.6", "Aliases or redirects form a loop")
        return Branches(outcomes=same_for_all([recipient], "failed", why, step="sieve"))
    original = recipient.original or recipient.address
    leaves = [
        Leaf(
            msgspec.structs.replace(
                recipient,
                number=f"{recipient.number}.{n}",
                original=original,
                route=route,
                pinned=True,
            ),
            sign,
            message,
        )
        for n, (route, message) in enumerate(kept, 1)
    ]
    onward = [
        Person(
            msgspec.structs.replace(
                person.recipient, number=f"{recipient.number}.{n}", original=original
            ),
            person.message,
        )
        for n, person in enumerate(redirects, len(kept) + 1)
    ]
    return Branches(leaves=tuple(leaves), onward=tuple(onward))


def _flagged(base: wire.Route, flags: tuple[str, ...] | None) -> wire.Route:
    """RFC 5232: only a Maildir keeps flags."""
    if not flags or base.kind != "maildir":
        return base
    return msgspec.structs.replace(base, flags=flags)


def _filed(base: wire.Route, action: FileInto) -> wire.Route:
    if base.kind == "discard":
        return base
    if base.kind != "maildir":
        raise BranchError("fileinto needs a route to a maildir")
    folder = "" if action.mailbox.upper() == "INBOX" else action.mailbox
    route = msgspec.structs.replace(
        base, folder=folder, create=action.creates, use=action.special_use
    )
    return _flagged(route, action.flags)


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
        copy = final(recipient.address, folder(recipient.route))
        entries = [f for f in known if f.original == original and _is_reached(f, copy)]
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
