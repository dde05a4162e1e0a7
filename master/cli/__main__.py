"""`columbadm`: the tool of administrators.

Exit codes are those of sysexits.h: 64 usage, 65 bad data, 68 no such object, 75 not running, 77 no right,
78 configuration.
"""

import os
import sys
from typing import Final

import click

from columba import __version__
from columba.common.config.load import DEFAULT_PATH
from columba.common.errors import EX_USAGE
from columba.master.cli import (
    cmd_auth,
    cmd_cluster,
    cmd_config,
    cmd_dkim,
    cmd_log,
    cmd_queue,
    cmd_replica,
    cmd_server,
    cmd_sieve,
    cmd_smtp,
    cmd_store,
    cmd_who,
)
from columba.master.cli.output import FORMATS
from columba.master.cli.state import State

BROKEN_PIPE: Final = 141


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="%(version)s")
@click.option("-c", "config", default=DEFAULT_PATH, show_default=True, help="Configuration file.")
@click.option("-f", "form", type=click.Choice(FORMATS), help="Form of the output.")
@click.option("-H", "--no-titles", is_flag=True, help="Leave the titles of columns out.")
@click.pass_context
def columbadm(context: click.Context, config: str, form: str | None, no_titles: bool) -> None:
    """Administer Columba."""
    context.obj = State(config, form, not no_titles)


for each in (
    cmd_server,
    cmd_config,
    cmd_log,
    cmd_queue,
    cmd_store,
    cmd_cluster,
    cmd_replica,
    cmd_dkim,
    cmd_sieve,
    cmd_auth,
    cmd_who,
    cmd_smtp,
):
    each.register(columbadm)


def main() -> None:
    """Run the program; ends the process."""
    try:
        columbadm.main(prog_name="columbadm", standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(EX_USAGE)
    except click.Abort:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(BROKEN_PIPE)


if __name__ == "__main__":
    main()
