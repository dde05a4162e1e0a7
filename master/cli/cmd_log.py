"""log errors, log reopen, and trace: one mail's way through the processes, from the log.

trace also asks the delivery processes what was said to other servers about the mail, and puts it where it belongs.
"""

import os
import re
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from columba.common.errors import EX_NOTFOUND, EX_TEMPFAIL, EX_UNAVAILABLE
from columba.master.cli.client import AskError, ask
from columba.master.cli.output import Row
from columba.master.cli.state import State, fail
from columba.master.log.settings import Settings as LogSettings
from columba.master.rundir import PID_FILE, read_pid

LINE: Final = re.compile(
    r"(?P<stamp>\w{3} [ \d]\d \d\d:\d\d:\d\d\.\d{3}) (?P<process>[^ ]+): (?P<level>[A-Z][a-z]+): (?P<text>.*)"
)

TOOK: Final = re.compile(r'took_ms="?([a-z0-9:. ]+)')
CHAIN: Final = ("sieve", "dkim", "delivery")
ANY_YEAR: Final = 2000  # the log names none; a leap year


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to a mail."""

    at: datetime
    process: str
    text: str


@click.group()
def log() -> None:
    """Look at the log."""


@log.command()
@click.pass_obj
def errors(state: State) -> None:
    """Show the last warnings and errors of all processes."""
    rows = state.ask("admin/log.0", "errors")
    if state.form:
        state.show(rows)
        return
    for row in rows:
        click.echo(f"{row['timestamp']} {row['type']}: {row['prefix']}{row['text']}")


@log.command()
@click.pass_obj
def reopen(state: State) -> None:
    """Have the log file opened anew, after it was rotated."""
    pid = read_pid(state.run_dir() / PID_FILE)
    try:
        if not pid:
            raise ProcessLookupError
        os.kill(pid, signal.SIGUSR1)
    except ProcessLookupError:
        fail("Columba is not running", EX_TEMPFAIL)


@click.command()
@click.argument("id")
@click.pass_obj
def trace(state: State, id: str) -> None:
    """Show the way of one mail through the processes, with times, and what was said to other servers.

    The latter is known for the last mails only (transcript_memory), and while the process that delivered runs.
    """
    path = state.settings_of("log", LogSettings).log_path
    is_file = path.startswith("/") and not path.startswith("/dev/")
    steps = list(_steps_of(Path(path), id)) if is_file else []
    steps += _said_of(state.run_dir(), id)
    if not steps and not is_file:
        fail(f"log_path is {path}: trace reads a log file", EX_UNAVAILABLE)
    if not steps:
        fail(f"{id} is not in {path}", EX_NOTFOUND)
    rows = _in_order(steps)
    state.show(rows, columns=("time", "ms", "process", "text"))


def _in_order(steps: Iterable[Step]) -> list[Row]:
    """Return a row per step, in order of time; ms counts from the first."""
    found = sorted(steps, key=lambda step: step.at)
    return [
        {
            "time": f"{step.at:%b} {step.at.day:2} {step.at:%H:%M:%S}.{step.at.microsecond // 1000:03}",
            "ms": round((step.at - found[0].at).total_seconds() * 1000),
            "process": step.process,
            "text": step.text,
        }
        for step in found
    ]


def _steps_of(path: Path, id: str) -> Iterator[Step]:
    """Yield what the log says of a mail and its parts."""
    try:
        with path.open(errors="replace") as lines:
            found = sorted(_lines_of(lines, id), key=lambda pair: pair[0])
    except OSError as error:
        fail(f"{path}: {error.strerror}", EX_UNAVAILABLE)
    for at, match in found:
        level = "" if match["level"] == "Info" else f"{match['level']}: "
        yield from _steps(at, match["text"])
        yield Step(at, match["process"], level + _without(match["text"], id))


def _said_of(run: Path, id: str) -> list[Step]:
    """Return what the delivery processes said and heard; nothing where none runs."""
    steps: list[Step] = []
    for socket in sorted((run / "admin").glob("delivery.*")):
        with suppress(AskError):
            for row in ask(socket, "transcript", id=id):
                at = datetime.fromtimestamp(float(str(row["at"]))).replace(year=ANY_YEAR)
                steps.append(Step(at, socket.name, f"{row['hop']} {row['text']}"))
    return steps


def _without(text: str, id: str) -> str:
    """Return a line without the id that the reader has asked for; those of parts stay."""
    return re.sub(rf"(?<![^ ])id={re.escape(id)}(?: |$)", "", text).rstrip()


def _steps(at: datetime, text: str) -> Iterator[Step]:
    """Yield each step of the chain whose time a line tells: `took_ms="sieve:0.6 dkim:2.6"`."""
    took = TOOK.search(text)
    for step in sorted(took[1].split(), key=_order) if took else ():
        name, _, ms = step.partition(":")
        yield Step(at, name, f"its step took {ms} ms")


def _order(step: str) -> int:
    name = step.partition(":")[0]
    return CHAIN.index(name) if name in CHAIN else len(CHAIN)


def _lines_of(lines: Iterable[str], id: str) -> Iterator[tuple[datetime, re.Match[str]]]:
    wanted = re.compile(rf"(?<![0-9A-Za-z]){re.escape(id)}(?![0-9A-Za-z])")
    for line in lines:
        match = LINE.match(line) if wanted.search(line) else None
        if match:
            yield _time(match["stamp"]), match


def _time(stamp: str) -> datetime:
    """Return the time of a line; the log names no year, and any leap year serves to compare."""
    return datetime.strptime(f"{ANY_YEAR} {stamp}", "%Y %b %d %H:%M:%S.%f")
