"""reload: have the running server read its configuration anew."""

import click

from columba.common.errors import ConfigError
from columba.master.check.compile import compile_config
from columba.master.cli.state import State, fail


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
