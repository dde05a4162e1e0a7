"""queue list, show, flush, delete: each queue process is asked itself."""

from collections.abc import Sequence
from pathlib import Path

import click

from columba.common.errors import EX_NOTFOUND, EX_TEMPFAIL, EX_USAGE
from columba.master.cli.client import AskError, ask
from columba.master.cli.output import Row
from columba.master.cli.state import State, fail


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
    state.show(rows, "flow")


@queue.command()
@click.argument("ids", nargs=-1)
@click.pass_obj
def flush(state: State, ids: tuple[str, ...]) -> None:
    """Try mails now; without IDs, all of them."""
    state.show(_ask_all(state, "flush", ids=list(ids)), "flow")


@queue.command()
@click.argument("ids", nargs=-1)
@click.option("-A", "--all", "everything", is_flag=True, help="Delete the whole queue.")
@click.pass_obj
def delete(state: State, ids: tuple[str, ...], everything: bool) -> None:
    """Delete mails without telling their senders."""
    if bool(ids) == everything:
        fail("name the mails to delete, or say -A for all", EX_USAGE)
    state.show(_ask_all(state, "delete", ids=list(ids), all=everything), "flow")


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


def _sockets(run: Path) -> Sequence[Path]:
    return sorted((run / "admin").glob("queue.*"))
