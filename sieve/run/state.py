"""One run of a script: what it reads and what it changes.

Pure. The clock is an argument: nanoseconds of CPU time, or monotonic ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from columba.sieve.lang.errors import Position
from columba.sieve.lang.limits import Limits
from columba.sieve.run.envelope import Envelope
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.message import Message
from columba.sieve.run.result import Result

Clock = Callable[[], int]
Trace = Callable[[Position, str], None]


class SuiteHost:
    """What the words of a test file act upon; only the tester has one."""


@dataclass(slots=True)
class Run:
    """The state that compiled code works on. matches: match variables, 0 is the whole value."""

    message: Message
    envelope: Envelope
    environment: Mapping[str, str]
    variables: dict[str, str]
    result: Result
    limits: Limits
    clock: Clock
    trace: Trace | None = None
    host: SuiteHost | None = None
    matches: tuple[str, ...] = ()
    until_ns: int = 0

    def tick(self, place: Position) -> None:
        """End the run if its time is used up."""
        if self.clock() > self.until_ns:
            raise ScriptFailure("execution exceeded the CPU time limit", place)
