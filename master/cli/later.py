"""Commands that are imported when they are called.

What one command needs (the Sieve compiler, stores, DNS) is no matter of the others: to list names, or to run another
command, it is not imported. The line about a command therefore stands beside its name.
"""

import importlib

import click


class Later(click.Command):
    """A name and a line for a list of commands, and where the command itself is: a module's attribute."""

    def __init__(self, name: str, module: str, about: str, attribute: str = "") -> None:
        super().__init__(name, help=about)
        self._module = module
        self._attribute = attribute or name

    def load(self) -> click.Command:
        """Import the command."""
        module = importlib.import_module(f"columba.master.cli.{self._module}")
        command = getattr(module, self._attribute)
        assert isinstance(command, click.Command)
        return command


class LaterGroup(click.Group):
    """A group of which commands may be Later."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the words name, imported, and the words after it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Later) else command, rest
