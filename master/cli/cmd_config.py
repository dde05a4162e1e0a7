"""config: show the settings in force."""

import click

from columba.common.config.document import View, settings_page
from columba.common.config.load import BUILTIN_FILE, system_world
from columba.common.config.parser import Parser
from columba.common.config.resolve import Resolver
from columba.common.errors import EX_NOTFOUND, ConfigError
from columba.master.builtin import CONFIG
from columba.master.check.compile import compile_config
from columba.master.check.open import open_config, schema
from columba.master.cli.state import State, fail


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "-n", "mode", flag_value="changed", default="changed", help="What is not default (the default)."
)
@click.option("-a", "mode", flag_value="all", help="All settings.")
@click.option("-d", "mode", flag_value="defaults", help="The built-in defaults.")
@click.option("-P", "secrets", is_flag=True, help="Show secrets too.")
@click.option(
    "--check", is_flag=True, help="Look at all that a start looks at; print nothing if it is good."
)
@click.option("--docs", is_flag=True, help="Print the page of all settings.")
@click.pass_obj
def config(
    state: State, names: tuple[str, ...], mode: str, secrets: bool, docs: bool, check: bool
) -> None:
    """Show settings; NAMES are settings, or sections as service/smtpd. Ends with 78 if the file is broken.

    What is shown may name files that can't be used; --check opens them: scripts, tables, certificates, keys.
    """
    if docs:
        click.echo(settings_page(schema()), nl=False)
        return
    try:
        if check:
            for warning in compile_config(state.config).warnings:
                click.echo(f"Warning: {warning}", err=True)
            return
        resolver = builtin() if mode == "defaults" else open_config(state.config)[0]
        view = View(resolver, builtin() if mode == "changed" and not names else None, secrets)
        if names:
            _show_names(view, names)
            return
        click.echo("\n".join(view.lines()))
        if mode != "defaults":
            compile_config(state.config, contents=False)
    except ConfigError as error:
        fail(f"Error in configuration file {error}", error.exit_code)


def builtin() -> Resolver:
    """Return the resolver over the built-in services alone."""
    parser = Parser(lambda statement, file: [])
    parser.parse(CONFIG, BUILTIN_FILE, versioned=False)
    return Resolver(parser.root, schema(), system_world())


def _show_names(view: View, names: tuple[str, ...]) -> None:
    for name in names:
        lines = view.one(name)
        if not lines:
            fail(f"There is no setting or section {name}", EX_NOTFOUND)
        click.echo("\n".join(lines))
