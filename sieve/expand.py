"""Run the data and the route stage of one mail: from recipients to leaves.

What the scripts decide becomes leaves and outcomes in branch.py; here only the order is kept: data once, then route for
each recipient that is not pinned, then again for what redirects added.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from columba.common.hop.mail import Mail, Why, same_for_all
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.sieve.answers import Answers
from columba.sieve.branch import (
    DISCARDED,
    FAILED_SCRIPT,
    BranchError,
    Branches,
    Leaf,
    branches,
    refused,
)
from columba.sieve.engine import begin
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.run.actions import Redirect
from columba.sieve.run.machine import Failed, Finished, Script
from columba.sieve.run.message import Message
from columba.sieve.view import message_inputs, message_view

TOO_MANY = Why(452, "4.5.3", "Too many recipients after aliases")


@dataclass(slots=True)
class Expansion:
    """What is known so far of one mail's recipients."""

    variables: Mapping[str, str]
    leaves: list[Leaf] = field(default_factory=list)
    outcomes: list[wire.Outcome] = field(default_factory=list)


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
    ) -> None:
        self._scripts, self._answers, self._limits = scripts, answers, limits
        self._recipients_max, self._event, self._host = recipients_max, event, host

    async def expand(self, mail: Mail) -> Expansion:
        """Return leaves and decided outcomes that together cover all recipients of the mail."""
        handoff = mail.handoff
        message = message_view(mail.header, handoff.body)
        made = Expansion(handoff.variables)
        waiting = list(handoff.recipients)
        if handoff.step == "sieve":
            waiting = await self._data(handoff, message, made, waiting)
        while waiting:
            recipient = waiting.pop(0)
            if recipient.pinned and recipient.route is not None:
                made.leaves.append(Leaf(recipient))
                continue
            became = await self._route(handoff, message, made, recipient)
            made.leaves += became.leaves
            made.outcomes += became.outcomes
            waiting += became.onward
            if len(made.leaves) + len(waiting) > self._recipients_max:
                self._cut(handoff, made)
                break
        return made

    async def _data(
        self,
        handoff: wire.Handoff,
        message: Message,
        made: Expansion,
        recipients: list[wire.Recipient],
    ) -> list[wire.Recipient]:
        """Run the data stage; return the recipients that go on to the route stage."""
        script = self._scripts.get(Stage.DATA)
        if script is None:
            return recipients
        finished = await self._run(script, handoff, message, recipients, made.variables)
        if finished is None:
            made.outcomes += same_for_all(recipients, "refused", FAILED_SCRIPT, step="sieve")
            return []
        made.variables = finished.variables
        if finished.refusal is not None:
            made.outcomes += refused(recipients, finished.refusal)
            return []
        added = [a.address.encode() for a in finished.actions if isinstance(a, Redirect)]
        if finished.keeps and not added:
            return recipients
        return _redirected(recipients, added, finished, made)

    async def _route(
        self,
        handoff: wire.Handoff,
        message: Message,
        made: Expansion,
        recipient: wire.Recipient,
    ) -> Branches:
        script = self._scripts.get(Stage.ROUTE)
        if script is None:
            route = wire.Route(kind="mx")
            return Branches(leaves=(Leaf(msgspec.structs.replace(recipient, route=route)),))
        finished = await self._run(script, handoff, message, [recipient], made.variables)
        try:
            if finished is not None:
                return branches(recipient, finished)
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
    ) -> Finished | None:
        inputs = message_inputs(
            handoff,
            message,
            script.stage.value,
            recipients,
            variables,
            time.monotonic_ns,
            self._limits,
            self._host,
        )
        outcome = await self._answers.finish(begin(script, inputs))
        if isinstance(outcome, Failed):
            error = outcome.error
            self._event.warning(
                "Script failed", id=handoff.id, script=str(error.position), error=error.text
            )
            return None
        return outcome

    def _cut(self, handoff: wire.Handoff, made: Expansion) -> None:
        self._event.warning("Too many recipients after aliases", id=handoff.id)
        made.leaves.clear()
        made.outcomes = list(same_for_all(handoff.recipients, "refused", TOO_MANY, step="sieve"))


def _redirected(
    recipients: list[wire.Recipient],
    added: list[bytes],
    finished: Finished,
    made: Expansion,
) -> list[wire.Recipient]:
    """Apply the redirects and the missing keep of the data stage, which hold for the whole mail.

    What a redirect adds is numbered below the first recipient: one copy, however many recipients there are.
    """
    first, rest = recipients[0], recipients[1:]
    keeps = finished.keeps or any(a.name in {"keep", "store"} for a in finished.actions)
    if not added:
        if not keeps:
            made.outcomes += same_for_all(recipients, "discarded", DISCARDED, step="sieve")
        return recipients if keeps else []
    original = first.original or first.address
    addresses = [first.address, *added] if keeps else added
    below = [
        msgspec.structs.replace(
            first, number=f"{first.number}.{n}", address=address, original=original
        )
        for n, address in enumerate(addresses, 1)
    ]
    if not keeps:
        made.outcomes += same_for_all(rest, "discarded", DISCARDED, step="sieve")
        rest = []
    return [*below, *rest]
