"""The signing step: a mail comes in, signatures go before its header, delivery gets it.

It changes no other byte. Body hashing above SMALL and reading of spooled bodies go to a thread; a
signature itself takes 0.3 ms and is made in place, because handing it to a thread and back costs as much as it gains.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from columba.common.clock import Clock, left_s
from columba.common.errors import StoreError
from columba.common.hop.chain import Chain, Next
from columba.common.hop.destination import destination
from columba.common.hop.mail import Mail, StepResult, Why, changed, joined, same_for_all
from columba.common.ipc import wire
from columba.common.ipc.calls import OnCall
from columba.common.ipc.spool import open_body
from columba.common.log.event import Event
from columba.common.mail.header import Header
from columba.common.mailauth.canonical import BodyHash
from columba.common.off_loop import OffLoop
from columba.delivery.signer.choose import Chosen, Keys, NoKey, choose
from columba.delivery.signer.resign import covers, ours, serves
from columba.delivery.signer.rework import Reworker
from columba.delivery.signer.sign import Signer, signature_field

SMALL: Final = 64 * 1024
RESERVE_NS: Final = 3_000_000_000  # left for storing when hashing takes too long
UNREADABLE: Final = Why(451, "4.3.0", "The mail can't be read, try again later")
SLOW: Final = Why(451, "4.4.7", "Signing takes too long, try again later")
FOREIGN_8BIT: Final = Why(550, "5.6.3", "The next server takes no mail of 8 bits")


@dataclass(frozen=True, slots=True)
class Signing:
    """What does not change from mail to mail."""

    keys: Keys
    default: str  # domain that signs what is not the author's
    spool: Path
    lifetime_s: int


class SigningStep:
    """Signs mails and hands them on."""

    def __init__(
        self,
        signing: Signing,
        chain: Chain,
        to: Next,
        *,
        reworker: Reworker,
        off_loop: OffLoop,
        clock: Clock,
        event: Event,
    ) -> None:
        self._reworker = reworker
        self._signing, self._chain, self._to = signing, chain, to
        self._off_loop, self._clock, self._event = off_loop, clock, event

    async def run(self, mail: Mail, on_call: OnCall | None = None) -> StepResult:
        """Return an outcome for each recipient."""
        header = Header(mail.header)
        chosen = choose(mail.handoff, header, self._signing.keys, self._signing.default)
        signed, deadline_ns = mail.handoff.signed, mail.handoff.deadline_ns
        if signed and (isinstance(chosen, NoKey) or self._is_signed(header, signed, chosen)):
            return await self._as_signed(mail, chosen, on_call)
        if isinstance(chosen, NoKey):
            return self._no_key(mail, chosen)
        if signed:
            self._event.info("Signed anew", id=mail.handoff.id, was=", ".join(signed))
            mail = _unsigned(mail)
            header = Header(mail.header)
        try:
            result = await self._signed_and_handed_on(mail, header, chosen.keys, on_call)
            return await self._without_rework(mail, result, chosen.keys, on_call)
        except StoreError as error:
            self._event.error("A body can't be read", id=mail.handoff.id, error=str(error))
            return await self._chain.give_up(mail, "dkim", UNREADABLE, deadline_ns)
        except TimeoutError:
            return await self._chain.give_up(mail, "dkim", SLOW, deadline_ns)

    def _is_signed(self, header: Header, signed: Collection[str], chosen: Chosen) -> bool:
        now_s = self._clock.wall_s()
        return covers(signed, chosen.keys) and serves(header, signed, self._signing.keys, now_s)

    async def _as_signed(
        self, mail: Mail, chosen: Chosen | NoKey, on_call: OnCall | None
    ) -> StepResult:
        """Hand on a queued mail with the signatures that it has; it may lack keys for others by now."""
        result = await self._hand_on(mail, mail.handoff.deadline_ns, on_call)
        if isinstance(chosen, NoKey):
            return result
        return await self._without_rework(_unsigned(mail), result, chosen.keys, on_call)

    async def _signed_and_handed_on(
        self, mail: Mail, header: Header, keys: Sequence[Signer], on_call: OnCall | None
    ) -> StepResult:
        """Sign; header is the mail's. Raises StoreError, TimeoutError: then nothing was begun."""
        began_ns, deadline_ns = time.monotonic_ns(), mail.handoff.deadline_ns
        digest = await self._body_digest(mail, deadline_ns - RESERVE_NS)
        names = tuple(key.record_name for key in keys)
        handoff = msgspec.structs.replace(mail.handoff, signed=names)
        signed = Mail(handoff, self._sign(header, digest, keys), mail.body)
        took_ms = (time.monotonic_ns() - began_ns) / 1e6
        result = await self._hand_on(signed, deadline_ns, on_call)
        variant = wire.Variant(sign_selectors=names)
        result = changed(result, variant, signed.header)
        return replace(result, took_ms=(*result.took_ms, ("dkim", took_ms)))

    async def _without_rework(
        self, mail: Mail, result: StepResult, keys: Sequence[Signer], on_call: OnCall | None
    ) -> StepResult:
        """Where a hop takes no 8 bits, send our own mail once more in 7, and fail foreign mail (promises §6)."""
        numbers = {o.number for o in result.outcomes if o.kind == "rework"}
        if not numbers:
            return result
        kept = tuple(o for o in result.outcomes if o.kind != "rework")
        left = mail.with_recipients(r for r in mail.handoff.recipients if r.number in numbers)
        again = await self._once_more(left, keys, on_call)
        return replace(result, outcomes=(*kept, *again))

    async def _once_more(
        self, mail: Mail, keys: Sequence[Signer], on_call: OnCall | None
    ) -> tuple[wire.Outcome, ...]:
        """Never raises: what the first round reached must be told."""
        recipients, deadline_ns = mail.handoff.recipients, mail.handoff.deadline_ns
        try:
            ours = await self._reworker.rework(mail, deadline_ns - RESERVE_NS)
            if ours is None:
                return same_for_all(recipients, "failed", FOREIGN_8BIT)
            try:
                result = await self._signed_and_handed_on(ours, Header(ours.header), keys, on_call)
            finally:
                self._reworker.forget(ours)
        except (StoreError, TimeoutError) as error:
            self._event.error("No copy in 7 bits", id=mail.handoff.id, error=str(error))
            result = await self._chain.give_up(mail, "dkim", UNREADABLE, deadline_ns)
        return tuple(_begin_anew(outcome) for outcome in result.outcomes)

    def _sign(self, header: Header, digest: bytes, keys: Sequence[Signer]) -> bytes:
        now_s, lifetime_s = self._clock.wall_s(), self._signing.lifetime_s
        fields = [signature_field(header, digest, key, now_s, lifetime_s) for key in keys]
        return header.prepend(*fields).raw

    async def _body_digest(self, mail: Mail, until_ns: int) -> bytes:
        """Raises StoreError, TimeoutError."""
        of = self._signing.spool, mail.handoff.body, mail.body
        if not mail.handoff.body.spool and len(mail.body) <= SMALL:
            return _digest(*of)
        return await self._off_loop.run(left_s(until_ns), _digest, *of)

    async def _hand_on(self, mail: Mail, deadline_ns: int, on_call: OnCall | None) -> StepResult:
        """Call delivery once for each destination, all at the same time: a slot keeps its connections."""
        groups: dict[str, list[wire.Recipient]] = {}
        for recipient in mail.handoff.recipients:
            name = destination(recipient.route, recipient.address)
            groups.setdefault(name, []).append(recipient)
        if len(groups) == 1:
            return await self._chain.hand_over(
                mail, self._to, own_deadline_ns=deadline_ns, key=next(iter(groups)), on_call=on_call
            )
        async with asyncio.TaskGroup() as tasks:
            calls = [
                tasks.create_task(
                    self._chain.hand_over(
                        mail.with_recipients(recipients),
                        self._to,
                        own_deadline_ns=deadline_ns,
                        key=name,
                        on_call=on_call,
                    )
                )
                for name, recipients in groups.items()
            ]
        return joined([call.result() for call in calls])

    def _no_key(self, mail: Mail, no_key: NoKey) -> StepResult:
        kind: wire.OutcomeKind = "failed" if no_key.is_final else "refused"
        if not no_key.is_final and mail.handoff.origin == "queue":
            kind = "deferred"
        self._event.warning(
            "Mail is not signed", id=mail.handoff.id, reason=no_key.why.text, outcome=kind
        )
        step = "dkim" if kind == "deferred" else ""
        return StepResult(same_for_all(mail.handoff.recipients, kind, no_key.why, step=step))


def _digest(spool: Path, body: wire.Body, inline: bytes) -> bytes:
    body_hash = BodyHash()
    with open_body(spool, body, inline) as source:
        for chunk in source.chunks():
            body_hash.update(chunk)
    return body_hash.digest()


def _unsigned(mail: Mail) -> Mail:
    """Return a mail without the signatures that it has from us."""
    header = Header(mail.header)
    bare = header.without(*ours(header, mail.handoff.signed))
    handoff = msgspec.structs.replace(mail.handoff, signed=())
    return Mail(handoff, bare.raw, mail.body)


def _begin_anew(outcome: wire.Outcome) -> wire.Outcome:
    """A copy is not kept: what is deferred resumes here with the mail as it came; a second rework fails."""
    if outcome.kind == "deferred":
        return msgspec.structs.replace(outcome, step="dkim", variant=0)
    if outcome.kind == "rework":
        code, enhanced, text = FOREIGN_8BIT.code, FOREIGN_8BIT.enhanced, FOREIGN_8BIT.text
        return msgspec.structs.replace(
            outcome, kind="failed", code=code, enhanced=enhanced, text=text
        )
    return outcome
