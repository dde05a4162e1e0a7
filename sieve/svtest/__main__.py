"""The command columba-sieve-test: try a script on a message, or run a file of tests."""

import sys
from pathlib import Path

import click

from columba.common.errors import EX_DATAERR, EX_USAGE
from columba.common.ipc.wire import Client
from columba.sieve.lang.stage import Stage
from columba.sieve.svtest.runner import EXIT_ABORTED, EXIT_FAILED, report_lines, run_file
from columba.sieve.svtest.show import Question, show

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=_FILE)
@click.argument("message", type=_FILE, required=False)
@click.option("--testsuite", is_flag=True, help="FILE is a .svtest file; run its cases.")
@click.option("--expect-failure", is_flag=True, help="Succeed if every case that is reached fails.")
@click.option("--work-dir", type=click.Path(path_type=Path), help="Accepted; nothing is written.")
@click.option("--time-limit", type=click.IntRange(0), default=0, help="CPU seconds for the file.")
@click.option(
    "--stage",
    type=click.Choice([stage.value for stage in Stage]),
    default=Stage.DELIVERY.value,
    help="Compile for this stage.",
)
@click.option("-t", "--trace", is_flag=True, help="Show each test and its values.")
@click.option("--sender", help="Envelope sender; from the message if not given.")
@click.option("--recipient", help="Envelope recipient; from the message if not given.")
@click.option("--client", default="192.0.2.1", help="IP address of the client.")
@click.option("--login", default="", help="The authenticated user; makes the client trusted.")
@click.option("--lookup", multiple=True, help="TABLE:KEY=VALUE, as often as needed.")
@click.option(
    "--pretend",
    multiple=True,
    help="SETTING=VALUE as in test files: columba_dns/a/NAME=192.0.2.1, columba_dict/DICT/KEY=VALUE, …",
)
@click.pass_context
def cli(context: click.Context, /, file: Path, message: Path | None, **options: object) -> None:
    """Say what the Sieve script FILE would do with MESSAGE, action by action."""
    try:
        if options["testsuite"]:
            context.exit(_run_suite(file, options))
        context.exit(_show(file, message, options))
    except OSError as error:
        click.echo(f"{error.filename}: {error.strerror}", err=True)
        context.exit(EX_USAGE)


def _run_suite(file: Path, options: dict[str, object]) -> int:
    limit = options["time_limit"]
    result = run_file(file, limit if isinstance(limit, int) else 0)
    for line in report_lines(result):
        click.echo(line)
    if options["expect_failure"]:
        return 0 if result.is_all_failed else EXIT_FAILED
    return result.exit_code


def _show(file: Path, message: Path | None, options: dict[str, object]) -> int:
    login = str(options["login"])
    shown = show(
        Question(
            script=file,
            message=message,
            stage=Stage(str(options["stage"])),
            is_traced=bool(options["trace"]),
            sender=_text(options["sender"]),
            recipient=_text(options["recipient"]),
            client=Client(ip=str(options["client"]), login=login, trusted=bool(login)),
            tables=_tables(options["lookup"]),
            settings=_settings(options["pretend"]),
        )
    )
    for line in shown.lines:
        click.echo(line)
    for line in shown.errors:
        click.echo(line, err=True)
    return EX_DATAERR if shown.errors else 0


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _tables(pairs: object) -> dict[str, dict[str, str]]:
    tables: dict[str, dict[str, str]] = {}
    for pair in pairs if isinstance(pairs, tuple) else ():
        table, colon, rest = str(pair).partition(":")
        key, equals, value = rest.partition("=")
        if not colon or not equals:
            raise click.UsageError(f"--lookup takes TABLE:KEY=VALUE, not {pair}")
        tables.setdefault(table, {})[key] = value
    return tables


def _settings(pairs: object) -> dict[str, str]:
    words = [str(pair).partition("=") for pair in pairs] if isinstance(pairs, tuple) else []
    for name, equals, _ in words:
        if not equals:
            raise click.UsageError(f"--pretend takes SETTING=VALUE, not {name}")
    return {name: value for name, _, value in words}


def main() -> None:
    """Run the command; exit codes: 0, 1 (a case failed), 2 (file abandoned), 64 (usage), 65 (script error)."""
    try:
        sys.exit(cli.main(standalone_mode=False))
    except click.UsageError as error:
        error.show()
        sys.exit(EX_USAGE)
    except click.Abort:
        sys.exit(EXIT_ABORTED)


if __name__ == "__main__":
    main()
