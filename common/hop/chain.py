"""Hand a mail to the next step, and take it over when that can't finish (promises §1).

Every step that calls another does it through hand_over. Exactly one of these happens to each recipient: the
callee's outcome is passed on; or nothing was begun, or the callee is gone or silent, and the recipient is given to
the queue, or, where that is not allowed, refused, or, in a queue run, deferred.
"""

import time
from dataclasses import dataclass
from typing import Final

import msgspec

from columba.common.clock import left_s
from columba.common.errors import NoPeerError, PeerGoneError, PeerLateError
from columba.common.hop.admission import Admission
from columba.common.hop.mail import Mail, StepResult, Why, missing, same_for_all
from columba.common.hop.queue_client import QueueClient
from columba.common.ipc import wire
from columba.common.ipc.calls import Caller, OnCall
from columba.common.ipc.client import Call
from columba.common.log.event import Event

GRACE_NS: Final = 1_000_000_000
STEP_NS: Final = 3_000_000_000  # one second of grace and two to store
BUSY: Final = Why(451, "4.3.2", "The system is too busy, try again later")
GONE: Final = Why(451, "4.3.0", "A part of the system failed, try again later")
LATE: Final = Why(451, "4.4.7", "The delivery takes too long, try again later")
CANCELLED: Final = Why(451, "4.4.7", "The caller gave up")
FIRST: Final = "sieve"  # the step that runs the scripts
LAST: Final = "delivery"  # the step that calls no other
HELD: Final = Why(451, "4.4.7", "The mail is not to leave yet")
TAKEN: Final = Why(250, "2.0.0", "Queued")


@dataclass(frozen=True, slots=True)
class Delays:
    """How long what was taken over rests before the queue tries it, in seconds (settings)."""

    takeover_s: float = 60.0
    in_doubt_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Next:
    """The next step: its service, the step's name, what its admission limit is."""

    service: str
    step: wire.StepName
    admission: Admission


class Chain:
    """What a step uses to call the next one."""

    def __init__(
        self, name: str, caller: Caller, queue: QueueClient, delays: Delays, event: Event
    ) -> None:
        self._name, self._caller, self._queue = name, caller, queue
        self._delays, self._event = delays, event
        self._in_flight: set[_Calls] = set()

    def hurry(self, until_ns: int) -> None:
        """Wait for the answers of calls in flight no longer than until_ns: the process ends."""
        for calls in self._in_flight:
            calls.hurry(until_ns)

    async def hand_over(
        self,
        mail: Mail,
        to: Next,
        *,
        own_deadline_ns: int,
        key: str = "",
        on_call: OnCall | None = None,
    ) -> StepResult:
        """Return an outcome for each recipient of the mail.

        own_deadline_ns is when the caller itself must have answered; the callee gets 3 s less. key chooses
        the slot (a destination), "" the least loaded one.
        """
        is_queue_run = mail.handoff.origin == "queue"
        if mail.handoff.envelope.hold_until_s and _is_held(mail.handoff, to):
            return await self.give_up(mail, to.step, HELD, own_deadline_ns)
        is_let_in = to.admission.enter(time.monotonic_ns(), is_queue_run)
        self._say_turn(to)
        if not is_let_in:
            return await self.give_up(mail, to.step, BUSY, own_deadline_ns)
        began_ns = time.monotonic_ns()
        result = None
        try:
            result = await self._call(mail, to, own_deadline_ns, key, on_call)
        finally:
            waited = result.waited_ms if result else (time.monotonic_ns() - began_ns) / 1e6
            to.admission.leave(time.monotonic_ns(), is_queue_run, waited)
            self._say_turn(to)
        return result

    async def give_up(
        self, mail: Mail, step: wire.StepName, why: Why, own_deadline_ns: int
    ) -> StepResult:
        """Give recipients that nothing was begun for to the queue, to resume at step, due at once."""
        return await self.store(mail, step, why, own_deadline_ns, 0.0)

    async def store(
        self,
        mail: Mail,
        step: wire.StepName,
        why: Why,
        own_deadline_ns: int,
        due_in_s: float,
        *,
        in_doubt: bool = False,
        replies: tuple[wire.Outcome, ...] = (),
    ) -> StepResult:
        """Return outcomes queued, refused or deferred for all recipients of the mail."""
        recipients = mail.handoff.recipients
        if not recipients:
            return StepResult(())
        if mail.handoff.origin == "queue":
            kind: wire.OutcomeKind = "deferred"
            outcomes = same_for_all(recipients, kind, why, step=step, in_doubt=in_doubt)
            return StepResult(_with_replies(outcomes, replies))
        if mail.handoff.may_queue == "no":
            return StepResult(_refused(recipients, why, step, replies))
        intake = wire.Intake(
            handoff=msgspec.structs.replace(mail.handoff, step=step),
            due_in_s=due_in_s,
            in_doubt=in_doubt,
            replies=replies or same_for_all(recipients, "refused", why, step=step),
        )
        stored = await self._queue.store(mail, intake, own_deadline_ns)
        if isinstance(stored, str):
            self._event.warning("Not stored", id=mail.handoff.id, step=step, error=stored)
            return StepResult(_refused(recipients, why, step, replies))
        self._event.info(
            "Stored in the queue",
            id=mail.handoff.id,
            step=step,
            reason=why.text,
            count=len(recipients),
        )
        outcomes = same_for_all(
            recipients, "queued", TAKEN, step=step, keeper=stored.keeper, in_doubt=in_doubt
        )
        return StepResult(outcomes)

    def _say_turn(self, to: Next) -> None:
        """Write one line when the load switch turns."""
        if to.admission.has_turned():
            state = "full" if to.admission.is_full else "cut"
            self._event.warning(
                "Load switch", service=to.service, state=state, limit=to.admission.limit
            )

    async def _call(
        self, mail: Mail, to: Next, own_deadline_ns: int, key: str, on_call: OnCall | None
    ) -> StepResult:
        now_ns = time.monotonic_ns()
        deadline_ns = own_deadline_ns - STEP_NS
        if deadline_ns <= now_ns:
            return await self.give_up(mail, to.step, LATE, own_deadline_ns)
        handoff = msgspec.structs.replace(
            mail.handoff,
            step=to.step,
            deadline_ns=deadline_ns,
            path=(*mail.handoff.path, self._name),
            sent_ns=now_ns,
        )
        calls = _Calls(on_call)
        self._in_flight.add(calls)
        try:
            answer = await self._caller.call(
                to.service,
                handoff,
                mail.parts,
                until_ns=deadline_ns + GRACE_NS,
                key=key,
                on_call=calls.add,
            )
        except NoPeerError:
            return await self.give_up(mail, to.step, BUSY, own_deadline_ns)
        except PeerGoneError:
            return await self._take_over(mail, to, GONE, own_deadline_ns)
        except PeerLateError:
            calls.cancel()
            in_doubt_s = self._delays.in_doubt_s
            return await self.store(mail, to.step, LATE, own_deadline_ns, in_doubt_s, in_doubt=True)
        finally:
            self._in_flight.discard(calls)
        match answer.reply:
            case wire.Outcomes() as reply:
                return await self._checked(mail, to, reply, answer.parts, own_deadline_ns)
            case wire.Expired():
                return await self.give_up(mail, to.step, LATE, own_deadline_ns)
            case _:
                return await self._take_over(mail, to, GONE, own_deadline_ns)

    async def _take_over(self, mail: Mail, to: Next, why: Why, own_deadline_ns: int) -> StepResult:
        self._event.warning(
            "Taking over", id=mail.handoff.id, step=to.step, service=to.service, reason=why.text
        )
        due_in_s = self._delays.takeover_s
        if to.service != LAST:
            # Who the dead one had called may still deliver until its own deadline, which is earlier than ours.
            due_in_s = max(due_in_s, left_s(own_deadline_ns))
        return await self.store(mail, to.step, why, own_deadline_ns, due_in_s)

    async def _checked(
        self, mail: Mail, to: Next, reply: wire.Outcomes, parts: list[bytes], own_deadline_ns: int
    ) -> StepResult:
        variants = tuple(zip(reply.variants, parts, strict=False))
        result = StepResult(reply.outcomes, variants, tuple(reply.took_ms.items()), reply.waited_ms)
        left = missing(mail.handoff.recipients, reply.outcomes)
        if not left and len(variants) == len(reply.variants):
            return result
        self._event.error("An answer lacks recipients", id=mail.handoff.id, service=to.service)
        rest = await self._take_over(mail.with_recipients(left), to, GONE, own_deadline_ns)
        return StepResult(
            (*result.outcomes, *rest.outcomes), result.variants, result.took_ms, result.waited_ms
        )


def _is_held(handoff: wire.Handoff, to: Next) -> bool:
    """Tell whether a mail is to wait in the queue, which knows until when; its scripts run before that."""
    return (
        handoff.origin == "client"
        and to.service != FIRST
        and handoff.envelope.hold_until_s > time.time()
    )


class _Calls:
    """The calls that one hand-over made: several when workers were busy."""

    def __init__(self, on_call: OnCall | None) -> None:
        self._calls: list[Call] = []
        self._on_call = on_call

    def add(self, call: Call) -> None:
        self._calls.append(call)
        if self._on_call is not None:
            self._on_call(call)

    def hurry(self, until_ns: int) -> None:
        for call in self._calls:
            call.hurry(until_ns)

    def cancel(self) -> None:
        for call in self._calls:
            call.cancel()


def _refused(
    recipients: tuple[wire.Recipient, ...], why: Why, step: str, replies: tuple[wire.Outcome, ...]
) -> tuple[wire.Outcome, ...]:
    return _with_replies(same_for_all(recipients, "refused", why, step=step), replies)


def _with_replies(
    outcomes: tuple[wire.Outcome, ...], replies: tuple[wire.Outcome, ...]
) -> tuple[wire.Outcome, ...]:
    """Give each outcome the words of the last reply for its recipient: the true reason."""
    by_number = {r.number: r for r in replies if r.code >= 400}
    return tuple(_worded(o, by_number.get(o.number)) for o in outcomes)


def _worded(outcome: wire.Outcome, reply: wire.Outcome | None) -> wire.Outcome:
    if reply is None:
        return outcome
    return msgspec.structs.replace(
        outcome,
        code=reply.code,
        enhanced=reply.enhanced,
        text=reply.text,
        hop=reply.hop,
        route=reply.route,
    )
