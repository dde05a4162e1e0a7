"""The state of one test file: what its words read and change.

The message, envelope and result live in the Run of the test script; here is the rest, with the operations
that need both.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Final

from columba.sieve.lang.includes import Loaded, Loader
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.lang.words import Language
from columba.sieve.run.envelope import Envelope, Path, parse_path
from columba.sieve.run.machine import Script
from columba.sieve.run.message import Message, message_of
from columba.sieve.run.result import Result
from columba.sieve.run.state import Run, SuiteHost
from columba.sieve.svtest.answering import Pretended
from columba.sieve.svtest.settings import TESTER_LIMITS
from columba.sieve.svtest.world import World

POSTMASTER: Final = "postmaster@example.com"
HOST: Final = "mx.example.com"
USER: Final = "tester"
DEFAULT_MESSAGE: Final = (
    b"From: sender@example.com\r\nTo: recipient@example.org\r\nSubject: Frop!\r\n\r\nFriep!\r\n"
)
_DEFAULT_SENDER: Final = Path("sender", "example.com")
_DEFAULT_RECIPIENT: Final = Path("recipient", "example.org")


@dataclass(slots=True)
class Case:
    """One test of the file. reason "" and is_over: it passed."""

    name: str
    is_started: bool = False
    is_over: bool = False
    reason: str = ""

    @property
    def is_passed(self) -> bool:
        """Whether it ran to its end without a failure."""
        return self.is_over and not self.reason


@dataclass(slots=True)
class Suite(SuiteHost):
    """The tester's side of one file. base: the current message without edits."""

    path: FilePath
    language: Language
    cases: list[Case]
    environment: Mapping[str, str]
    base: Message = field(default_factory=lambda: message_of(DEFAULT_MESSAGE))
    world: World = field(default_factory=World)
    errors: list[str] = field(default_factory=list)
    slot: Script | None = None
    binaries: dict[str, Script] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    limits: Limits = TESTER_LIMITS
    stage: Stage = Stage.DELIVERY
    pretended: Pretended = field(default_factory=Pretended)
    is_kept: bool = False  # the implicit keep of the current result was carried out
    started: int = 0  # cases so far
    depth: int = 0  # scripts run by test_script_run around the current code
    inner_failure: str = ""  # what a test_fail in such a script said

    @property
    def case(self) -> Case | None:
        """The case that runs, if one does."""
        case = self.cases[self.started - 1] if self.started else None
        return case if case and not case.is_over else None

    def fail(self, reason: str) -> None:
        """Note that the current case, or the script that it runs, failed."""
        if self.depth:
            self.inner_failure = reason or "test_fail"
        elif (case := self.case) is not None:
            case.reason = reason or "failed without a reason"

    def set_message(self, run: Run, octets: bytes, flags: tuple[str, ...] = ()) -> None:
        """Replace the message and derive the envelope from it."""
        self.base = message_of(octets).with_flags(flags)
        run.message = run.received = self.base
        run.envelope = derived_envelope(self.base)

    def set_limits(self, run: Run, limits: Limits) -> None:
        """Let new limits hold, for the test script too."""
        self.limits = limits
        run.limits = limits
        run.result.limit(limits)

    def renew_result(self, run: Run, *, empties_outbox: bool) -> None:
        """Begin an empty result; edits are dropped."""
        run.result = Result(self.limits)
        run.effects.clear()
        run.message = self.base
        self.is_kept = False
        if empties_outbox:
            self.world.outbox.clear()


def loader_of(path: FilePath) -> Loader:
    """Return what finds the scripts that are included from beside a test file."""
    folders = {"personal": path.parent / "included", "global": path.parent / "included-global"}

    def load(location: str, name: str) -> Loaded | None:
        file = folders[location] / f"{name}.sieve"
        try:
            return Loaded(file.read_bytes(), str(file))
        except OSError:
            return None

    return load


def clock_ns() -> int:
    """CPU time of this process."""
    return time.process_time_ns()


def suite_of(run: Run) -> Suite:
    """Return the tester's side of a run."""
    host = run.host
    assert isinstance(host, Suite)
    return host


def derived_envelope(message: Message) -> Envelope:
    """Return the envelope that the header suggests."""
    recipient = _first(message, ("envelope-to", "to")) or _DEFAULT_RECIPIENT
    sender = _first(message, ("return-path", "sender", "from")) or _DEFAULT_SENDER
    return Envelope(sender, (recipient,), recipient, USER)


def with_member(envelope: Envelope, member: str, value: str) -> Envelope:
    """Return the envelope with one member set; an unreadable path is no value."""
    path = parse_path(value)
    match member:
        case "from":
            return replace(envelope, sender=path)
        case "to":
            return replace(envelope, recipients=(path,) if path else (), original=path)
        case "orig_to":
            return replace(envelope, original=path)
        case _:
            return replace(envelope, login=value)


def _first(message: Message, names: tuple[str, ...]) -> Path | None:
    for name in names:
        for box in message.addresses(name):
            path = parse_path(str(Path(box.local, box.domain)))
            if path is not None:
                return path
    return None
