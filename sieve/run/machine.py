"""Run a compiled script, step by step.

Pure. The machine yields what the script asks for and takes the answers; it never waits. A run-time error
is a value. CPU time counts only while the machine runs, not while it waits for an answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from columba.sieve.lang.errors import ScriptError, Source
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.run.actions import Action, Reject, Reply, RouteTo
from columba.sieve.run.code import Asked, Code, evaluate
from columba.sieve.run.effects import Effect
from columba.sieve.run.envelope import Envelope
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.message import EMPTY, Message
from columba.sieve.run.requests import Answer, Request
from columba.sieve.run.result import Result
from columba.sieve.run.state import TICKS, Clock, Run, SuiteHost, Trace
from columba.sieve.run.values import clean

_MS: Final = 1_000_000
# Capabilities whose words look at the body.
READ_BODY: Final = frozenset(
    {
        "body",
        "enclose",
        "extracttext",
        "foreverypart",
        "mime",
        "replace",
        "vnd.dovecot.report",
    }
)


@dataclass(frozen=True, slots=True)
class Script:
    """A compiled script. It holds no state: any number of runs may use it."""

    source: Source
    stage: Stage
    code: Code
    required: frozenset[str]
    warnings: tuple[ScriptError, ...] = ()

    @property
    def name(self) -> str:
        """The name it was compiled under."""
        return self.source.name

    @property
    def reads_body(self) -> bool:
        """Whether the script may look at the body."""
        return not READ_BODY.isdisjoint(self.required)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run reads. variables are those of the session; a script without `variables` passes them on.

    clock gives nanoseconds, best of CPU time; wall_s: seconds since 1970. environment: names of items in lower case.
    """

    clock: Clock
    message: Message = EMPTY
    envelope: Envelope = field(default_factory=Envelope)
    environment: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    result: Result | None = None  # of an earlier script of the same message
    trace: Trace | None = None
    host: SuiteHost | None = None
    wall_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Finished:
    """The script came to its end. All texts of its result are UTF-8, whatever octets went in."""

    result: Result
    variables: Mapping[str, str]
    effects: tuple[Effect, ...] = ()

    @property
    def actions(self) -> tuple[Action, ...]:
        """The explicit actions in their order."""
        return self.result.actions

    @property
    def keeps(self) -> bool:
        """Whether the implicit keep is in force."""
        return self.result.keeps_implicitly

    @property
    def refusal(self) -> Reject | Reply | None:
        """The reject, ereject or reply, if there is one."""
        return next((a for a in self.actions if isinstance(a, Reject | Reply)), None)

    @property
    def route(self) -> RouteTo | None:
        """Where kept mail goes, if the script said so."""
        return next((a for a in self.actions if isinstance(a, RouteTo)), None)


@dataclass(frozen=True, slots=True)
class Failed:
    """A run-time error: nothing of the result is to be done; the answer is temporary (451)."""

    error: ScriptError


Outcome = Finished | Failed


class Machine:
    """One run: `step()` starts it, `step(answer)` goes on after a Request, until it gives an Outcome."""

    def __init__(self, script: Script, inputs: Inputs) -> None:
        self._script = script
        self._clock = inputs.clock
        self._left_ns = inputs.limits.cpu_ms * _MS
        self._asked = 0
        self._generator: Asked | None = None
        self.run: Final = Run(
            message=inputs.message,
            envelope=inputs.envelope,
            environment=inputs.environment,
            variables=dict(inputs.variables),
            result=inputs.result or Result(inputs.limits),
            limits=inputs.limits,
            clock=inputs.clock,
            trace=inputs.trace,
            host=inputs.host,
            wall_s=inputs.wall_s,
        )

    def step(self, answer: Answer | None = None) -> Request | Outcome:
        """Run up to the next request or the end. An answer is given exactly when a request was made."""
        started = self._clock()
        self.run.until_ns = started + self._left_ns
        try:
            request = self._advance(answer)
        except ScriptFailure as failure:
            is_ours = failure.place.file == self._script.name
            source = self._script.source if is_ours else None
            return Failed(ScriptError(failure.text, failure.place, source))
        if request is None:
            variables = {name: clean(value) for name, value in self.run.variables.items()}
            return Finished(self.run.result, variables, tuple(self.run.effects))
        self._left_ns -= self._clock() - started
        if self._left_ns < 0:
            self.run.ticks = TICKS - 1  # the next command finds it out
        return request

    def _advance(self, answer: Answer | None) -> Request | None:
        if self._generator is None:
            code = self._script.code
            if code.plain is not None:
                code.plain(self.run)
                return None
            self._generator = evaluate(code, self.run)
        self._asked += 1
        if self._asked > self.run.limits.requests:
            place = self._script.source.position(0)
            raise ScriptFailure(f"more than {self.run.limits.requests} look-ups", place)
        try:
            return next(self._generator) if answer is None else self._generator.send(answer)
        except StopIteration:
            return None
