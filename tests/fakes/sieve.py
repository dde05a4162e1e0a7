"""Compile and run scripts in tests: one call each."""

from collections.abc import Mapping

from columba.sieve.engine import (
    CompileErrors,
    Failed,
    Finished,
    Inputs,
    Outcome,
    Script,
    begin,
    compile_script,
)
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.run.actions import Action
from columba.sieve.run.envelope import Envelope, parse_path
from columba.sieve.run.message import message_of
from columba.sieve.run.requests import Answer, Found, Inquire, Lookup, Missing, Unavailable
from tests.fakes.zone import Zone

MESSAGE = (
    b"From: Ann Example <ann@a.example>\r\n"
    b"To: team+red@b.example, Bob <bob@c.example>\r\n"
    b"Subject: [ops] disk full\r\n"
    b"\r\n"
    b"See graph.\r\n"
)
Tables = Mapping[str, Mapping[str, str] | None]


def compiled(text: str, stage: Stage = Stage.DELIVERY, limits: Limits | None = None) -> Script:
    """Compile what must be right."""
    script = compile_script(text.encode(), "test", stage, limits=limits or Limits())
    assert isinstance(script, Script), script.render()
    return script


def errors_of(text: str | bytes, stage: Stage = Stage.DELIVERY) -> tuple[str, ...]:
    """Compile what must be wrong; return the texts without the closing entry."""
    octets = text.encode() if isinstance(text, str) else text
    result = compile_script(octets, "test", stage)
    assert isinstance(result, CompileErrors)
    return result.texts[:-1]


def envelope_of(sender: str, *recipients: str, login: str = "") -> Envelope:
    """Make an envelope from paths as SMTP writes them; unreadable recipients are left out."""
    paths = [parse_path(recipient) for recipient in recipients]
    return Envelope(parse_path(sender), tuple(p for p in paths if p is not None), login=login)


class Clock:
    """Nanoseconds that grow by a step with each look."""

    def __init__(self, step_ns: int = 1) -> None:
        self.now_ns = 0
        self.step_ns = step_ns

    def __call__(self) -> int:
        """Return the time."""
        self.now_ns += self.step_ns
        return self.now_ns


def answer_of(request: Lookup, tables: Tables) -> Answer:
    """Answer from dictionaries; a table that is None does not answer."""
    table = tables.get(request.table)
    if table is None:
        return Unavailable("it is down")
    value = table.get(request.key)
    return Missing() if value is None else Found(value)


def outcome_of(
    script: Script,
    *,
    message: bytes = MESSAGE,
    envelope: Envelope | None = None,
    environment: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    tables: Tables | None = None,
    limits: Limits | None = None,
    step_ns: int = 1,
    zone: Zone | None = None,
) -> Outcome:
    """Run a script to its end; checks of the mail's origin are answered from the zone."""
    inputs = Inputs(
        clock=Clock(step_ns),
        message=message_of(message),
        envelope=envelope or envelope_of("<bounce@a.example>", "<team+red@b.example>"),
        environment=environment or {},
        variables=variables or {},
        limits=limits or Limits(),
    )
    machine = begin(script, inputs)
    event = machine.step()
    while not isinstance(event, Finished | Failed):
        if isinstance(event, Inquire):
            (zone or Zone()).drive(event.check)
            event = machine.step(Found(event.name))
            continue
        assert isinstance(event, Lookup), event
        event = machine.step(answer_of(event, tables or {}))
    return event


def run_text(text: str, message: bytes = MESSAGE, envelope: Envelope | None = None) -> Finished:
    """Compile and run a plain script that must come to its end."""
    outcome = outcome_of(compiled(text), message=message, envelope=envelope)
    assert isinstance(outcome, Finished), outcome
    return outcome


def failure_of(text: str, limits: Limits | None = None, step_ns: int = 1) -> str:
    """Compile and run a plain script that must fail; return the error's text."""
    outcome = outcome_of(compiled(text), limits=limits, step_ns=step_ns)
    assert isinstance(outcome, Failed), outcome
    return outcome.error.text


def actions_of(text: str, message: bytes = MESSAGE) -> tuple[Action, ...]:
    """Return the explicit actions of a plain script."""
    return run_text(text, message).actions


def is_true(test: str, *require: str, message: bytes = MESSAGE) -> bool:
    """Evaluate one test."""
    names = ", ".join(f'"{name}"' for name in ("fileinto", *require))
    text = f'require [{names}];\nif {test} {{ fileinto "yes"; }}'
    return bool(actions_of(text, message))
