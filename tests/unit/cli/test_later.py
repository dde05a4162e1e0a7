import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from columba.master.cli.__main__ import columbadm
from columba.master.cli.cmd_queue import queue
from columba.master.cli.later import Later

DEAR = {
    "argon2", "asyncio", "bcrypt", "cryptography", "dkim", "dns", "email", "lark", "minio", "passlib", "re2", "ssl",
    "urllib3", "uvloop", "zmq",
}  # fmt: skip
SAY_MODULES = """\
import json, sys
from click.testing import CliRunner
from columba.master.cli.__main__ import columbadm
codes = [CliRunner().invoke(columbadm, words).exit_code for words in json.loads(sys.argv[1])]
print(json.dumps([codes, list(sys.modules)]))
"""
ALL = [
    (group.name, command)
    for group in (columbadm, queue)
    for command in group.commands.values()
    if isinstance(command, Later)
]


def modules_after(*commands: list[str]) -> tuple[list[int], set[str]]:
    """Return the exit codes of columbadm's commands, run in a process of their own, and what was imported."""
    argv = [sys.executable, "-c", SAY_MODULES, json.dumps(commands)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, timeout=60, check=True)
    codes, names = json.loads(done.stdout)
    return codes, set(names)


def test_help_and_questions_to_the_server_import_nothing_dear(tmp_path: Path) -> None:
    conf = tmp_path / "columba.conf"
    conf.write_text(f"columba_config_version = 1.0\nhostname = mx.test\nbase_dir = {tmp_path}\n")
    asking = [["-c", str(conf), *words] for words in (["service", "status"], ["queue", "list"])]
    codes, names = modules_after(["--help"], *asking, ["-c", str(conf), "who"])
    assert codes == [0, 75, 75, 75]  # help; nobody is there to answer
    assert not {name.partition(".")[0] for name in names} & DEAR
    assert "columba.master.cli.cmd_queue" in names and "columba.sieve.engine" not in names
    _, after = modules_after(["sieve", "check", "--help"])
    assert {"columba.sieve.engine", "lark"} <= after  # so would they be seen


@pytest.mark.parametrize(("group", "later"), ALL, ids=[f"{g}-{c.name}" for g, c in ALL])
def test_the_line_of_a_list_is_the_commands_own(group: str, later: Later) -> None:
    command = later.load()
    assert isinstance(command, click.Command) and command.name == later.name
    assert later.get_short_help_str(1000) == command.get_short_help_str(1000)
