"""One mail in a step: the handoff and its bytes.

Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from columba.common.hop.destination import folder
from columba.common.ipc import wire

ACCEPTED: Final[tuple[wire.OutcomeKind, ...]] = ("delivered", "queued", "discarded")


@dataclass(frozen=True, slots=True)
class Mail:
    """A handoff with its header block and, unless spooled, its body."""

    handoff: wire.Handoff
    header: bytes
    body: bytes

    @property
    def parts(self) -> list[bytes]:
        """Return the frames behind the header of a request."""
        return [self.header, self.body]

    def with_header(self, header: bytes) -> "Mail":
        """Return the mail with another header block."""
        return replace(self, header=header)

    def with_recipients(self, recipients: Iterable[wire.Recipient]) -> "Mail":
        """Return the mail for these recipients only."""
        handoff = msgspec.structs.replace(self.handoff, recipients=tuple(recipients))
        return replace(self, handoff=handoff)


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step answers: outcomes, the changed messages that they name, times."""

    outcomes: tuple[wire.Outcome, ...]
    variants: tuple[tuple[wire.Variant, bytes], ...] = ()
    took_ms: tuple[tuple[str, float], ...] = ()
    waited_ms: float = 0.0

    def reply(self) -> tuple[wire.Outcomes, list[bytes]]:
        """Return the reply and its frames."""
        reply = wire.Outcomes(
            outcomes=self.outcomes,
            variants=tuple(variant for variant, _ in self.variants),
            took_ms=dict(self.took_ms),
            waited_ms=self.waited_ms,
        )
        return reply, [header for _, header in self.variants]


def joined(results: Sequence[StepResult]) -> StepResult:
    """Return several results as one; the variants of later ones are counted on, times take the longest."""
    outcomes: list[wire.Outcome] = []
    variants: list[tuple[wire.Variant, bytes]] = []
    took: dict[str, float] = {}
    for result in results:
        base = len(variants)
        outcomes += [_moved(outcome, base) for outcome in result.outcomes]
        variants += result.variants
        for step, ms in result.took_ms:
            took[step] = max(ms, took.get(step, 0.0))
    waited = max((r.waited_ms for r in results), default=0.0)
    return StepResult(tuple(outcomes), tuple(variants), tuple(took.items()), waited)


def changed(result: StepResult, variant: wire.Variant, header: bytes) -> StepResult:
    """Return the result as the caller sees it, when this step had changed the message.

    Deferred outcomes that name the message "as I received it" (variant 0) come to name the changed one.
    """
    if not any(o.kind == "deferred" and o.variant == 0 for o in result.outcomes):
        return result
    number = len(result.variants) + 1
    outcomes = tuple(
        msgspec.structs.replace(o, variant=number) if o.kind == "deferred" and o.variant == 0 else o
        for o in result.outcomes
    )
    return replace(result, outcomes=outcomes, variants=(*result.variants, (variant, header)))


@dataclass(frozen=True, slots=True)
class Why:
    """A reason as an SMTP reply."""

    code: int
    enhanced: str
    text: str


def same_for_all(
    recipients: Iterable[wire.Recipient],
    kind: wire.OutcomeKind,
    why: Why,
    *,
    step: str = "",
    keeper: str = "",
    in_doubt: bool = False,
) -> tuple[wire.Outcome, ...]:
    """Return one outcome of this kind for each recipient."""
    return tuple(
        wire.Outcome(
            number=r.number,
            kind=kind,
            code=why.code,
            enhanced=why.enhanced,
            text=why.text,
            address=r.address,
            original=r.original or r.address,
            folder=folder(r.route),
            step=step,
            keeper=keeper,
            in_doubt=in_doubt,
        )
        for r in recipients
    )


def with_splits(
    outcomes: Iterable[wire.Outcome],
    recipients: Iterable[wire.Recipient],
    handed: Iterable[wire.Recipient],
) -> tuple[wire.Outcome, ...]:
    """Return the outcomes with the recipient in each deferred one that was split from those handed to us.

    The caller does not know such a recipient; without its pinned route another run would split it again.
    """
    known = {recipient.number for recipient in handed}
    splits = {r.number: r for r in recipients if r.number not in known}
    return tuple(
        msgspec.structs.replace(o, recipient=splits[o.number])
        if o.kind == "deferred" and o.number in splits
        else o
        for o in outcomes
    )


def missing(
    recipients: Iterable[wire.Recipient], outcomes: Iterable[wire.Outcome]
) -> list[wire.Recipient]:
    """Return the recipients that no outcome covers, neither their own nor one of a split of theirs."""
    numbers = {part for o in outcomes for part in _self_and_ancestors(o.number)}
    return [r for r in recipients if r.number not in numbers]


def _self_and_ancestors(number: str) -> list[str]:
    parts = number.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]


def _moved(outcome: wire.Outcome, base: int) -> wire.Outcome:
    if not base or not outcome.variant:
        return outcome
    return msgspec.structs.replace(outcome, variant=outcome.variant + base)
