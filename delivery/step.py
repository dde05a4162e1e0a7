"""The delivery step: one handed mail, all its destinations at the same time, one outcome for each recipient.

Before its deadline it answers, always: a try that has not ended its data by then is given up and its recipients
go to the queue; one that has is in doubt, is waited for on the side, and its late result is settled with the queue
(promises §1). It stores nothing itself: Chain decides between queued, refused and deferred.
"""

import asyncio
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from columba.common.clock import Clock, left_s
from columba.common.errors import StoreError
from columba.common.hop.chain import CANCELLED, Chain, Delays
from columba.common.hop.chain import LATE as TOO_LATE
from columba.common.hop.keeper import Keeper
from columba.common.hop.mail import Mail, StepResult, Why, joined, same_for_all
from columba.common.hop.queue_client import QueueClient
from columba.common.ipc import wire
from columba.common.ipc.server import Incoming
from columba.common.ipc.spool import BodySource, open_body
from columba.common.log.event import Event
from columba.common.off_loop import OffLoop
from columba.delivery.attempt import Attempts
from columba.delivery.commitment import Commitment
from columba.delivery.content import Content
from columba.delivery.filing import Filer
from columba.delivery.job import LATE as GIVEN_UP
from columba.delivery.job import UNREADABLE as NOT_READ
from columba.delivery.job import Job, Result
from columba.delivery.outcome import Decision, Detail, Verdict
from columba.delivery.report import FINAL, log_result, outcome_of
from columba.delivery.target import NoTargetError, Target, grouped, target_of

STORE_NS: Final = 1_500_000_000  # what storing may take before the call's deadline
LAST_NS: Final = 5_000_000_000  # with less than this left nobody ends a message (promises §1)
CLEAN_S: Final = 1.0
LATE_MAX: Final = 2000
UNREADABLE: Final = NOT_READ.why
CRASHED: Final = Decision(
    Verdict.TEMPORARY, Why(451, "4.3.0", "A part of the system failed, try again later")
)


@dataclass(slots=True, eq=False)
class Run:
    """The work for recipients that share a fate."""

    recipients: tuple[wire.Recipient, ...]
    commitment: Commitment
    task: "asyncio.Task[list[wire.Outcome]]"

    def cancel(self) -> None:
        """Begin nothing more; what was handed over already goes on."""
        if self.commitment.close():
            self.task.cancel()


@dataclass(frozen=True, slots=True)
class Policy:
    """What does not change from mail to mail."""

    name: str  # of this process
    spool: Path
    mx_port: int
    recipients_max: int
    delays: Delays
    retry_s: float
    detail: Detail = Detail.HOP


class DeliveryStep:
    """Delivers mails; `late` is how many tries are waited for on the side."""

    def __init__(
        self,
        policy: Policy,
        attempts: Attempts,
        filer: Filer,
        *,
        chain: Chain,
        queue: QueueClient,
        keeper: Keeper,
        off_loop: OffLoop,
        clock: Clock,
        event: Event,
    ) -> None:
        self._policy, self._attempts, self._filer = policy, attempts, filer
        self._chain, self._queue, self._keeper = chain, queue, keeper
        self._off_loop, self._clock, self._event = off_loop, clock, event
        self._timeouts: set[asyncio.Timeout] = set()
        self._late: set[asyncio.Task[None]] = set()

    @property
    def late(self) -> int:
        """Return how many tries are waited for after their call was answered."""
        return len(self._late)

    def hurry(self, until_ns: int) -> None:
        """Let no call take longer than until_ns: the process ends."""
        when = asyncio.get_running_loop().time() + left_s(until_ns)
        for timeout in self._timeouts:
            known = timeout.when()
            if known is not None and known > when:
                timeout.reschedule(when)

    async def run(self, mail: Mail, call: Incoming) -> StepResult:
        """Return an outcome for each recipient, at the latest at the call's deadline."""
        began_ns = time.monotonic_ns()
        handoff = mail.handoff
        if call.is_cancelled:
            return StepResult(same_for_all(handoff.recipients, "refused", CANCELLED))
        try:
            body = await self._open(mail)
        except (StoreError, TimeoutError) as error:
            self._event.error("A body can't be read", id=handoff.id, error=str(error))
            return await self._store(mail, UNREADABLE, (), self._policy.retry_s)
        runs = self._begin(mail, Content(mail.header, body))
        for run in runs:
            call.forward_cancel(run)
        outcomes, doubtful = await self._wait(mail, runs, body)
        result = await self._answer(mail, call, outcomes, doubtful)
        took_ms = (time.monotonic_ns() - began_ns) / 1e6
        waited_ms = max(0.0, (began_ns - handoff.sent_ns) / 1e6) if handoff.sent_ns else 0.0
        times = (("delivery", took_ms),)
        return StepResult(result.outcomes, result.variants, times, handoff.waited_ms + waited_ms)

    async def close(self) -> None:
        """Give up the tries on the side; what they were about is stored in doubt."""
        for task in self._late:
            task.cancel()
        if self._late:
            await asyncio.wait(set(self._late), timeout=CLEAN_S)

    async def _open(self, mail: Mail) -> BodySource:
        """Open the body before anything else, so that its creator may unlink it. Raises StoreError."""
        body = mail.handoff.body
        if not body.spool:
            return open_body(self._policy.spool, body, mail.body)
        timeout_s = left_s(mail.handoff.deadline_ns - STORE_NS)
        return await self._off_loop.run(timeout_s, open_body, self._policy.spool, body, b"")

    def _begin(self, mail: Mail, content: Content) -> list[Run]:
        """Start everything that this mail needs."""
        travelling: list[tuple[Target, wire.Recipient]] = []
        runs: list[Run] = []
        for recipient in mail.handoff.recipients:
            kind = recipient.route.kind if recipient.route else "mx"
            if kind == "discard":
                runs.append(self._discard(mail, recipient))
            elif kind == "maildir":
                runs.append(self._file(mail, recipient, content))
            else:
                try:
                    travelling.append((target_of(recipient, self._policy.mx_port), recipient))
                except NoTargetError as error:
                    runs.append(self._no_target(mail, recipient, error))
        for target, recipients in grouped(travelling, self._policy.recipients_max):
            runs.append(self._send(mail, target, recipients, content))
        return runs

    def _discard(self, mail: Mail, recipient: wire.Recipient) -> Run:
        decision = Decision(Verdict.DISCARDED, Why(250, "2.0.0", "Discarded"))
        return self._known(mail, recipient, decision)

    def _no_target(self, mail: Mail, recipient: wire.Recipient, error: NoTargetError) -> Run:
        decision = Decision(Verdict.TEMPORARY, Why(451, "4.3.5", str(error)), alert=True)
        return self._known(mail, recipient, decision)

    def _known(self, mail: Mail, recipient: wire.Recipient, decision: Decision) -> Run:
        async def say() -> list[Result]:
            return [Result(decision)]

        return self._run(mail, (recipient,), self._commitment(mail), say())

    def _file(self, mail: Mail, recipient: wire.Recipient, content: Content) -> Run:
        commitment = self._commitment(mail)
        work = self._filer.file(mail.handoff, recipient, content, commitment)
        return self._run(mail, (recipient,), commitment, work)

    def _send(
        self,
        mail: Mail,
        target: Target,
        recipients: tuple[wire.Recipient, ...],
        content: Content,
    ) -> Run:
        handoff = mail.handoff
        commitment = self._commitment(mail)
        job = Job(
            target=target,
            recipients=recipients,
            envelope=handoff.envelope,
            content=content,
            commitment=commitment,
            deadline_ns=handoff.deadline_ns - STORE_NS,
            is_client=handoff.origin == "client",
            id=handoff.id,
        )
        return self._run(mail, recipients, commitment, self._attempts.run(job))

    def _commitment(self, mail: Mail) -> Commitment:
        handoff = mail.handoff
        return Commitment(self._clock, handoff.deadline_ns - LAST_NS, handoff.not_after_boot_ns)

    def _run(
        self,
        mail: Mail,
        recipients: tuple[wire.Recipient, ...],
        commitment: Commitment,
        work: Coroutine[object, object, list[Result]],
    ) -> Run:
        task = asyncio.ensure_future(self._guarded(mail, recipients, work))
        return Run(recipients, commitment, task)

    async def _guarded(
        self,
        mail: Mail,
        recipients: tuple[wire.Recipient, ...],
        work: Coroutine[object, object, list[Result]],
    ) -> list[wire.Outcome]:
        """One destination's error never ends the others'."""
        began_ns = time.monotonic_ns()
        try:
            results = await work
        except Exception as error:  # the job loop
            self._event.crashed("A delivery crashed", error, id=mail.handoff.id)
            results = [Result(CRASHED)] * len(recipients)
        took_ms = (time.monotonic_ns() - began_ns) / 1e6
        outcomes = []
        for recipient, result in zip(recipients, results, strict=True):
            outcomes.append(self._outcome_of(recipient, result))
            log_result(self._event, mail.handoff, recipient, result, took_ms)
        return outcomes

    def _outcome_of(self, recipient: wire.Recipient, result: Result) -> wire.Outcome:
        return outcome_of(recipient, result, self._policy.name, self._policy.detail)

    async def _wait(
        self, mail: Mail, runs: Sequence[Run], body: BodySource
    ) -> tuple[list[wire.Outcome], list[wire.Recipient]]:
        """Return the outcomes that came in time, and the recipients in doubt. Closes the body at the end."""
        pending = {run.task: run for run in runs}
        try:
            await self._until_cutoff(pending, mail.handoff.deadline_ns - STORE_NS)
        finally:
            given_up = [r for r in runs if not r.task.done() and r.commitment.close()]
            for run in given_up:
                run.task.cancel()
        if given_up:
            await asyncio.wait([run.task for run in given_up], timeout=CLEAN_S)
        outcomes: list[wire.Outcome] = []
        doubtful: list[Run] = []
        for run in runs:
            if run.task.done() and not run.task.cancelled():
                outcomes += run.task.result()
            elif run.commitment.is_entered:
                doubtful.append(run)
            else:
                outcomes += [self._outcome_of(r, Result(GIVEN_UP)) for r in run.recipients]
        self._watch(mail, doubtful, body)
        return outcomes, [r for run in doubtful for r in run.recipients]

    async def _until_cutoff(
        self, tasks: Iterable["asyncio.Task[list[wire.Outcome]]"], cutoff_ns: int
    ) -> None:
        """Wait for all tasks until the cutoff, which hurry() may bring nearer."""
        waiting = set(tasks)
        if not waiting:
            return
        try:
            async with asyncio.timeout(left_s(cutoff_ns)) as timeout:
                self._timeouts.add(timeout)
                await asyncio.wait(waiting)
        except TimeoutError:
            return
        finally:
            self._timeouts.discard(timeout)

    def _watch(self, mail: Mail, doubtful: list[Run], body: BodySource) -> None:
        """Wait on the side for what is in doubt; the body is closed after the last one."""
        if not doubtful:
            body.close()
            return
        if len(self._late) >= LATE_MAX:  # their recipients are stored in doubt all the same
            for run in doubtful:
                run.task.cancel()
            body.close()
            return
        task = asyncio.ensure_future(self._settle_late(mail, doubtful, body))
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _settle_late(self, mail: Mail, doubtful: list[Run], body: BodySource) -> None:
        """Tell the queue each late result as it comes; a session waits 10 minutes at most."""
        try:
            for next_done in asyncio.as_completed([run.task for run in doubtful]):
                self._settle(mail.handoff, tuple(await next_done))
        finally:
            for run in doubtful:
                run.task.cancel()
            body.close()

    def _settle(self, handoff: wire.Handoff, outcomes: tuple[wire.Outcome, ...]) -> None:
        self._event.info("A late answer came", id=handoff.id, count=len(outcomes))
        self._queue.settle(handoff.id, outcomes, handoff.fence)
        lost = tuple((o.original, o.address) for o in outcomes if o.kind != "delivered")
        if handoff.fence and lost and handoff.may_queue == "no":
            self._queue.fence_clear(handoff.fence, lost)  # nothing is in doubt any more

    async def _answer(
        self,
        mail: Mail,
        call: Incoming,
        outcomes: list[wire.Outcome],
        doubtful: list[wire.Recipient],
    ) -> StepResult:
        """Keep what is final, store what is not."""
        final = tuple(o for o in outcomes if o.kind != "refused")
        replies = tuple(o for o in outcomes if o.kind == "refused")
        self._keeper.keep(mail.handoff, tuple(o for o in final if o.kind in FINAL))
        if call.is_cancelled:  # the caller has taken over, or the client has left
            cancelled = same_for_all(doubtful, "refused", CANCELLED)
            return StepResult((*final, *replies, *cancelled))
        if not replies and not doubtful:
            return StepResult(final)
        numbers = {o.number for o in replies}
        again = [r for r in mail.handoff.recipients if r.number in numbers]
        stored, in_doubt = await asyncio.gather(
            self._store(
                mail.with_recipients(again), _first_why(replies), replies, self._due_s(replies)
            ),
            self._store_in_doubt(mail.with_recipients(doubtful)),
        )
        return joined([StepResult(final), stored, in_doubt])

    async def _store(
        self, mail: Mail, why: Why, replies: tuple[wire.Outcome, ...], due_in_s: float
    ) -> StepResult:
        until_ns = mail.handoff.deadline_ns
        return await self._chain.store(mail, "delivery", why, until_ns, due_in_s, replies=replies)

    async def _store_in_doubt(self, mail: Mail) -> StepResult:
        """Store what a hop may have; where that is not allowed, the fence hears of it (promises §2)."""
        handoff = mail.handoff
        if not handoff.recipients:
            return StepResult(())
        if handoff.origin == "client" and handoff.may_queue == "no" and handoff.fence:
            pairs = tuple((r.original or r.address, r.address) for r in handoff.recipients)
            put = wire.FencePut(base=handoff.fence, id=handoff.id, pairs=pairs, in_doubt=True)
            await self._queue.fence_put(put, handoff.deadline_ns)
        rest_s = self._policy.delays.in_doubt_s
        until_ns = handoff.deadline_ns
        return await self._chain.store(mail, "delivery", TOO_LATE, until_ns, rest_s, in_doubt=True)

    def _due_s(self, replies: Sequence[wire.Outcome]) -> float:
        """What was tried rests as after a first try; what had no time is due at once."""
        is_tried = not all(o.untried or o.text == GIVEN_UP.why.text for o in replies)
        return self._policy.retry_s if is_tried else 0.0


def _first_why(replies: Sequence[wire.Outcome]) -> Why:
    if not replies:
        return TOO_LATE
    return Why(replies[0].code, replies[0].enhanced, replies[0].text)
