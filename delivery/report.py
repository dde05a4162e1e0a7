"""A result as the chain's Outcome, and as the one line of the log for each recipient."""

from typing import Final

from columba.common.hop.destination import destination, folder, is_local
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.delivery.job import Result
from columba.delivery.outcome import Decision, Detail, Verdict

FINAL: Final = frozenset({"delivered", "failed", "discarded"})


def outcome_of(
    recipient: wire.Recipient, result: Result, keeper: str, detail: Detail
) -> wire.Outcome:
    """Return the Outcome; a temporary result is `refused` until the chain has found a place for it.

    This is the one place where `reply_detail = own` hides the hop: what goes up the chain, into the queue and
    into reports has our own words; the log and the transcript keep the hop's.
    """
    decision = result.decision
    is_hidden = detail is Detail.OWN
    kind: wire.OutcomeKind
    match decision.verdict:
        case Verdict.DELIVERED:
            kind = "delivered"
        case Verdict.FAILED:
            kind = "failed"
        case Verdict.DISCARDED:
            kind = "discarded"
        case Verdict.TEMPORARY:
            kind = "refused"
        case Verdict.REWORK:
            kind = "rework"
    return wire.Outcome(
        number=recipient.number,
        kind=kind,
        code=decision.why.code,
        enhanced=decision.why.enhanced,
        text=decision.own_words or decision.why.text if is_hidden else decision.why.text,
        address=recipient.address,
        original=recipient.original or recipient.address,
        folder=folder(recipient.route),
        route=destination(recipient.route, recipient.address),
        hop="" if is_hidden else result.hop,
        step="delivery",
        keeper=keeper if kind in FINAL else "",
        untried=decision.untried,
        success=_success(recipient, decision, result),
    )


def _success(recipient: wire.Recipient, decision: Decision, result: Result) -> wire.Success:
    """Return which report of success is left to us (RFC 3461 §5.2.2 and §5.3): none where the hop took it over."""
    if decision.verdict is not Verdict.DELIVERED or "SUCCESS" not in recipient.notify:
        return ""
    if result.passes_dsn:
        return ""
    return "delivered" if is_local(recipient.route) else "relayed"


def log_result(
    event: Event, handoff: wire.Handoff, recipient: wire.Recipient, result: Result, took_ms: float
) -> None:
    """Write the one line; what only our own configuration can mend is a warning."""
    decision = result.decision
    say = event.warning if decision.alert else event.info
    words = {
        Verdict.DELIVERED: "Delivered",
        Verdict.FAILED: "Failed",
        Verdict.DISCARDED: "Discarded",
        Verdict.TEMPORARY: "Not delivered now",
        Verdict.REWORK: "To be sent in 7 bits",
    }
    say(
        words[decision.verdict],
        id=handoff.id,
        n=recipient.number,
        to=recipient.address.decode("utf-8", "replace"),
        sender=handoff.envelope.sender.decode("utf-8", "replace"),
        route=destination(recipient.route, recipient.address),
        hop=result.hop or None,
        tls=result.tls or None,
        reply=f"{decision.why.code} {decision.why.enhanced} {decision.why.text}",
        ms=took_ms,
    )
