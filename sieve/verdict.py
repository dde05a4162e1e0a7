"""From what a stage's script decided to the verdict that smtpd or the queue gets.

Pure.
"""

from collections.abc import Iterable
from typing import Final, Literal

from columba.common.ipc import wire
from columba.sieve.run.actions import (
    Action,
    AddRecipient,
    Delay,
    QueueAs,
    Reject,
    Reply,
    RouteTo,
    SetRecipient,
    SetSender,
    WriteDsn,
)
from columba.sieve.run.effects import Effect
from columba.sieve.run.machine import Finished

PtrState = Literal["", "confirmed", "unconfirmed", "missing", "unknown"]
STATES: Final[tuple[PtrState, ...]] = ("confirmed", "unconfirmed", "missing", "unknown")
# Of these stages no mail follows that effects could wait for: they are committed at once.
OF_NO_MAIL: Final = frozenset({"connect", "helo", "auth", "retry", "bounce"})


def verdict(call: wire.Stage, finished: Finished) -> wire.Verdict:
    """Return the verdict of a stage's script."""
    variables, actions = dict(finished.variables), finished.actions
    delay_ms = 1000 * sum(a.seconds for a in actions if isinstance(a, Delay))
    refusal = finished.refusal
    if refusal is not None:
        return _refused(refusal, delay_ms, variables)
    if call.stage == "retry":
        return _retry(actions, variables)
    if call.stage == "bounce":
        return _bounce(actions, variables)
    is_for_mail = call.stage not in OF_NO_MAIL
    return wire.Verdict(
        delay_ms=delay_ms,
        variables=variables,
        sender=_sender(actions),
        recipients=_recipients(call, actions),
        effects=effects(finished.effects) if is_for_mail else (),
        wish=wish(actions),
    )


def effects(them: Iterable[Effect]) -> tuple[wire.Effect, ...]:
    """Return effects as they cross between processes."""
    return tuple(
        wire.Effect(
            kind=e.kind,
            key=e.key,
            dict=e.dict,
            value=e.value,
            amount=e.amount,
            expires_s=e.expires_s,
        )
        for e in them
    )


def wish(actions: Iterable[Action], before: wire.QueueWish | None = None) -> wire.QueueWish | None:
    """Return what the queue is asked, over what an earlier stage asked; None: nothing."""
    said = next((a for a in actions if isinstance(a, QueueAs)), None)
    if said is None:
        return before
    old = before or wire.QueueWish()
    return wire.QueueWish(
        hold=old.hold if said.hold is None else said.hold,
        priority=old.priority if said.priority is None else said.priority,
        retry_s=old.retry_s if said.retry_s is None else said.retry_s,
        expire_s=old.expire_s if said.expire_s is None else said.expire_s,
        notice_s=old.notice_s,
    )


def route(chosen: RouteTo) -> wire.Route:
    """Return a route as it crosses between processes."""
    return wire.Route(
        kind=chosen.kind,
        host=chosen.host,
        port=chosen.port,
        path=chosen.path,
        tls=chosen.tls,
        source=chosen.source,
        helo=chosen.helo,
        auth=chosen.auth,
        concurrency=chosen.concurrency,
        timeout_s=chosen.timeout_s,
    )


def _refused(refusal: Reject | Reply, delay_ms: int, variables: dict[str, str]) -> wire.Verdict:
    if isinstance(refusal, Reject):
        refusal = Reply(550, "5.7.1", (" ".join(refusal.text.split()) or "Rejected",))
    closes = refusal.closes or refusal.code == 421
    return wire.Verdict(
        action="disconnect" if closes else "reply",
        code=refusal.code,
        enhanced=refusal.enhanced,
        text="\n".join(refusal.lines),
        delay_ms=delay_ms,
        variables=variables,
    )


def _sender(actions: Iterable[Action]) -> bytes | None:
    found = [a.address.encode() for a in actions if isinstance(a, SetSender)]
    return found[-1] if found else None


def _recipients(call: wire.Stage, actions: Iterable[Action]) -> tuple[bytes, ...] | None:
    """Return what stands in the place of the recipient that was asked about; None: it stays."""
    first, added = call.recipient, []
    for action in actions:
        if isinstance(action, SetRecipient):
            first = action.address.encode()
        elif isinstance(action, AddRecipient):
            added.append(action.address.encode())
    together = tuple(dict.fromkeys((first, *added)))
    return None if together == (call.recipient,) or not call.recipient else together


def _retry(actions: Iterable[Action], variables: dict[str, str]) -> wire.Verdict:
    said = next((a for a in actions if isinstance(a, QueueAs)), None) or QueueAs()
    chosen = next((a for a in actions if isinstance(a, RouteTo)), None)
    notice = next((a for a in actions if isinstance(a, WriteDsn)), None)
    gives_up = said.give_up is not None
    return wire.Verdict(
        code=550 if gives_up else 250,
        enhanced="5.4.7" if gives_up else "",
        text=said.give_up or "",
        variables=variables,
        wish=wish(actions),
        next_s=said.retry_s[0] if said.retry_s else None,
        gives_up=gives_up,
        route=route(chosen) if chosen is not None else None,
        sign=(wire.Sign(domain=chosen.sign),) if chosen is not None and chosen.sign else (),
        dsn=notice.returns if notice is not None else "",
    )


def _bounce(actions: Iterable[Action], variables: dict[str, str]) -> wire.Verdict:
    said = next((a for a in actions if isinstance(a, WriteDsn)), None)
    return wire.Verdict(
        variables=variables,
        wish=wish(actions),
        dsn=said.returns if said is not None else "",
        dsn_text=said.text if said is not None else "",
        dsn_copy=said.copy.encode() if said is not None else b"",
    )


def ptr_of(text: str) -> PtrState:
    """Return the state of a client's name; "" if this is none."""
    return next((state for state in STATES if state == text), "")
