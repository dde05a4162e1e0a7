"""queue list, show, flush, hold, release, delete: each queue process is asked itself."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from columba.common.errors import EX_NOTFOUND, EX_TEMPFAIL, EX_USAGE
from columba.master.cli.client import AskError, ask
from columba.master.cli.output import Cell, Row
from columba.master.cli.state import State, fail

FLUSH: Final = "flush"
TIMES: Final = ("created", "due", "expires", "in_doubt_until")


@click.group()
def queue() -> None:
    """Look at waiting mail and act on it."""


@queue.command("list")
@click.pass_obj
def list_(state: State) -> None:
    """Show what waits, and why."""
    state.show(_ask_all(state, "list"))


@queue.command()
@click.argument("id")
@click.pass_obj
def show(state: State, id: str) -> None:
    """Show one mail: envelope, and the state of each recipient."""
    rows = _ask_all(state, "show", id=id)
    if not rows:
        fail(f"{id} is not in the queue", EX_NOTFOUND)
    state.show(rows if state.form == "json" else [readable(row) for row in rows], "flow")


def _order(name: str, help: str) -> None:
    """Add a command that changes mails: some by their IDs, or with -A all."""

    @queue.command(name, help=help)
    @click.argument("ids", nargs=-1)
    @click.option("-A", "--all", "everything", is_flag=True, help="All mails of the queue.")
    @click.pass_obj
    def run(state: State, ids: tuple[str, ...], everything: bool) -> None:
        asks_all = everything or (name == FLUSH and not ids)  # the one order that does no harm
        if bool(ids) == asks_all:
            fail("name the mails, or say -A for all", EX_USAGE)
        asked: list[dict[str, object]] = [{"all": True}] if asks_all else [{"id": id} for id in ids]
        rows = [row for arguments in asked for row in _ask_all(state, name, **arguments)]
        if state.form:
            state.show(rows)
        else:
            click.echo(f"{name}: {len(rows)} mail{'' if len(rows) == 1 else 's'}", err=True)


for _name, _help in (
    (FLUSH, "Try mails now; without IDs, all of them."),
    ("hold", "Keep mails in the queue until they are released."),
    ("release", "Let held mails go on."),
    ("delete", "Delete mails without telling their senders."),
):
    _order(_name, _help)


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(queue)


def _ask_all(state: State, command: str, **arguments: object) -> list[Row]:
    """Ask every queue process. One that knows nothing of an ID is no error while another does."""
    sockets = _sockets(state.run_dir())
    if not sockets:
        fail("Columba is not running, or its queue is not", EX_TEMPFAIL)
    rows: list[Row] = []
    errors: list[AskError] = []
    for socket in sockets:
        try:
            rows += ask(socket, command, **arguments)
        except AskError as error:
            errors.append(error)
    if errors and not (rows and all(e.exit_code == EX_NOTFOUND for e in errors)):
        fail(str(errors[0]), errors[0].exit_code)
    return rows


def readable(row: Row) -> Row:
    """Return a row with its times, seconds since 1970, as local times."""
    return {key: _local(cell) if key in TIMES else cell for key, cell in row.items()}


def _local(cell: Cell) -> Cell:
    if not isinstance(cell, int | float):
        return cell
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(cell))


def _sockets(run: Path) -> Sequence[Path]:
    return sorted((run / "admin").glob("queue.*"))
