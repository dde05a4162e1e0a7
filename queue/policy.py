"""Ask retry.sieve and bounce.sieve, where there are such scripts; else, or when one fails, the defaults hold.

A stage without a script costs nothing. A script that fails, or that nobody answers for in time, is a warning: the
mail goes on by the defaults, so that nothing is lost by a mistake in it.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from columba.common.clock import Clock
from columba.common.errors import PeerError
from columba.common.ipc import wire
from columba.common.ipc.client import Answer
from columba.common.log.event import Event
from columba.queue import message
from columba.queue.bounce import PLAIN, Form
from columba.queue.outcome import expiry_s
from columba.queue.record import Recipient, Record
from columba.queue.reports import Due
from columba.queue.rows import Moment, facts_of
from columba.queue.rules import Rules
from columba.queue.shelf import Shelved

Decisions = dict[str, wire.Verdict]  # by the recipient's number
_ASK_NS: Final = 10_000_000_000
_AT_ONCE: Final = 10
_ASKED: Final = 200  # recipients of one mail that a script is asked about; others: by the defaults


class AskStage(Protocol):
    """Calls sieve-filter for a stage."""

    async def __call__(self, stage: wire.Stage, parts: Sequence[bytes], until_ns: int) -> Answer:
        """Return its answer; raise NoPeerError, PeerGoneError, PeerLateError."""
        ...


class Policy:
    """The scripts of the queue. retries, bounces: whether there is one."""

    def __init__(
        self,
        ask: AskStage,
        clock: Clock,
        event: Event,
        *,
        retries: bool,
        bounces: bool,
        rules: Rules | None = None,
    ) -> None:
        self._ask, self._clock, self._event = ask, clock, event
        self._retries, self._bounces, self._rules = retries, bounces, rules

    def until_s(self, shelved: Shelved) -> float:
        """Return until when an administrator's rule keeps a mail from being tried; 0: none does."""
        if self._rules is None:
            return 0.0
        moment = Moment(self._clock.wall_s(), is_flying=False)
        return self._rules.until_s(lambda: facts_of(shelved, moment))

    async def decide(self, record: Record, numbers: Sequence[str]) -> Decisions:
        """Return what retry.sieve says of these recipients, whose try failed; record is as the defaults have it."""
        if not self._retries:
            return {}
        people = [person for person in record.active if person.number in numbers][:_ASKED]
        room = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._decide(record, person, room)) for person in people]
        return {
            person.number: verdict
            for person, task in zip(people, tasks, strict=True)
            if (verdict := task.result()) is not None
        }

    async def form(self, record: Record, due: Due) -> Form:
        """Return what bounce.sieve says of a report."""
        if not self._bounces:
            return PLAIN
        facts = {**self._facts(record, due.people[0]), "kind": due.action.value}
        verdict = await self._verdict("bounce", record, due.people[0], facts)
        if verdict is None:
            return PLAIN
        return Form(
            returns=verdict.dsn,
            text=verdict.dsn_text,
            copy=verdict.dsn_copy,
            hold=verdict.wish.hold if verdict.wish is not None else "",
        )

    async def _decide(
        self, record: Record, person: Recipient, room: asyncio.Semaphore
    ) -> wire.Verdict | None:
        async with room:
            return await self._verdict("retry", record, person, self._facts(record, person))

    async def _verdict(
        self, stage: str, record: Record, person: Recipient, facts: dict[str, str]
    ) -> wire.Verdict | None:
        until_ns = self._clock.monotonic_ns() + _ASK_NS
        spec = message.from_map({**person.spec, "number": person.number}, wire.Recipient)
        request = wire.Stage(
            stage="retry" if stage == "retry" else "bounce",
            deadline_ns=until_ns,
            client=message.from_map(record.client, wire.Client),
            id=record.id,
            sender=message.from_map(record.envelope, wire.Envelope).sender,
            recipient=spec.address,
            original=spec.original,
            number=person.number,
            variables=record.variables,
            facts=facts,
        )
        try:
            answer = await self._ask(request, [record.header], until_ns)
        except PeerError as error:
            self._event.warning("No verdict", stage=stage, id=record.id, error=str(error))
            return None
        verdict = answer.reply
        if not isinstance(verdict, wire.Verdict) or verdict.action != "accept":
            self._event.warning("No verdict: the defaults hold", stage=stage, id=record.id)
            return None
        return verdict

    def _facts(self, record: Record, person: Recipient) -> dict[str, str]:
        now_s, last = self._clock.wall_s(), message.reply_of(person)
        return {
            "attempt": str(record.attempts),
            "age": str(max(0, round(now_s - record.created_s))),
            "code": str(last.code),
            "enhanced": last.enhanced,
            "text": last.text,
            "hop": last.hop,
            "route": last.route,
            "next": str(max(0, round(record.due_s - now_s))),
            "expires": str(max(0, round(expiry_s(record, person) - now_s))),
        }
