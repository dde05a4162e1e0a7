"""What every command knows: the configuration file and the formatter."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from columba.common.config.handed import thaw
from columba.common.errors import ConfigError
from columba.master.check.open import open_config
from columba.master.cli.client import AskError, ask
from columba.master.cli.output import Row, render
from columba.master.settings import MasterSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class State:
    """The options before the command."""

    config: str
    form: str | None
    titles: bool

    def settings(self) -> MasterSettings:
        """Return the general settings; ends the program with 78 if the configuration is broken."""
        try:
            return thaw(MasterSettings, open_config(self.config)[0].general())
        except ConfigError as error:
            _broken(error)

    def settings_of(self, service: str, cls: type[T]) -> T:
        """Return what a service is told; ends the program with 78 if the configuration is broken."""
        try:
            return thaw(cls, open_config(self.config)[0].settings(service))
        except ConfigError as error:
            _broken(error)

    def run_dir(self) -> Path:
        """Return the run directory."""
        return Path(self.settings().base_dir)

    def show(self, rows: Sequence[Row], form: str = "table", columns: Sequence[str] = ()) -> None:
        """Print rows, in the command's own form unless -f names another."""
        click.echo(render(rows, self.form or form, columns, self.titles), nl=False)

    def ask(self, socket: str, command: str, **arguments: object) -> list[Row]:
        """Ask a process of the running server; ends the program if there is no good answer."""
        try:
            return ask(self.run_dir() / socket, command, **arguments)
        except AskError as error:
            fail(str(error), error.exit_code)


def fail(text: str, exit_code: int) -> NoReturn:
    """Print an error as Dovecot's tools do, and end."""
    click.echo(f"columbadm: Error: {text}", err=True)
    sys.exit(exit_code)


def _broken(error: ConfigError) -> NoReturn:
    fail(f"Error in configuration file {error}", error.exit_code)
