"""sieve-filter: stage, data and route scripts, then the next hop.

It answers Stage calls with a Verdict and Handoffs with Outcomes. What the scripts decided is handed on (onward.py);
what they want to be remembered or sent is done when the outcomes are known (commit.py), before they go back. A script
that fails lets nothing through: 451, and a line with its place.
"""

import time
from pathlib import Path
from typing import Final

import msgspec

from columba.common.clock import left_s
from columba.common.hop.mail import Mail, StepResult, with_splits
from columba.common.hop.parts import make_chain, make_next, make_queue
from columba.common.hop.queue_client import QueueClient
from columba.common.hop.serving import NOT_OURS, Serving
from columba.common.ipc import wire
from columba.common.ipc.server import Answer, Incoming
from columba.common.log.event import Event
from columba.common.lookup.open import open_tables
from columba.common.service import Context
from columba.sieve import tuning
from columba.sieve.answers import Answers
from columba.sieve.bodies import Bodies
from columba.sieve.branch import fenced, same_copy, with_shadows
from columba.sieve.commit import Committer
from columba.sieve.expand import Expander
from columba.sieve.files import read_lists
from columba.sieve.mailing import Origin
from columba.sieve.onward import Onward, Steps
from columba.sieve.rehearsal import rehearsed
from columba.sieve.report import say_decided
from columba.sieve.scripts import load_scripts
from columba.sieve.settings import Settings, limits_of
from columba.sieve.sources import make_options, make_sources
from columba.sieve.staging import Stager

CLOSE_S: Final = 2.0
SILENT: Final = Event(lambda _level, _text: None)


class SieveFilter(Serving):
    """The service."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context = context
        settings = context.settings
        self._host = settings.hostname
        options = {**tuning.options(settings), **make_options(settings)}
        self._limits = limits_of(settings, options, read_lists(settings.sieve_list))
        tables = open_tables(settings.lookup, context.off_loop)
        self._scripts = load_scripts(settings, self._limits, tables)
        sources = make_sources(settings, context.event, context.caller)
        self._answers = Answers(tables, settings.lookup_timeout, sources)
        event, spool = context.event, Path(settings.spool_dir)
        bodies = Bodies(context.off_loop, spool, context.name, event)
        most = settings.recipient_limit_expanded
        self._expander = Expander(
            self._scripts, self._answers, self._limits, most, event, self._host, bodies
        )
        self._queue: QueueClient = make_queue(context)
        origin = Origin(settings.hostname, settings.postmaster_address)
        self._committer = Committer(
            sources.dicts, self._queue, origin, settings.dict_timeout, event
        )
        silent = Expander(
            self._scripts, self._answers, self._limits, most, SILENT, self._host, bodies
        )
        self._stager = Stager(
            self._scripts,
            self._answers,
            self._limits,
            silent,
            self._committer,
            event,
            self._host,
        )
        steps = Steps(
            make_chain(context, self._queue),
            self._queue,
            make_next(context, "dkim", "dkim"),
            make_next(context, "delivery", "delivery"),
        )
        self._onward = Onward(steps, bodies, context.spawn, event)

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
                return await self._stager.judge(stage, call.parts), []
            case wire.Handoff() as handoff if len(call.parts) == 2:
                mail = Mail(handoff, call.parts[0], call.parts[1])
                return (await self._mail(mail, call)).reply()
            case _:
                return NOT_OURS, []

    def _on_unsent(self, call: Incoming, reply: wire.Reply) -> None:
        if isinstance(call.request, wire.Handoff) and isinstance(reply, wire.Outcomes):
            self._queue.settle(call.request.id, reply.outcomes, call.request.fence)

    async def _mail(self, mail: Mail, call: Incoming) -> StepResult:
        began_ns = time.monotonic_ns()
        handoff = mail.handoff
        waited = handoff.waited_ms + max(0, began_ns - handoff.sent_ns) / 1e6
        made = await self._expander.expand(mail)
        if handoff.origin == "queue":
            made.outcomes = [_deferred(o, handoff.step) for o in made.outcomes]
        if self._context.settings.dry_run:
            outcomes = rehearsed(self._context.event, handoff, made)
            say_decided(self._context.event, handoff, outcomes)
            return StepResult(outcomes)
        leaves, early = fenced(made.leaves, handoff.fenced)
        first, shadows = same_copy(leaves)
        leaving = msgspec.structs.replace(
            handoff, variables=dict(made.variables), waited_ms=waited, fenced=()
        )
        scripted_ms = (time.monotonic_ns() - began_ns) / 1e6
        result = await self._onward.hand_on(Mail(leaving, mail.header, mail.body), first, call)
        shadowed = with_shadows(result.outcomes, shadows, leaves)
        copies = [outcome for outcome in shadowed if outcome.number in shadows]
        say_decided(self._context.event, handoff, [*made.outcomes, *early, *copies])
        splits = [leaf.recipient for leaf in leaves]
        outcomes = with_splits(shadowed, splits, mail.handoff.recipients)
        outcomes = (*made.outcomes, *early, *outcomes)
        if made.todo:
            outcomes += await self._committer.commit(handoff, made.todo, outcomes)
        return StepResult(
            outcomes,
            result.variants,
            (("sieve", scripted_ms), *result.took_ms),
            max(waited, result.waited_ms),
        )


def _deferred(outcome: wire.Outcome, step: str) -> wire.Outcome:
    """In a queue run, what a client would hear as 4xx is tried again from the same step."""
    if outcome.kind != "refused":
        return outcome
    return msgspec.structs.replace(outcome, kind="deferred", step=step)
