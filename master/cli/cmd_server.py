"""service status, process status, stop, reload."""

import os
import time
from pathlib import Path
from typing import Final

import click

from columba.common.errors import EX_TEMPFAIL, ConfigError
from columba.master.check.compile import compile_config
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
    row = state.ask("master", "stop")[0]
    pid = int(str(row["pid"]))
    end = time.monotonic() + settings.shutdown_timeout + STOP_MARGIN_S
    while _is_alive(pid):
        if time.monotonic() > end:
            fail(f"Columba (PID {pid}) did not end in time", EX_TEMPFAIL)
        time.sleep(0.05)


@click.command(short_help="Read the configuration anew.")
@click.pass_obj
def reload(state: State) -> None:
    """Read the configuration anew; a broken one is refused (78) and the old one stays."""
    try:
        compile_config(state.config)
    except ConfigError as error:
        fail(f"Error in configuration file {error}", error.exit_code)
    rows = state.ask("master", "reload")
    if state.form:
        state.show(rows)
        return
    changes = [f"{word}: {names}" for word, names in rows[0].items() if names]
    click.echo("; ".join(changes) or "nothing changed")


def register(group: click.Group) -> None:
    """Add the commands."""
    for command in (service, process, stop, reload):
        group.add_command(command)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or ") Z " not in status.read_text()
