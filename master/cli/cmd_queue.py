"""queue list, summary, show, cat: look at waiting mail. Each queue process is asked itself."""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Final

import click

from columba.common.errors import EX_NOTFOUND
from columba.master.cli import cmd_queue_orders, cmd_queue_transfer
from columba.master.cli.cmd_cluster import merged
from columba.master.cli.later import Later, LaterGroup
from columba.master.cli.output import Cell, Row, render_pages
from columba.master.cli.queue_sockets import (
    each_page,
    each_row,
    fields_help,
    octets_of,
    query_of,
    readable,
)
from columba.master.cli.state import State, fail

UNOWNED: Final = ("stale", "free")  # states of leases
UNOWNED_HINT: Final = (
    "owners without a process, whose mails are not shown (columbadm cluster status)"
)


@click.group(cls=LaterGroup)
def queue() -> None:
    """Look at waiting mail and act on it."""


@queue.command("list", help="Show what waits, and why.\n\n" + fields_help())
@click.argument("query", nargs=-1)
@click.option("-n", "--max", "most", type=click.IntRange(1), help="Show so many mails at most.")
@click.pass_obj
def list_(state: State, query: tuple[str, ...], most: int | None) -> None:
    """Show what waits, and why."""
    pages = each_page(state, "list", query=query_of(query))
    if most is not None:
        rows = (row for page in pages for row in page)
        pages = iter([list(islice(rows, most))])
    is_empty = True
    for text in render_pages(pages, state.form or "table", titles=state.titles):
        is_empty = is_empty and not text
        click.echo(text, nl=False)
    if is_empty and state.form is None:
        click.echo("No mail is meant by that" if query else "The queue is empty", err=True)
    _say_unowned(state)


@queue.command()
@click.pass_obj
def summary(state: State) -> None:
    """Count what waits by destination and by age: each column has what is younger than its title."""
    lines: dict[str, dict[str, Cell]] = {}
    for row in each_row(state, "summary"):
        line = lines.setdefault(str(row["destination"]), {"destination": row["destination"]})
        for key, cell in row.items():
            if isinstance(cell, int):
                line[key] = int(str(line.get(key, 0))) + cell
    total = [line for name, line in lines.items() if name == "TOTAL"]
    rest = [line for name, line in lines.items() if name != "TOTAL"]
    rest.sort(key=lambda line: (-int(str(line["messages"])), str(line["destination"])))
    state.show([*total, *rest])
    _say_unowned(state)


@queue.command(help="Show mails: envelope, and the state of each recipient.\n\n" + fields_help())
@click.argument("query", nargs=-1, required=True)
@click.pass_obj
def show(state: State, query: tuple[str, ...]) -> None:
    """Show mails: envelope, and the state of each recipient."""
    rows = list(each_row(state, "show", query=query_of(query)))
    if not rows:
        fail(f"{' '.join(query)} is not in the queue", EX_NOTFOUND)
    state.show(rows if state.form == "json" else [readable(row) for row in rows], "flow")


@queue.command()
@click.argument("id")
@click.option("-h", "--header", "part", flag_value="header", help="The header alone.")
@click.option("-b", "--body", "part", flag_value="body", help="The body alone.")
@click.pass_obj
def cat(state: State, id: str, part: str | None) -> None:
    """Write a mail, as it is at its next step, to standard output."""
    out = sys.stdout.buffer
    found = False
    for octets in pieces(each_row(state, "cat", query=query_of([id])), part or ""):
        found = True
        out.write(octets)
    if not found:
        fail(f"{id} is not in the queue", EX_NOTFOUND)
    out.flush()


def pieces(rows: Iterator[Row], part: str) -> Iterator[bytes]:
    """Yield the octets of a mail, its header, or its body; lines end in LF as files here have them."""
    is_begun = False
    for row, octets in octets_of(rows):
        is_header = "handoff" in row
        if is_header and is_begun:
            return  # another part of the same mail
        is_begun = True
        if part != ("body" if is_header else "header"):
            yield octets


def _say_unowned(state: State) -> None:
    """Tell people that there are mails which nobody looks after at this moment, and so nobody shows."""
    if state.form is not None:
        return
    owners = merged(list(each_row(state, "cluster-status")))
    count = sum(row["state"] in UNOWNED for row in owners)
    if count:
        click.echo(f"{UNOWNED_HINT}: {count}", err=True)


for each in (
    *cmd_queue_orders.COMMANDS,
    *cmd_queue_transfer.COMMANDS,
    Later(
        "store-check",
        "cmd_store",
        "Try out whether the queue's store keeps what the queue rests on.",
        "store_check",
    ),
    Later("key", "cmd_store", "Make the keys that queued mail is encrypted with."),
):
    queue.add_command(each)
