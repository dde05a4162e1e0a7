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
from columba.master.cli.later import Later, LaterGroup
from columba.master.cli.output import FORMATS
from columba.master.cli.state import State

BROKEN_PIPE: Final = 141


@click.group(cls=LaterGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="%(version)s")
@click.option("-c", "config", default=DEFAULT_PATH, show_default=True, help="Configuration file.")
@click.option("-f", "form", type=click.Choice(FORMATS), help="Form of the output.")
@click.option("-H", "--no-titles", is_flag=True, help="Leave the titles of columns out.")
@click.pass_context
def columbadm(context: click.Context, config: str, form: str | None, no_titles: bool) -> None:
    """Administer Columba."""
    context.obj = State(config, form, not no_titles)


for each in (
    Later("service", "cmd_server", "Look at services."),
    Later("process", "cmd_server", "Look at processes."),
    Later("stop", "cmd_server", "Stop the server: no new mail, what is on its way is finished."),
    Later("reload", "cmd_reload", "Read the configuration anew."),
    Later(
        "config", "cmd_config", "Show settings; NAMES are settings, or sections as service/smtpd."
    ),
    Later("log", "cmd_log", "Look at the log."),
    Later(
        "trace",
        "cmd_log",
        "Show the way of one mail through the processes, with times, and what was said to other servers.",
    ),
    Later("queue", "cmd_queue", "Look at waiting mail and act on it."),
    Later("cluster", "cmd_cluster", "Look after the owners of the queue's parts."),
    Later("replica", "cmd_replica", "Look after a queue that several machines keep together."),
    Later("dkim", "cmd_dkim", "Make DKIM keys and publish them."),
    Later("sieve", "cmd_sieve", "Check scripts, and show what they are compiled to."),
    Later("auth", "cmd_auth", "Try the authentication of clients."),
    Later("pw", "cmd_auth", "Make a hash for the users' file, or check a password against one."),
    Later(
        "who", "cmd_who", "Show who is connected: MASK of logins with * and ?, ADDRESS or network."
    ),
    Later(
        "kick",
        "cmd_who",
        "End connections within a second; a mail that is on its way is answered first.",
    ),
    Later(
        "penalty",
        "cmd_who",
        "Show addresses that gave wrong passwords, and how long they wait now.",
    ),
    Later("smtp", "cmd_smtp", "Look at other mail servers, and at how we get on with them."),
):
    columbadm.add_command(each)


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
