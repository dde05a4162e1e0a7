"""sieve check, sieve dump: compile scripts for a stage, as the server does at its start."""

from pathlib import Path

import click

from columba.common.config.handed import thaw
from columba.common.errors import EX_DATAERR, EX_UNAVAILABLE, ConfigError
from columba.master.check.contents import read_script
from columba.master.check.open import open_config
from columba.master.cli.state import State, fail
from columba.sieve.engine import CompileErrors, compile_script
from columba.sieve.lang.includes import Loader, loader_beside
from columba.sieve.lang.listing import Listed, listing_lines
from columba.sieve.lang.stage import Stage
from columba.sieve.settings import Settings as SieveSettings

_STAGE = click.option(
    "-S",
    "--stage",
    type=click.Choice([stage.value for stage in Stage]),
    help="When the script runs; without it, the file's name tells (data.sieve).",
)


@click.group()
def sieve() -> None:
    """Check scripts, and show what they are compiled to."""


@sieve.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@_STAGE
@click.pass_obj
def check(state: State, files: tuple[Path, ...], stage: str | None) -> None:
    """Compile FILES and say what is wrong with them; of a folder, its scripts of stages."""
    tables = _tables(state)
    scripts = [script for file in files for script in _scripts(file, stage)]
    broken = 0
    for file, when in scripts:
        result = compile_script(_octets(file), str(file), when, tables=tables, loader=_loader(file))
        if isinstance(result, CompileErrors):
            broken += 1
            click.echo(result.render(), err=True)
        else:
            for warning in result.warnings:
                click.echo(warning.render(), err=True)
    if broken:
        fail(f"{broken} of {len(scripts)} scripts can't be used", EX_DATAERR)


@sieve.command()
@click.argument("file", type=click.Path(path_type=Path))
@_STAGE
@click.pass_obj
def dump(state: State, file: Path, stage: str | None) -> None:
    """Show what FILE is compiled to: its words with all arguments, constant tests, what asks the world."""
    _, when = _scripts(file, stage)[0]
    listing: list[Listed] = []
    result = compile_script(
        _octets(file),
        str(file),
        when,
        tables=_tables(state),
        listing=listing,
        loader=_loader(file),
    )
    if isinstance(result, CompileErrors):
        click.echo(result.render(), err=True)
        fail(f"{file} can't be used", EX_DATAERR)
    click.echo(f"{file}: for the stage {when.value}")
    click.echo(f"requires: {', '.join(sorted(result.required)) or 'nothing'}")
    for line in listing_lines(listing):
        click.echo(line)


def _loader(file: Path) -> Loader:
    """Return what finds the scripts that a script includes: those beside it."""
    return loader_beside(str(file.absolute()), read_script)


def _scripts(file: Path, stage: str | None) -> list[tuple[Path, Stage]]:
    """Return a file, or the scripts of a folder that are for a stage, each with its stage."""
    if file.is_dir():
        found = sorted(file.glob("*.sieve"))
        named = [(each, Stage(stage or each.stem)) for each in found if stage or _is_stage(each)]
        if not named:
            fail(f"{file}: no script of a stage is in it", EX_UNAVAILABLE)
        return named
    if not file.exists():
        fail(f"{file}: No such file or directory", EX_UNAVAILABLE)
    if stage is None and not _is_stage(file):
        fail(f"{file}: say with --stage when it runs", EX_DATAERR)
    return [(file, Stage(stage or file.stem))]


def _is_stage(file: Path) -> bool:
    return file.stem in set(Stage)


def _octets(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        fail(f"{file}: {error.strerror}", EX_UNAVAILABLE)


def _tables(state: State) -> list[str] | None:
    """Return the look-up tables of the configuration; None, all are taken as known, if there is none."""
    try:
        resolver, _ = open_config(state.config)
        return list(thaw(SieveSettings, resolver.settings("sieve")).lookup)
    except ConfigError:
        return None
