"""`python -m columba.master.check FILE`: print the frozen configuration as JSON, or one line of error."""

import sys

from columba.common.errors import EX_OK, EX_USAGE, ConfigError
from columba.master.check.compile import compile_config


def main(arguments: list[str]) -> int:
    """Return the exit code: 0, or 78 for a configuration that can't be used."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m columba.master.check FILE\n")
        return EX_USAGE
    try:
        compiled = compile_config(arguments[0])
    except ConfigError as error:
        sys.stderr.write(f"Error in configuration file {error}\n")
        return error.exit_code
    sys.stdout.write(compiled.dump())
    return EX_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
