"""`make run`: both mails arrive, their way is shown, a second run works, Ctrl-C ends it cleanly."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.fakes.stack import is_alive
from tests.peers.all import Peers
from tests.peers.process import Program, free_port, run, wait_until

pytestmark = [pytest.mark.slow]
NAMES = ("--smtp", "--submission", "--submissions", "--elsewhere")


def command(folder: Path) -> list[str]:
    ports = [word for name in NAMES for word in (name, str(free_port()))]
    return [sys.executable, "-m", "columba.master.dev", "--var", str(folder / "var"), *ports]


def shows_two_mails(output: str, folder: Path, times: int) -> None:
    """Check what a run shows and keeps; times: how many runs there were in this folder."""
    assert len(re.findall(r"^A mail .*: 250 ", output, re.MULTILINE)) == 2, output
    assert output.count("Delivered: ") == 2
    assert output.rstrip().endswith("stopped")
    kept = sorted((folder / "var" / "elsewhere").glob("*.eml"))
    assert len(kept) == times
    assert b"DKIM-Signature: " in kept[-1].read_bytes()
    mailbox = folder / "var" / "mail" / "columba.test" / "ann" / "new"
    assert len(list(mailbox.iterdir())) == times


def test_two_runs_show_two_mails_each_and_ctrl_c_ends_all_processes(peers: Peers) -> None:
    done = run([*command(peers.folder), "--once"], 90)
    assert done.returncode == 0, done.stdout
    shows_two_mails(done.stdout, peers.folder, 1)
    program = peers.keep(Program(command(peers.folder), peers.folder, "make-run"))
    program.wait_ready(lambda: "Ctrl-C ends it" in program.output(), 60)
    pid_file = peers.folder / "var" / "run" / "master.pid"
    master = int(pid_file.read_text())
    children = children_of(master)
    assert len(children) >= 8
    os.kill(program.pid, signal.SIGINT)
    assert program.wait(60) == 0
    wait_until(lambda: not any(map(is_alive, (master, *children))), "the end of all", 10)
    assert not pid_file.exists()
    shows_two_mails(program.output(), peers.folder, 2)


def children_of(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found
