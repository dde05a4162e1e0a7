"""Ask every queue process of the running server, read the words that name mails, show the times of rows."""

import base64
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from columba.common.errors import EX_NOTFOUND, EX_TEMPFAIL, EX_USAGE
from columba.common.idforms import is_id
from columba.master.cli.client import AskError, ask_pages
from columba.master.cli.output import Cell, Row
from columba.master.cli.state import State, fail
from columba.queue.query import FIELDS, QueryError, parse

QUERY_HELP: Final = """\b
QUERY names mails by their ids, or by comparisons (quote it for the shell):
  'sender=*@example.org AND age>1h AND NOT state=held'
Fields: """
TIMES: Final = ("created", "due", "expires", "in_doubt_until", "last_try", "until", "made")
BAR_FROM: Final = 200  # mails from which on work shows how far it is


def fields_help() -> str:
    """Return the part of a command's help that explains queries."""
    names = list(FIELDS)
    lines = [", ".join(names[at : at + 9]) for at in range(0, len(names), 9)]
    return QUERY_HELP + "\n  ".join(lines)


def query_of(words: Sequence[str], everything: bool = True) -> str:
    """Return the query of a command line; ends the program when it can't be read, or names nothing but must."""
    if words and all(is_id(word.partition(".")[0].upper()) for word in words):
        text = " OR ".join(word.upper() for word in words)
    else:
        text = " ".join(words)
    if not text.strip() and not everything:
        fail("name the mails, or say -A for all", EX_USAGE)
    try:
        parse(text)
    except QueryError as error:
        fail(str(error), error.exit_code)
    return text


def sockets(run: Path) -> Sequence[Path]:
    """Return the sockets of the queue processes; ends the program when there is none."""
    found = sorted((run / "admin").glob("queue.*"))
    if not found:
        fail("Columba is not running, or its queue is not", EX_TEMPFAIL)
    return found


def each_page(state: State, command: str, **arguments: object) -> Iterator[list[Row]]:
    """Yield what every queue process answers. One that knows nothing of an id is no error while another does."""
    errors: list[AskError] = []
    answered = 0
    for socket in sockets(state.run_dir()):
        try:
            yield from ask_pages(socket, command, **arguments)
            answered += 1
        except AskError as error:
            errors.append(error)
    missing = all(error.exit_code == EX_NOTFOUND for error in errors)
    if errors and not (answered and missing):
        fail(str(errors[0]), errors[0].exit_code)


def each_row(state: State, command: str, **arguments: object) -> Iterator[Row]:
    """Yield the rows of what every queue process answers."""
    for rows in each_page(state, command, **arguments):
        yield from rows


def octets_of(rows: Iterable[Row]) -> Iterator[tuple[Row, bytes]]:
    """Yield the rows of whole mails with their octets, whose lines end in LF; a row with "handoff" begins a mail."""
    held: bytes = b""
    last: Row = {}
    for row in rows:
        if held and "handoff" in row:
            yield last, held
            held = b""
        octets = held + base64.b64decode(str(row["chunk"]))
        held, last = octets[-1:] if octets.endswith(b"\r") else b"", row
        yield row, octets[: len(octets) - len(held)].replace(b"\r\n", b"\n")
    if held:
        yield last, held


def counted(state: State, query: str) -> int:
    """Return how many mails a query names."""
    return sum(int(str(row["messages"])) for row in each_row(state, "count", query=query))


@contextmanager
def progress(what: str, length: int, least: int) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how far long work is: give what is told of each step. Below `least` nothing is shown."""
    if length < least or not sys.stderr.isatty():
        yield _ignore
        return
    with click.progressbar(length=length, label=what, file=sys.stderr) as bar:
        yield bar.update


def confirm(what: str, count: int, yes: bool) -> None:
    """Show how many mails an order is about, and ask; ends the program when it is not wanted."""
    click.echo(f"{what}: {count} mail{'' if count == 1 else 's'}", err=True)
    if yes or not count:
        return
    if not sys.stdin.isatty():
        fail("say --yes to do this without being asked", EX_USAGE)
    click.confirm("Go on?", abort=True, err=True)


def readable(row: Row) -> Row:
    """Return a row with its times, seconds since 1970, as local times."""
    return {key: _local(cell) if key in TIMES else cell for key, cell in row.items()}


def _local(cell: Cell) -> Cell:
    if not isinstance(cell, int | float):
        return cell
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(cell))


def _ignore(_steps: int) -> None:
    return
