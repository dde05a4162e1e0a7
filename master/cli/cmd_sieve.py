"""sieve check: compile a script for a stage, as the server does at its start."""

from pathlib import Path

import click

from columba.common.config.load import thaw
from columba.common.errors import EX_DATAERR, EX_UNAVAILABLE, ConfigError
from columba.master.check.compile import open_config
from columba.master.cli.state import State, fail
from columba.sieve.engine import CompileErrors, compile_script
from columba.sieve.lang.stage import Stage
from columba.sieve.settings import Settings as SieveSettings


@click.group()
def sieve() -> None:
    """Check scripts."""


@sieve.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-S",
    "--stage",
    type=click.Choice([stage.value for stage in Stage]),
    help="When the script runs; without it, the file's name tells (data.sieve).",
)
@click.pass_obj
def check(state: State, files: tuple[Path, ...], stage: str | None) -> None:
    """Compile FILES and say what is wrong with them."""
    tables = _tables(state)
    broken = 0
    for file in files:
        try:
            octets = file.read_bytes()
        except OSError as error:
            fail(f"{file}: {error.strerror}", EX_UNAVAILABLE)
        named = stage or file.stem
        if named not in set(Stage):
            fail(f"{file}: say with --stage when it runs", EX_DATAERR)
        result = compile_script(octets, str(file), Stage(named), tables=tables)
        if isinstance(result, CompileErrors):
            broken += 1
            click.echo(result.render(), err=True)
    if broken:
        fail(f"{broken} of {len(files)} scripts can't be used", EX_DATAERR)


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(sieve)


def _tables(state: State) -> list[str] | None:
    """Return the look-up tables of the configuration; None, all are taken as known, if there is none."""
    try:
        resolver, _ = open_config(state.config)
        return list(thaw(SieveSettings, resolver.settings("sieve")).lookup)
    except ConfigError:
        return None
