"""Say what a script would do with a message, action by action."""

import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath

from columba.common.ipc.wire import Client
from columba.sieve.engine import compile_script
from columba.sieve.lang.errors import CompileErrors, Position
from columba.sieve.lang.includes import loader_beside
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.run.actions import Action
from columba.sieve.run.effects import Effect
from columba.sieve.run.envelope import Envelope, parse_path
from columba.sieve.run.machine import Failed, Finished, Inputs, Machine
from columba.sieve.run.message import message_of
from columba.sieve.svtest.answering import Pretended
from columba.sieve.svtest.scripts import drive
from columba.sieve.svtest.suite import HOST, clock_ns, derived_envelope
from columba.sieve.svtest.world import World
from columba.sieve.view import environment


@dataclass(frozen=True, slots=True)
class Question:
    """What to show. sender and recipient None: taken from the message. tables: name to key to value.

    settings: what else is pretended, under the names that test files use (answering.py).
    """

    script: FilePath
    message: FilePath | None
    stage: Stage
    is_traced: bool = False
    sender: str | None = None
    recipient: str | None = None
    client: Client = dataclasses.field(default_factory=Client)
    tables: Mapping[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shown:
    """Lines for stdout and stderr, and whether the script came to its end."""

    lines: tuple[str, ...]
    errors: tuple[str, ...] = ()


def show(question: Question) -> Shown:
    """Compile and run the script. Raises OSError if a file can't be read."""
    script = compile_script(
        question.script.read_bytes(),
        str(question.script),
        question.stage,
        is_traced=question.is_traced,
        loader=loader_beside(str(question.script.absolute()), _read),
    )
    if isinstance(script, CompileErrors):
        return Shown((), (script.render(),))
    octets = question.message.read_bytes() if question.message else b""
    message = message_of(octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    lines: list[str] = []

    def trace(place: Position, text: str) -> None:
        lines.append(f"  {place.line:4}: {text}")

    inputs = Inputs(
        clock=clock_ns,
        message=message,
        envelope=_envelope(question, derived_envelope(message)),
        environment=environment(question.client, HOST, stage=question.stage.value),
        limits=Limits(options=question.settings),
        trace=trace,
        wall_s=time.time(),
    )
    pretended = Pretended()
    pretended.tell(question.settings, question.tables)
    outcome = drive(Machine(script, inputs), pretended, World())
    if isinstance(outcome, Failed):
        return Shown(tuple(lines), (outcome.error.render(),))
    return Shown((*lines, *_result_lines(outcome, question.stage)))


def _read(path: str) -> bytes | None:
    """Return an included script, None if it can't be read."""
    try:
        return FilePath(path).read_bytes()
    except (OSError, ValueError):
        return None


def _envelope(question: Question, derived: Envelope) -> Envelope:
    sender = derived.sender if question.sender is None else parse_path(question.sender)
    recipients = derived.recipients
    if question.recipient is not None:
        path = parse_path(question.recipient)
        recipients = (path,) if path else ()
    return Envelope(
        sender, recipients, recipients[0] if recipients else None, question.client.login
    )


def _result_lines(outcome: Finished, stage: Stage) -> Iterator[str]:
    for number, entry in enumerate(outcome.result.entries, 1):
        yield f"{number}. {describe(entry.action)}   ({entry.place})"
    if outcome.refusal is None and outcome.keeps:
        yield "the message is kept" if _has_message(stage) else "accepted"
    for effect in outcome.effects:
        yield f"   when it is accepted: {_described(effect)}"
    for name, value in sorted(outcome.variables.items()):
        yield f"   ${{{name}}} = {value!a}"


def _described(effect: Effect) -> str:
    """Return a lasting effect in one line."""
    where = f"dict {effect.dict or 'of marks'}, {effect.key!a}"
    life = f", for {effect.expires_s} s" if effect.expires_s else ""
    match effect.kind:
        case "set":
            return f"{where} is set to {effect.value!a}{life}"
        case "add":
            return f"{where} grows by {effect.amount}{life}"
        case "unset":
            return f"{where} is removed"


def _has_message(stage: Stage) -> bool:
    return stage in (Stage.DATA, Stage.ROUTE, Stage.RETRY, Stage.BOUNCE, Stage.DELIVERY)


def describe(action: Action) -> str:
    """Return an action in one line: its name and what is set in it."""
    parts = []
    for known in dataclasses.fields(action):
        value = getattr(action, known.name)
        if value != known.default and value not in ("", 0, False, ()):
            parts.append(f"{known.name}={value!a}")
    return " ".join([action.name, *parts])
