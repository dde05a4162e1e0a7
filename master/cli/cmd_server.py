"""service status, process status, stop."""

import os
import select
from typing import Final

import click

from columba.common.errors import EX_TEMPFAIL
from columba.master.cli.state import State, fail

STOP_MARGIN_S: Final = 10.0


@click.group()
def service() -> None:
    """Look at services."""


@service.command("status")
@click.argument("names", nargs=-1)
@click.pass_obj
def service_status(state: State, names: tuple[str, ...]) -> None:
    """Show each service: processes, limits, throttling."""
    rows = state.ask("master", "service-status")
    state.show([row for row in rows if not names or row["name"] in names])


@click.group()
def process() -> None:
    """Look at processes."""


@process.command("status")
@click.argument("services", nargs=-1)
@click.pass_obj
def process_status(state: State, services: tuple[str, ...]) -> None:
    """Show each process: slot, state, room, age."""
    rows = state.ask("master", "process-status")
    state.show([row for row in rows if not services or row["service"] in services])


@click.command()
@click.pass_obj
def stop(state: State) -> None:
    """Stop the server: no new mail, what is on its way is finished."""
    settings = state.settings()
    pid = int(str(state.ask("master", "stop")[0]["pid"]))
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended, _, _ = select.select([fd], [], [], settings.shutdown_timeout + STOP_MARGIN_S)
    if not ended:
        fail(f"Columba (PID {pid}) did not end in time", EX_TEMPFAIL)
