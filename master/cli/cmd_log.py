"""log errors, log reopen, and trace: one mail's way through the processes, from the log."""

import os
import re
import signal
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from columba.common.errors import EX_NOTFOUND, EX_TEMPFAIL, EX_UNAVAILABLE
from columba.master.check.compile import settings_for
from columba.master.cli.output import Row
from columba.master.cli.state import State, fail
from columba.master.log.settings import Settings as LogSettings
from columba.master.rundir import PID_FILE, read_pid

LINE: Final = re.compile(
    r"(?P<stamp>\w{3} [ \d]\d \d\d:\d\d:\d\d\.\d{3}) (?P<process>[^ ]+): (?P<level>[A-Z][a-z]+): (?P<text>.*)"
)

TOOK: Final = re.compile(r'took_ms="?([a-z0-9:. ]+)')
CHAIN: Final = ("sieve", "dkim", "delivery")


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
    """Show the way of one mail through the processes, with times."""
    path = settings_for(LogSettings, state.config).log_path
    if not path.startswith("/") or path.startswith("/dev/"):
        fail(f"log_path is {path}: trace reads a log file", EX_UNAVAILABLE)
    rows = list(_rows(Path(path), id))
    if not rows:
        fail(f"{id} is not in {path}", EX_NOTFOUND)
    state.show(rows, columns=("time", "ms", "process", "text"))


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(log)
    group.add_command(trace)


def _rows(path: Path, id: str) -> Iterator[Row]:
    """Yield a row per line of a mail and its parts, in order of time; ms counts from the first."""
    try:
        with path.open(errors="replace") as lines:
            found = sorted(_lines_of(lines, id), key=lambda pair: pair[0])
    except OSError as error:
        fail(f"{path}: {error.strerror}", EX_UNAVAILABLE)
    for at, match in found:
        since = at - found[0][0]
        level = "" if match["level"] == "Info" else f"{match['level']}: "
        row: Row = {
            "time": match["stamp"],
            "ms": round(since.total_seconds() * 1000),
            "process": match["process"],
            "text": level + _without(match["text"], id),
        }
        yield from _steps(row, match["text"])
        yield row


def _without(text: str, id: str) -> str:
    """Return a line without the id that the reader has asked for; those of parts stay."""
    return re.sub(rf"(?<![^ ])id={re.escape(id)}(?: |$)", "", text).rstrip()


def _steps(row: Row, text: str) -> Iterator[Row]:
    """Yield a row for each step of the chain whose time a line tells: `took_ms="sieve:0.6 dkim:2.6"`."""
    took = TOOK.search(text)
    for step in sorted(took[1].split(), key=_order) if took else ():
        name, _, ms = step.partition(":")
        yield {**row, "process": name, "text": f"its step took {ms} ms"}


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
    return datetime.strptime(f"2000 {stamp}", "%Y %b %d %H:%M:%S.%f")
