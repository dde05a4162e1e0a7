"""sieve-filter: stage, data and route scripts, then the next hop.

It answers Stage calls with a Verdict and Handoffs with Outcomes. Mail that leaves goes to dkim-signer, one call
for each choice of signatures; local mail goes to delivery, one call for each destination, all at the same time.
A script that fails lets nothing through: 451, and a line with its place.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Final

import msgspec

from columba.common.clock import left_s
from columba.common.hop.chain import STEP_NS, Chain, Next
from columba.common.hop.destination import destination, is_local
from columba.common.hop.mail import Mail, StepResult, joined, same_for_all, with_splits
from columba.common.hop.parts import make_chain, make_next, make_queue
from columba.common.hop.queue_client import QueueClient
from columba.common.hop.serving import NOT_OURS, Serving
from columba.common.ipc import wire
from columba.common.ipc.server import Answer, Incoming
from columba.common.lookup.open import open_tables
from columba.common.service import Context
from columba.sieve.answers import Answers
from columba.sieve.branch import DISCARDED, FAILED_SCRIPT, Leaf, fenced, same_copy, with_shadows
from columba.sieve.engine import begin
from columba.sieve.expand import Expander, Expansion
from columba.sieve.grouping import group_of
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.report import say_decided
from columba.sieve.run.actions import Reject, Reply
from columba.sieve.run.machine import Failed, Finished
from columba.sieve.scripts import load_scripts
from columba.sieve.settings import Settings
from columba.sieve.sources import make_options, make_sources
from columba.sieve.view import stage_inputs

CLOSE_S: Final = 2.0


class SieveFilter(Serving):
    """The service."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context = context
        settings = context.settings
        self._host = settings.hostname
        self._limits = Limits(
            script_bytes=settings.sieve_max_script_size,
            actions=settings.sieve_max_actions,
            redirects=settings.sieve_max_redirects,
            cpu_ms=int(settings.sieve_max_cpu_time * 1000),
            options=make_options(settings),
        )
        tables = open_tables(
            {name: table.url for name, table in settings.lookup.items()}, context.off_loop
        )
        self._scripts = load_scripts(settings, self._limits, tables)
        sources = make_sources(settings, context.event)
        self._answers = Answers(tables, settings.lookup_timeout, sources)
        self._expander = Expander(
            self._scripts,
            self._answers,
            self._limits,
            settings.recipient_limit_expanded,
            context.event,
            self._host,
        )
        self._queue: QueueClient = make_queue(context)
        self._chain: Chain = make_chain(context, self._queue)
        self._dkim: Next = make_next(context, "dkim", "dkim")
        self._delivery: Next = make_next(context, "delivery", "delivery")

    async def start(self) -> None:
        """Answer calls."""
        self._server = self._context.serve(self._handle, self._on_unsent)

    async def drain(self, until_ns: int) -> None:
        """Finish the calls that run."""
        if self._server is not None:
            self._server.stop_taking()
            await self._server.wait_idle(left_s(until_ns))
            self._server.close()
        await self._queue.close(CLOSE_S)
        self._answers.close()

    async def _handle(self, call: Incoming) -> Answer:
        match call.request:
            case wire.Stage() as stage:
                return await self._stage(stage), []
            case wire.Handoff() as handoff if len(call.parts) == 2:
                mail = Mail(handoff, call.parts[0], call.parts[1])
                return (await self._mail(mail, call)).reply()
            case _:
                return NOT_OURS, []

    def _on_unsent(self, call: Incoming, reply: wire.Reply) -> None:
        if isinstance(call.request, wire.Handoff) and isinstance(reply, wire.Outcomes):
            self._queue.settle(call.request.id, reply.outcomes, call.request.fence)

    async def _stage(self, stage: wire.Stage) -> wire.Verdict:
        script = self._scripts.get(Stage(stage.stage))
        if script is None:
            return wire.Verdict(variables=stage.variables)
        inputs = stage_inputs(stage, time.monotonic_ns, self._limits, self._host)
        found: list[str] = []
        outcome = await self._answers.finish(begin(script, inputs), found)
        if isinstance(outcome, Failed):
            error = outcome.error
            self._context.event.warning(
                "Script failed",
                id=stage.id or None,
                session=stage.client.session,
                script=str(error.position),
                error=error.text,
            )
            why = FAILED_SCRIPT
            return wire.Verdict(action="reply", code=why.code, enhanced=why.enhanced, text=why.text)
        verdict = _verdict(outcome)
        if stage.stage == "rcpt" and verdict.action == "accept" and not stage.client.trusted:
            group = await group_of(self._expander, stage, found)
            verdict = msgspec.structs.replace(verdict, group=group)
        return verdict

    async def _mail(self, mail: Mail, call: Incoming) -> StepResult:
        began_ns = time.monotonic_ns()
        handoff = mail.handoff
        waited = handoff.waited_ms + max(0, began_ns - handoff.sent_ns) / 1e6
        made = await self._expander.expand(mail)
        if handoff.origin == "queue":
            made.outcomes = [_deferred(o, handoff.step) for o in made.outcomes]
        leaves, early = fenced(made.leaves, handoff.fenced)
        first, shadows = same_copy(leaves)
        leaving = msgspec.structs.replace(
            handoff, variables=dict(made.variables), waited_ms=waited, fenced=()
        )
        scripted_ms = (time.monotonic_ns() - began_ns) / 1e6
        result = await self._onward(Mail(leaving, mail.header, mail.body), first, call, made)
        shadowed = with_shadows(result.outcomes, shadows, leaves)
        copies = [outcome for outcome in shadowed if outcome.number in shadows]
        say_decided(self._context.event, handoff, [*made.outcomes, *early, *copies])
        outcomes = with_splits(
            shadowed,
            [leaf.recipient for leaf in leaves],
            mail.handoff.recipients,
        )
        return StepResult(
            (*made.outcomes, *early, *outcomes),
            result.variants,
            (("sieve", scripted_ms), *result.took_ms),
            max(waited, result.waited_ms),
        )

    async def _onward(
        self, mail: Mail, leaves: list[Leaf], call: Incoming, made: Expansion
    ) -> StepResult:
        """Hand the leaves over, each group to its next step, and join what comes back."""
        thrown = [leaf for leaf in leaves if _kind(leaf) == "discard"]
        made.outcomes += same_for_all(
            [leaf.recipient for leaf in thrown], "discarded", DISCARDED, step="sieve"
        )
        groups = _groups([leaf for leaf in leaves if _kind(leaf) != "discard"], mail.handoff.step)
        if len(groups) == 1:
            return await self._hand_over(mail, *groups[0], call)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._hand_over(mail, *each, call)) for each in groups]
        return joined([task.result() for task in tasks])

    async def _hand_over(
        self, mail: Mail, key: str, sign: tuple[wire.Sign, ...], leaves: list[Leaf], call: Incoming
    ) -> StepResult:
        handoff = msgspec.structs.replace(
            mail.handoff, sign=sign, recipients=tuple(leaf.recipient for leaf in leaves)
        )
        to = self._delivery if key else self._dkim
        own_deadline_ns = mail.handoff.deadline_ns
        if to is self._delivery and mail.handoff.step != "delivery":
            own_deadline_ns -= STEP_NS  # delivery's share of the time is the same on both ways
        return await self._chain.hand_over(
            Mail(handoff, mail.header, mail.body),
            to,
            own_deadline_ns=own_deadline_ns,
            key=key,
            on_call=call.forward_cancel,
        )


def _kind(leaf: Leaf) -> str:
    return leaf.recipient.route.kind if leaf.recipient.route is not None else "mx"


def _groups(
    leaves: Iterable[Leaf], step: str
) -> list[tuple[str, tuple[wire.Sign, ...], list[Leaf]]]:
    """Return (destination or "" for dkim-signer, signatures, leaves) of each call to make."""
    groups: dict[tuple[str, tuple[wire.Sign, ...]], list[Leaf]] = {}
    for leaf in leaves:
        recipient = leaf.recipient
        is_direct = step == "delivery" or is_local(recipient.route)
        key = destination(recipient.route, recipient.address) if is_direct else ""
        groups.setdefault((key, () if is_direct else leaf.sign), []).append(leaf)
    return [(key, sign, each) for (key, sign), each in groups.items()]


def _deferred(outcome: wire.Outcome, step: str) -> wire.Outcome:
    """In a queue run, what a client would hear as 4xx is tried again from the same step."""
    if outcome.kind != "refused":
        return outcome
    return msgspec.structs.replace(outcome, kind="deferred", step=step)


def _verdict(finished: Finished) -> wire.Verdict:
    variables = dict(finished.variables)
    match finished.refusal:
        case Reply() as reply:
            return wire.Verdict(
                action="disconnect" if reply.code == 421 else "reply",
                code=reply.code,
                enhanced=reply.enhanced,
                text="\n".join(reply.lines),
                variables=variables,
            )
        case Reject() as reject:
            text = " ".join(reject.text.split()) or "Rejected"
            return wire.Verdict(
                action="reply", code=550, enhanced="5.7.1", text=text, variables=variables
            )
        case None:
            return wire.Verdict(variables=variables)
