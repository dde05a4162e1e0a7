"""`columba`: start the server.

`-F` stays in the foreground; without it the server goes to the background once it is started. `-n` and `-a` print the
configuration, and any other words are commands for columbadm, as with Dovecot.
"""

import argparse
import os
import sys
import traceback
from typing import Final

from columba import __version__
from columba.common.config.load import DEFAULT_PATH
from columba.common.errors import EX_OK, EX_SOFTWARE
from columba.master.errors import StartError
from columba.master.loop import Master
from columba.master.reload import Check

CLI: Final = "columba.master.cli"


def main() -> None:
    """Run the program; ends the process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Return the exit code."""
    options = _options(arguments)
    if options.words or options.n or options.a:
        shown = ["config", "-n" if options.n else "-a"] if options.n or options.a else options.words
        os.execv(sys.executable, [sys.executable, "-m", CLI, "-c", options.config, *shown])
    try:
        path = os.path.abspath(options.config)
        master = Master(path, Check(path).wait())
        master.start()
    except StartError as error:
        sys.stderr.write(f"columba: Fatal: {error}\n")
        return error.code
    if not options.foreground:
        _to_background(master)
    try:
        return master.run()
    except Exception:  # the last thing of this process: its children see the dead pipe
        sys.stderr.write(f"columba: Panic: {traceback.format_exc()}")
        return EX_SOFTWARE


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="columba", description="The Columba mail transfer agent.")
    parser.add_argument("-c", "--config", default=DEFAULT_PATH, help="configuration file")
    parser.add_argument("-F", "--foreground", action="store_true", help="stay in the foreground")
    parser.add_argument("-n", action="store_true", help="print the settings that are not default")
    parser.add_argument("-a", action="store_true", help="print all settings")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("words", nargs=argparse.REMAINDER, help="a command of columbadm")
    return parser.parse_args(arguments)


def _to_background(master: Master) -> None:
    """Fork and go on as a session of its own; the process that was started ends."""
    if os.fork():
        os._exit(EX_OK)
    os.setsid()
    master.write_pid()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)


if __name__ == "__main__":
    main()
