"""Hand a received message into the chain, and do what its answer demands before the client hears it.

The deadline D is set when the end of data is read; smtpd answers by D - 1 s. The mail of a client that is not
trusted is never stored from here, because its data stage has not run (promises §2).
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from columba.common.clock import from_now
from columba.common.errors import PeerError
from columba.common.hop.answered import Answerer
from columba.common.hop.chain import GRACE_NS, STEP_NS, Next
from columba.common.hop.keeper import fence_put
from columba.common.hop.mail import ACCEPTED, Mail, StepResult
from columba.common.hop.parts import make_chain, make_next, make_queue
from columba.common.hop.queue_client import QueueClient
from columba.common.ipc import wire
from columba.common.ipc.calls import OnCall
from columba.common.mail.header import Header
from columba.common.mail.received import is_looping, received
from columba.common.service import Context
from columba.common.smtp import codes
from columba.common.smtp.codes import Reply
from columba.smtpd import submitted
from columba.smtpd.answer import Answer, Duty, answer, answer_each, prdr_replies
from columba.smtpd.fence import fence_base
from columba.smtpd.session import Role, Session
from columba.smtpd.settings import Settings
from columba.smtpd.transaction import Transaction

LOOP: Final = codes.reply(554, "5.4.6", "Mail loop: too many Received fields")
DRAIN_RESERVE_NS: Final = 10_000_000_000
KEEPER_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was received."""

    header: bytes
    body: wire.Body
    inline: bytes
    body_hash: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """What must be made known once the client has our answer, or is gone without it."""

    id: str
    outcomes: tuple[wire.Outcome, ...] = ()
    base: bytes = b""
    through: tuple[bytes, ...] = ()  # recipients that a fence record answered for


@dataclass(frozen=True, slots=True)
class Result:
    """The replies to end of data, and what hangs on the client's hearing them."""

    replies: tuple[Reply, ...]
    told: Told


class _NoQueue(QueueClient):
    """The queue for mail that may not be stored yet."""

    async def store(self, mail: Mail, intake: wire.Intake, until_ns: int) -> wire.Stored | str:
        """Store nothing, and say why."""
        return "mail that is not filtered yet is not stored"


class Handoff:
    """The way into the chain, one for the process."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context, self._settings, self._event = context, context.settings, context.event
        self._queue = make_queue(context)
        self._chain = make_chain(context, self._queue)
        no_queue = _NoQueue(context.caller, context.directory, context.event)
        self._unfiltered = make_chain(context, no_queue)
        self._next: Next = make_next(context, "sieve", "sieve")
        self._answerer = Answerer(context.caller, context.directory)

    async def deliver(
        self, session: Session, transaction: Transaction, message: Message, on_call: OnCall
    ) -> Result:
        """Return the replies for this message: one for SMTP, one for each recipient for LMTP, more for PRDR."""
        deadline_ns = self._deadline(session)
        header = Header(message.header)
        if is_looping(header, self._settings.hostname):
            count = transaction.count if session.role is Role.LMTP else 1
            self._event.warning("Mail loop", id=transaction.id, session=session.id)
            return Result((LOOP,) * count, Told(transaction.id))
        base = fence_base(
            session.login, session.ip, transaction.mail.sender, header, message.body_hash
        )
        fenced = await self._fenced(base, transaction, deadline_ns)
        mail = self._mail(
            session,
            transaction,
            message,
            header=header,
            base=base,
            fenced=fenced,
            deadline_ns=deadline_ns,
        )
        chain = self._chain if session.is_trusted else self._unfiltered
        began_ns = time.monotonic_ns()
        result = await chain.hand_over(
            mail, self._next, own_deadline_ns=deadline_ns - GRACE_NS, on_call=on_call
        )
        through = tuple(f.original for f in fenced if not f.in_doubt)
        told = Told(transaction.id, result.outcomes, base, through)
        answers = self._answers(session, transaction, result)
        found = await self._do_duties(mail, answers, told, deadline_ns)
        if transaction.wants_each and session.role is not Role.LMTP:
            common = answer(transaction.id, transaction.numbers, result.outcomes).reply
            found = replace(found, replies=prdr_replies(found.replies, common))
        total_ms = (time.monotonic_ns() - began_ns) / 1e6
        self._log(session, transaction, reply=found.replies[-1], took=result, total_ms=total_ms)
        return found

    def told(self, told: Told) -> None:
        """The client has our answer: keepers forget, fence records that did their work go."""
        self._answerer.told(told.id, told.outcomes)
        if told.through and any(outcome.kind in ACCEPTED for outcome in told.outcomes):
            self._queue.fence_drop(told.base, told.through)

    def untold(self, told: Told) -> None:
        """The client is gone and may not have our answer: what was accepted becomes fence records."""
        if any(outcome.kind in ACCEPTED for outcome in told.outcomes):
            self._context.spawn(self._withhold(told), "fence")
        else:
            self._answerer.told(told.id, told.outcomes)

    def hurry(self, end_ns: int) -> None:
        """Have every mail in flight answered before the process ends: its D comes nearer (promises §1).

        Half of what is left is always theirs.
        """
        now_ns = time.monotonic_ns()
        until_ns = max(end_ns - DRAIN_RESERVE_NS - STEP_NS, now_ns + (end_ns - now_ns) // 2)
        for chain in (self._chain, self._unfiltered):
            chain.hurry(until_ns)

    async def close(self, timeout_s: float) -> None:
        """Tell keepers a last time, and wait for what is under way to the queue."""
        self._answerer.close()
        await self._queue.close(timeout_s)

    def _deadline(self, session: Session) -> int:
        settings = self._settings
        is_submission = session.role is Role.SUBMISSION
        limit_s = settings.submission_reply_deadline if is_submission else settings.reply_deadline
        deadline_ns = from_now(limit_s)
        if self._context.is_draining:
            return min(deadline_ns, self._context.drain_until_ns - DRAIN_RESERVE_NS)
        return deadline_ns

    async def _fenced(
        self, base: bytes, transaction: Transaction, deadline_ns: int
    ) -> tuple[wire.Fenced, ...]:
        if not base:
            return ()
        originals = tuple(r.original or r.address for r in transaction.recipients)
        until_ns = min(deadline_ns, from_now(KEEPER_S))
        fenced = await self._queue.fence_ask(base, originals, until_ns)
        for record in fenced:
            self._event.info(
                "Known from an earlier try",
                id=transaction.id,
                earlier=record.id,
                to=_text(record.original),
                in_doubt=record.in_doubt,
            )
        return fenced

    def _mail(
        self,
        session: Session,
        transaction: Transaction,
        message: Message,
        *,
        header: Header,
        base: bytes,
        fenced: tuple[wire.Fenced, ...],
        deadline_ns: int,
    ) -> Mail:
        settings, wall_s = self._settings, time.time()
        is_utf8 = transaction.mail.params.smtputf8
        recipients = tuple(transaction.recipients)
        only = _text(recipients[0].address) if len(recipients) == 1 else ""
        hop = session.hop(settings.hostname, transaction.id, wall_s, is_utf8, only)
        added = b""
        if session.role is Role.SUBMISSION:
            added = submitted.missing_fields(header, transaction.id, settings.hostname, wall_s)
            hop = submitted.hidden(hop) if session.hides_client else hop
        size = len(message.header) + 2 + message.body.size
        handoff = wire.Handoff(
            id=transaction.id,
            step="sieve",
            deadline_ns=deadline_ns,
            envelope=transaction.envelope(size, wall_s, is_tls_optional(header)),
            client=session.client(is_utf8),
            recipients=recipients,
            body=message.body,
            may_queue=_may_queue(session, transaction, settings.queue_unverified),
            kind="submitted" if session.is_trusted else "received",
            fence=base,
            fenced=fenced,
            variables=session.variables,
        )
        return Mail(handoff, received(hop) + message.header + added, message.inline)

    def _answers(
        self, session: Session, transaction: Transaction, result: StepResult
    ) -> tuple[Answer, ...]:
        outcomes = result.outcomes
        if session.role is Role.LMTP or transaction.wants_each:
            return answer_each(transaction.id, transaction.numbers, outcomes)
        return (answer(transaction.id, transaction.numbers, outcomes),)

    async def _do_duties(
        self, mail: Mail, answers: tuple[Answer, ...], told: Told, deadline_ns: int
    ) -> Result:
        replies = [found.reply for found in answers]
        reported = [n for n, found in enumerate(answers) if found.duty is Duty.BOUNCE]
        withheld = [n for n, found in enumerate(answers) if found.duty is Duty.WITHHOLD]
        failed = tuple(o for n in reported for o in answers[n].outcomes if o.kind == "failed")
        taken = [n for n, reply in enumerate(replies) if reply.code < 400]
        done = to_confirm(mail.handoff, (o for n in taken for o in answers[n].outcomes))
        if failed or done:
            problem = await self._queue.bounce(mail, failed, deadline_ns, done)
            if problem:
                self._event.error("No DSN could be stored", id=told.id, error=problem)
                withheld += [n for n in taken if n not in withheld]
                for n in taken:
                    replies[n] = codes.LOCAL_ERROR
        if not withheld:
            return Result(tuple(replies), told)
        outcomes = tuple(o for n in withheld for o in answers[n].outcomes)
        await self._withhold(replace(told, outcomes=outcomes))
        rest = tuple(o for o in told.outcomes if o not in outcomes)
        return Result(tuple(replies), replace(told, outcomes=rest))

    async def _withhold(self, told: Told) -> None:
        """Have fence records written for what was accepted, by its keepers, or from here if they can't."""
        until_ns = from_now(KEEPER_S)
        left: list[wire.Outcome] = []
        for keeper in {outcome.keeper for outcome in told.outcomes}:
            kept = [outcome for outcome in told.outcomes if outcome.keeper == keeper]
            if not await self._keeper_writes(keeper, told.id, until_ns):
                left += kept
        put = fence_put(told.id, told.base, tuple(left))
        if put is not None and not await self._queue.fence_put(put, until_ns):
            self._event.error("No fence could be stored", id=told.id)

    async def _keeper_writes(self, keeper: str, id: str, until_ns: int) -> bool:
        if not keeper:
            return False
        try:
            answer = await self._context.caller.call_process(
                keeper, wire.Withheld(id=id), until_ns=until_ns
            )
        except PeerError:
            return False
        return isinstance(answer.reply, wire.Done)

    def _log(
        self,
        session: Session,
        transaction: Transaction,
        *,
        reply: Reply,
        took: StepResult,
        total_ms: float,
    ) -> None:
        """Say what the client hears; the step that settled a recipient has its own line about it."""
        self._event.info(
            "Answered",
            id=transaction.id,
            session=session.id,
            ip=session.ip or None,
            login=session.login or None,
            helo=session.helo,
            sender=f"<{_text(transaction.mail.sender)}>",
            count=len(transaction.recipients),
            reply=reply.one_line(),
            total_ms=total_ms,
            waited_ms=took.waited_ms,
            took_ms=" ".join(f"{step}:{ms:.1f}" for step, ms in took.took_ms) or None,
        )


def to_confirm(handoff: wire.Handoff, outcomes: Iterable[wire.Outcome]) -> tuple[wire.Outcome, ...]:
    """Return the deliveries that are reported from here: asked for, and no later hop does (RFC 3461 §5.2.2).

    Only to senders who may be told of failures too: others' addresses may be forged.
    """
    if handoff.may_queue != "yes":
        return ()
    return tuple(o for o in outcomes if o.kind == "delivered" and o.success)


def is_tls_optional(header: Header) -> bool:
    """Tell whether the author wants the mail to arrive rather than to be protected (RFC 8689 §5)."""
    return header.count("TLS-Required") == 1 and header.text("TLS-Required").lower() == "no"


def _may_queue(session: Session, transaction: Transaction, unverified: bool) -> wire.MayQueue:
    # promises §2: only where a failure could be reported; a null sender's mail never.
    if not (transaction.mail.sender and transaction.sender):
        return "no"
    if session.is_trusted:
        return "yes"
    return "hold" if unverified else "no"


def _text(address: bytes) -> str:
    return address.decode("utf-8", "backslashreplace")
