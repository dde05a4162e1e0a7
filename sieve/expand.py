"""Run the data and the route stage of one mail: from recipients to leaves.

What the scripts decide becomes leaves and outcomes in branch.py and people.py; here only the order is kept: data
once, then route for each recipient that is not pinned, then again for what redirects added. Lasting effects are only
collected.

Edits of the route stage belong to the message that is stored for later (step dkim and behind it), so a later run of the
stage must not make them again.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from columba.common.errors import StoreError
from columba.common.hop.chain import STEP_NS
from columba.common.hop.mail import Mail, Why, same_for_all
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.sieve import verdict
from columba.sieve.answers import Answers
from columba.sieve.bodies import Bodies
from columba.sieve.branch import (
    FAILED_SCRIPT,
    BranchError,
    Branches,
    Leaf,
    Person,
    branches,
    refused,
)
from columba.sieve.engine import begin
from columba.sieve.inquiring import Hashes
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.people import after_data
from columba.sieve.report import say_failed, say_lines
from columba.sieve.run.actions import Notify, SendReport, Vacation
from columba.sieve.run.machine import Failed, Finished, Script
from columba.sieve.run.message import Message
from columba.sieve.run.result import Entry
from columba.sieve.run.state import Run
from columba.sieve.view import message_inputs, message_view

TOO_MANY = Why(452, "4.5.3", "Too many recipients after aliases")
UNREADABLE = Why(451, "4.3.0", "The mail can't be read, try again later")
BIG = 64 * 1024  # octets of a body from which on it is looked through in a thread
# In these steps the message is as it was before the route stage.
EDITABLE = ("sieve", "route")
_SENDS = (Vacation, Notify, SendReport)


@dataclass(frozen=True, slots=True)
class Todo:
    """Lasting effects of one run (docs/decisions/0010-effects.md).

    number: of the recipient whose outcome they wait for; "" = whichever is accepted first. entries: mails to send,
    which run is needed for. home: where a copy of such a mail is filed.
    """

    number: str
    writes: tuple[wire.Effect, ...] = ()
    entries: tuple[Entry, ...] = ()
    run: Run | None = None
    home: wire.Route | None = None


@dataclass(slots=True)
class Expansion:
    """What is known so far of one mail's recipients."""

    variables: Mapping[str, str]
    leaves: list[Leaf] = field(default_factory=list)
    outcomes: list[wire.Outcome] = field(default_factory=list)
    todo: list[Todo] = field(default_factory=list)


class Expander:
    """Runs the scripts."""

    def __init__(
        self,
        scripts: Mapping[Stage, Script],
        answers: Answers,
        limits: Limits,
        recipients_max: int,
        event: Event,
        host: str,
        bodies: Bodies | None = None,
    ) -> None:
        self._scripts, self._answers, self._limits = scripts, answers, limits
        self._recipients_max, self._event, self._host = recipients_max, event, host
        self._bodies = bodies

    async def expand(self, mail: Mail) -> Expansion:
        """Return leaves and decided outcomes that together cover all recipients of the mail."""
        handoff = mail.handoff
        made = Expansion(handoff.variables)
        try:
            message = await self._message(mail)
        except (StoreError, TimeoutError) as error:
            self._event.error("A body can't be read", id=handoff.id, error=str(error))
            made.outcomes += same_for_all(handoff.recipients, "refused", UNREADABLE, step="sieve")
            return made
        made.todo += [Todo(r.number, r.effects) for r in handoff.recipients if r.effects]
        waiting = [Person(_without_effects(r)) for r in handoff.recipients]
        if handoff.step == "sieve":
            waiting = await self._data(handoff, message, made, waiting)
        while waiting:
            person = waiting.pop(0)
            if person.recipient.pinned and person.recipient.route is not None:
                made.leaves.append(
                    Leaf(person.recipient, person.recipient.sign, message=person.message)
                )
                continue
            became = await self._route(handoff, message, made, person)
            made.leaves += became.leaves
            made.outcomes += became.outcomes
            waiting += became.onward
            if len(made.leaves) + len(waiting) > self._recipients_max:
                self._cut(handoff, made)
                break
        made.leaves = [_unchanged(leaf, message, handoff.step) for leaf in made.leaves]
        return made

    async def _message(self, mail: Mail) -> Message:
        """Return the message; a spooled body is read only for scripts that look at bodies."""
        handoff, stages = mail.handoff, [Stage.ROUTE]
        if handoff.step == "sieve":
            stages.append(Stage.DATA)
        inline = mail.body
        if not handoff.body.spool:
            return message_view(mail.header, handoff.body, lambda: inline)
        if not any(s in self._scripts and self._scripts[s].reads_body for s in stages):
            return message_view(mail.header, handoff.body)
        assert self._bodies is not None
        octets = await self._bodies.read(handoff.body, handoff.deadline_ns)
        return message_view(mail.header, handoff.body, lambda: octets)

    def _hashes(self, handoff: wire.Handoff, message: Message) -> Hashes | None:
        """Return what hashes a body that is spooled, which need not be read for that, or big; None: it is neither."""
        bodies, body = self._bodies, handoff.body
        if bodies is None or (not body.spool and body.size <= BIG):
            return None
        inline = b"" if body.spool else message.read_body()
        return lambda forms: bodies.hashes(body, inline, forms, handoff.deadline_ns)

    async def _data(
        self, handoff: wire.Handoff, message: Message, made: Expansion, people: list[Person]
    ) -> list[Person]:
        """Run the data stage; return the recipients that go on to the route stage."""
        script = self._scripts.get(Stage.DATA)
        if script is None:
            return people
        recipients = [person.recipient for person in people]
        ended = await self._run(script, handoff, message, recipients, made.variables)
        if ended is None:
            made.outcomes += same_for_all(recipients, "refused", FAILED_SCRIPT, step="sieve")
            return []
        finished, run = ended
        made.variables = finished.variables
        if finished.refusal is not None:
            made.outcomes += refused(recipients, finished.refusal)
            return []
        made.todo += _todo("", finished, run)
        became = after_data(recipients, finished, run.message, _age_s(handoff, run))
        made.outcomes += became.outcomes
        return list(became.onward)

    async def _route(
        self, handoff: wire.Handoff, message: Message, made: Expansion, person: Person
    ) -> Branches:
        script, recipient = self._scripts.get(Stage.ROUTE), person.recipient
        message = person.message or message
        if script is None:
            route = wire.Route(kind="mx")
            leaf = Leaf(msgspec.structs.replace(recipient, route=route), recipient.sign, message)
            return Branches(leaves=(leaf,))
        ended = await self._run(script, handoff, message, [recipient], made.variables)
        try:
            if ended is not None:
                finished, run = ended
                became = branches(recipient, finished, run.message, _age_s(handoff, run))
                made.todo += _todo(recipient.number, finished, run)
                return became
        except BranchError as error:
            self._event.warning(
                "Script failed", id=handoff.id, script=script.name, error=str(error)
            )
        return Branches(outcomes=same_for_all([recipient], "refused", FAILED_SCRIPT, step="sieve"))

    async def _run(
        self,
        script: Script,
        handoff: wire.Handoff,
        message: Message,
        recipients: list[wire.Recipient],
        variables: Mapping[str, str],
    ) -> tuple[Finished, Run] | None:
        inputs = message_inputs(
            handoff,
            message,
            script.stage.value,
            recipients,
            variables,
            time.thread_time_ns,
            self._limits,
            self._host,
            time.time(),
            asks_dsn="envelope-dsn" in script.required,
        )
        machine = begin(script, inputs)
        is_big = handoff.body.size > BIG and script.reads_body and self._bodies is not None
        threads = self._bodies.off_loop if is_big and self._bodies is not None else None
        try:
            until_ns = max(0, handoff.deadline_ns - STEP_NS)  # the steps behind need theirs
            hashes = self._hashes(handoff, message)
            outcome = await self._answers.finish(machine, None, until_ns, threads, hashes)
        except TimeoutError:
            self._event.error("No thread for a script", id=handoff.id, script=script.name)
            return None
        say_lines(self._event, machine.run, handoff.id, handoff.client.session)
        if isinstance(outcome, Failed):
            say_failed(self._event, outcome.error, handoff.id, handoff.client.session)
            return None
        return outcome, machine.run

    def _cut(self, handoff: wire.Handoff, made: Expansion) -> None:
        self._event.warning("Too many recipients after aliases", id=handoff.id)
        made.leaves.clear()
        made.todo.clear()
        made.outcomes = list(same_for_all(handoff.recipients, "refused", TOO_MANY, step="sieve"))


def _age_s(handoff: wire.Handoff, run: Run) -> float:
    """Return how long ago the mail arrived."""
    arrived_s = handoff.envelope.arrived_s
    return max(0.0, run.wall_s - arrived_s) if arrived_s else 0.0


def _without_effects(recipient: wire.Recipient) -> wire.Recipient:
    return msgspec.structs.replace(recipient, effects=()) if recipient.effects else recipient


def _unchanged(leaf: Leaf, message: Message, step: wire.StepName) -> Leaf:
    """Return the leaf without a message where that is the one that was handed over."""
    if leaf.message is None or (leaf.message is not message and step in EDITABLE):
        return leaf
    return Leaf(leaf.recipient, leaf.sign)


def _todo(number: str, finished: Finished, run: Run) -> list[Todo]:
    """Return what is to be done once the recipient is accepted."""
    if not finished.result.entries and not finished.effects:
        return []
    entries = tuple(entry for entry in finished.result.entries if isinstance(entry.action, _SENDS))
    if not entries and not finished.effects:
        return []
    home = verdict.route(finished.route) if finished.route is not None else None
    return [
        Todo(
            number,
            verdict.effects(finished.effects),
            entries,
            run if entries else None,
            home,
        )
    ]
