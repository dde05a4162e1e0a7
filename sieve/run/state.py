"""One run of a script: what it reads and what it changes.

Pure. The clock is an argument: nanoseconds of CPU time, or monotonic ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from columba.sieve.lang.errors import Position
from columba.sieve.lang.limits import Limits
from columba.sieve.run.actions import RouteTo
from columba.sieve.run.effects import Effect
from columba.sieve.run.envelope import Envelope
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.message import Message
from columba.sieve.run.result import Result

if TYPE_CHECKING:
    from columba.common.mailauth.inquiry import Inquiry

Clock = Callable[[], int]
Trace = Callable[[Position, str], None]


TICKS: Final = 64  # commands between two looks at the clock, which costs as much as a command


SAID_MAX: Final = 64  # lines for the log of one run


@dataclass(frozen=True, slots=True)
class Said:
    """A line for the log: level as in the log, static words, fields."""

    level: Literal["debug", "info", "warning", "error"]
    text: str
    fields: tuple[tuple[str, str], ...]
    place: Position


class SuiteHost:
    """What the words of a test file act upon; only the tester has one."""


@dataclass(slots=True)
class Run:
    """The state that compiled code works on. matches: match variables, 0 is the whole value.

    wall_s: seconds since 1970 at the start. globals: variables that included scripts share; included: which
    were. part: the number of the MIME part that a foreverypart looks at; leaving: the name of the loop that
    a break leaves. effects: what is to be written to dicts when the mail is delivered or queued. said: lines for
    the log. received: the message before any edit; inquiry: what is known of its origin.
    """

    message: Message
    envelope: Envelope
    environment: Mapping[str, str]
    variables: dict[str, str]
    result: Result
    limits: Limits
    clock: Clock
    trace: Trace | None = None
    host: SuiteHost | None = None
    received: Message = field(init=False)
    matches: tuple[str, ...] = ()
    until_ns: int = 0
    wall_s: float = 0.0
    ticks: int = 0
    globals: dict[str, str] = field(default_factory=dict)
    included: set[str] = field(default_factory=set)
    part: str | None = None
    leaving: str = ""
    effects: list[Effect] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    inquiry: "Inquiry | None" = None

    def __post_init__(self) -> None:
        """Keep the message as it was received."""
        self.received = self.message

    @property
    def home(self) -> str:
        """Where the user's mailboxes are: the Maildir that the script has routed to so far, "" if none."""
        chosen = next(
            (e.action for e in self.result.entries if isinstance(e.action, RouteTo)), None
        )
        return chosen.path if chosen is not None and chosen.kind == "maildir" else ""

    def say(self, said: Said) -> None:
        """Have a line written to the log; past SAID_MAX there are no more."""
        if len(self.said) < SAID_MAX:
            self.said.append(said)

    def tick(self, place: Position) -> None:
        """End the run if its time is used up; the clock is read at every 64th call."""
        self.ticks += 1
        if self.ticks % TICKS == 0 and self.clock() > self.until_ns:
            raise ScriptFailure("execution exceeded the CPU time limit", place)
