"""cluster status, evacuate, return, takeover: who owns which part of the queue, and orders about it."""

import sys
from typing import Final

import click

from columba.common.errors import EX_NOTFOUND, EX_UNAVAILABLE, EX_USAGE
from columba.master.cli.client import AskError, ask
from columba.master.cli.output import Cell, Row
from columba.master.cli.queue_sockets import sockets
from columba.master.cli.state import State, fail

COLUMNS: Final = ("owner", "state", "holder", "process", "epoch", "age", "records")
EVACUATE: Final = (
    "This node gives its queue away and takes no mail into it until `columbadm cluster return` or a restart. "
    "Meanwhile, mail that can't be delivered at once is refused with 4xx."
)
ALONE: Final = "No other node holds a lease: nobody will deliver what is given away."
TAKEOVER: Final = (
    "If the process that has {owner} still lives, mail that it is delivering at this moment rests in doubt for "
    "a while and may be delivered twice. Its last sign of life was {age} ago."
)


@click.group()
def cluster() -> None:
    """Look after the owners of the queue's parts."""


@cluster.command()
@click.pass_obj
def status(state: State) -> None:
    """Show every owner: who holds it, since when nothing was heard, how many records it has."""
    rows = _status(state)
    state.show(rows if state.form == "json" else [_readable(row) for row in rows], columns=COLUMNS)


@cluster.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def evacuate(state: State, yes: bool) -> None:
    """Give this node's queue to the other nodes, for maintenance."""
    rows = _status(state)
    count = sum(int(str(row["records"] or 0)) for row in rows if row["process"])
    click.echo(f"{EVACUATE}\n{count} records are given away.", err=True)
    if not any(row["state"] == "held" and not row["process"] for row in rows):
        click.echo(ALONE, err=True)
    _confirm(yes)
    _ask_all(state, "leave")  # first, so that none of us takes what another of us gives
    given = _ask_all(state, "evacuate")
    state.show(given, columns=("owner", "records", "in_doubt"))


@cluster.command("return")
@click.pass_obj
def return_(state: State) -> None:
    """Take part again after an evacuation."""
    _ask_all(state, "return")
    state.show([_readable(row) for row in _status(state)], columns=COLUMNS)


@cluster.command()
@click.argument("owner")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def takeover(state: State, owner: str, yes: bool) -> None:
    """Take OWNER's part of the queue now, whether its process lives or not."""
    found = [row for row in _status(state) if row["owner"] == owner]
    if not found:
        fail(f"There is no owner {owner}: columbadm cluster status", EX_NOTFOUND)
    if found[0]["process"]:
        fail(f"{owner} is held by this node already", EX_UNAVAILABLE)
    if found[0]["holder"]:
        click.echo(TAKEOVER.format(owner=owner, age=_span(found[0]["age"])), err=True)
    _confirm(yes)
    try:
        rows = ask(sockets(state.run_dir())[0], "cluster-takeover", owner=owner)
    except AskError as error:
        fail(str(error), error.exit_code)
    state.show([_readable(row) for row in rows], columns=COLUMNS)


def merged(rows: list[Row]) -> list[Row]:
    """Return one row for each owner: its own process knows best, then who has heard of it last."""
    best: dict[str, Row] = {}
    for row in rows:
        known = best.get(str(row["owner"]))
        if known is None or _rank(row) > _rank(known):
            best[str(row["owner"])] = row
    return [best[owner] for owner in sorted(best)]


def _rank(row: Row) -> tuple[bool, int, float]:
    return bool(row["process"]), int(str(row["epoch"] or 0)), -float(str(row["age"] or 0.0))


def _status(state: State) -> list[Row]:
    return merged(_ask_all(state, "status"))


def _ask_all(state: State, order: str) -> list[Row]:
    rows: list[Row] = []
    for socket in sockets(state.run_dir()):
        try:
            rows += ask(socket, f"cluster-{order}")
        except AskError as error:
            fail(str(error), error.exit_code)
    return rows


def _confirm(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        fail("say --yes, or ask from a terminal", EX_USAGE)
    click.confirm("Go on?", abort=True, err=True)


def _readable(row: Row) -> Row:
    return {**row, "age": _span(row["age"])}


def _span(seconds: Cell) -> str:
    return f"{float(str(seconds or 0)):.0f} s"
