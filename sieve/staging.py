"""Answer the calls of one stage: of a session, or of the queue's retry and bounce."""

import time
from collections.abc import Mapping, Sequence

import msgspec

from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.sieve.answers import Answers
from columba.sieve.branch import FAILED_SCRIPT
from columba.sieve.commit import Committer
from columba.sieve.engine import begin
from columba.sieve.expand import Expander
from columba.sieve.ext.rfc5183_environment import PREFIX
from columba.sieve.grouping import group_of
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.report import say_failed, say_lines
from columba.sieve.run.machine import Failed, Machine, Script
from columba.sieve.verdict import OF_NO_MAIL, effects, ptr_of, verdict
from columba.sieve.view import stage_inputs


class Stager:
    """Runs the scripts of stages. expander: for the groups of recipients; it must write no lines."""

    def __init__(
        self,
        scripts: Mapping[Stage, Script],
        answers: Answers,
        limits: Limits,
        expander: Expander,
        committer: Committer,
        event: Event,
        host: str,
    ) -> None:
        self._scripts, self._answers, self._limits = scripts, answers, limits
        self._expander, self._committer = expander, committer
        self._event, self._host = event, host

    async def judge(self, call: wire.Stage, parts: Sequence[bytes]) -> wire.Verdict:
        """Return the verdict; a stage without a script accepts."""
        script = self._scripts.get(Stage(call.stage))
        if script is None:
            return wire.Verdict(variables=call.variables)
        header = parts[0] if parts else b""
        inputs = stage_inputs(
            call, time.monotonic_ns, self._limits, self._host, time.time(), header
        )
        machine, found = begin(script, inputs), list[str]()
        outcome = await self._answers.finish(machine, found, call.deadline_ns)
        say_lines(self._event, machine.run, call.id, call.client.session)
        if isinstance(outcome, Failed):
            say_failed(self._event, outcome.error, call.id, call.client.session)
            why = FAILED_SCRIPT
            return wire.Verdict(action="reply", code=why.code, enhanced=why.enhanced, text=why.text)
        said = verdict(call, outcome)
        if call.stage in OF_NO_MAIL and outcome.effects:
            number = f"{call.number}.{call.stage}.{call.facts.get('attempt', '')}"
            await self._committer.write(call.id, number, effects(outcome.effects), call.deadline_ns)
        if call.stage == "rcpt" and said.action == "accept" and not call.client.trusted:
            group = await self._group(call, said, found)
            said = msgspec.structs.replace(said, group=group)
        return _with_name(said, call, machine)

    async def _group(self, call: wire.Stage, said: wire.Verdict, found: list[str]) -> str:
        """Return the group of the recipient, or of those in its place if they have one in common."""
        addresses = (call.recipient,) if said.recipients is None else said.recipients
        names = set()
        for address in addresses:
            asked = msgspec.structs.replace(call, recipient=address)
            names.add(await group_of(self._expander, asked, found))
        return names.pop() if len(names) == 1 else ""


def _with_name(said: wire.Verdict, call: wire.Stage, machine: Machine) -> wire.Verdict:
    """Return the verdict with the client's name, if the script had it looked up."""
    if call.client.ptr or not (state := ptr_of(machine.run.environment.get(PREFIX + "ptr", ""))):
        return said
    name = machine.run.environment.get("remote-host", "")
    return msgspec.structs.replace(said, ptr=state, name=name)
