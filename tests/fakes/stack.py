"""A whole Columba for a test: the real master with all services, on loopback, in a folder of its own.

Ports are chosen by the kernel. Services run as users of their own where the system has them and they can read
the code (`own_users`), else all as one. `peers.keep(Stack(peers.folder / "columba", Options(...)))` starts one
and ends it with the test.
"""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import argon2

from columba.master.cli.client import AskError, ask
from columba.master.dev import keys, readers
from columba.master.dev.plan import DOMAIN, PASSWORD, SCRIPTS, USER, Plan
from columba.master.dev.prepare import prepare
from tests.peers.process import Program, answers, free_port, run, wait_until

CHAIN = ("sieve", "dkim", "delivery", "queue")
NEEDED = {"anvil", "smtpd", *CHAIN}
ID = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b")


@dataclass(frozen=True)
class Options:
    """What differs from the development server.

    relay "host:port" takes all mail that is not local. signs: domains that mail comes from, beside the local one
    (all mail that leaves is signed). scripts: stage to Sieve text, instead of the default policy's. more:
    configuration appended as it is. environment: for the master and its children. dns_port: of a name server on
    127.0.0.1.
    """

    relay: str = ""
    signs: tuple[str, ...] = ("sender.test",)
    more: str = ""
    scripts: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    own_users: bool | None = None  # None: where it can be done
    users: tuple[str, ...] = (USER, f"bob@{DOMAIN}", f"cy@{DOMAIN}")
    trusted: str = "127.0.0.0/8"
    dns_port: int = 0


class Stack:
    """A running Columba."""

    user = USER
    password = PASSWORD

    def __init__(self, folder: Path, options: Options | None = None) -> None:
        """Write the configuration, start, and wait until every chain service is ready."""
        self.options = options or Options()
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.ports = {name: free_port() for name in ("smtp", "submission", "submissions")}
        own = self.options.own_users
        self.plan = Plan(
            root=folder,
            smtp_port=self.ports["smtp"],
            submission_port=self.ports["submission"],
            submissions_port=self.ports["submissions"],
            relay=self.options.relay,
            signs=self.options.signs,
            users=self.options.users,
            trusted=self.options.trusted,
            dns_port=self.options.dns_port,
            own_users=can_have_own_users() if own is None else own,
            more=self.options.more + self._more_scripts(folder),
        )
        self.run_dir, self.log_path = self.plan.run, self.plan.log
        _keep_secrets(self.plan)
        prepare(self.plan)
        for stage, text in self.options.scripts.items():
            self.plan.script(stage).write_text(text)
        self.start()

    def _more_scripts(self, folder: Path) -> str:
        """Return the settings of scripts that the development server has none of."""
        more = [stage for stage in self.options.scripts if stage not in SCRIPTS]
        return "".join(f"sieve_{stage} = {folder}/sieve/{stage}.sieve\n" for stage in more)

    def start(self) -> None:
        """Start the master (again, after kill_master or stop)."""
        argv = [sys.executable, "-m", "columba.master.main", "-F", "-c", str(self.plan.config)]
        self.program = Program(argv, self.folder, "master", env=self.options.environment)
        try:
            self.program.wait_ready(self.is_ready, 30)
        except BaseException:
            self.program.stop()
            raise

    def is_ready(self) -> bool:
        """Tell whether each service that mail needs has a ready process, and clients are heard."""
        if not all(any((self.run_dir / name).glob("*.*")) for name in CHAIN):
            return False  # the master need not be asked yet
        try:
            rows = self.processes()
        except RuntimeError:
            return False  # the master has no socket yet
        ready = {row["service"] for row in rows if int(str(row.get("available_count", 0))) > 0}
        return ready >= NEEDED and all(answers(("127.0.0.1", each)) for each in self.ports.values())

    def columbadm(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run columbadm on this server; with check, a failure raises RuntimeError with its words."""
        argv = [sys.executable, "-m", "columba.master.cli", "-c", str(self.plan.config)]
        done = run([*argv, *arguments])
        if check and done.returncode:
            raise RuntimeError(f"columbadm {' '.join(arguments)}: {done.stdout}")
        return done

    def rows(self, *arguments: str) -> list[dict[str, object]]:
        """Run columbadm with the formatter json and return its rows."""
        rows = json.loads(self.columbadm("-f", "json", *arguments).stdout)
        assert isinstance(rows, list)
        return rows

    def maildir(self, address: str = USER) -> Path:
        """Return the Maildir of a user of the local domain."""
        local, _, domain = address.partition("@")
        return self.plan.mail / domain / local

    def mails(self, address: str = USER) -> list[bytes]:
        """Return the new mails of a local user."""
        return [path.read_bytes() for path in sorted((self.maildir(address) / "new").glob("*"))]

    def queue(self) -> list[dict[str, object]]:
        """Return what is in the queue, as `columbadm queue list` does; RuntimeError when it does not say.

        It is asked without a process in between: tests ask again and again until something has happened.
        """
        found = sorted((self.run_dir / "admin").glob("queue.*"))
        if not found:
            raise RuntimeError("no queue process runs")
        return [row for socket in found for row in self._asked(socket, "list", query="")]

    def wait_queue(self, count: int, timeout_s: float = 20.0) -> None:
        """Wait until the queue holds so many messages."""
        wait_until(lambda: len(self.queue()) == count, f"{count} mails in the queue", timeout_s)

    def log(self) -> str:
        """Return the log and what the master printed."""
        logged = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return logged + self.program.output()

    def log_lines(self, message_id: str = "") -> list[str]:
        """Return the log's lines, or those of one message."""
        return [line for line in self.log().splitlines() if message_id in line]

    def processes(self) -> list[dict[str, object]]:
        """Return the rows of `columbadm process status`; RuntimeError when the master does not say."""
        return self._asked(self.run_dir / "master", "process-status")

    def pids(self, service: str) -> list[int]:
        """Return the processes of a service."""
        return [int(str(row["pid"])) for row in self.processes() if row["service"] == service]

    def kill(self, service: str, number: signal.Signals = signal.SIGKILL) -> list[int]:
        """Send a signal to every process of a service; return which."""
        pids = self.pids(service)
        for pid in pids:
            os.kill(pid, number)
        return pids

    def kill_master(self) -> None:
        """Kill the master with SIGKILL and wait until it and its children are gone."""
        everyone = [int(str(row["pid"])) for row in self.processes()]
        self.program.signal(signal.SIGKILL)
        self.program.wait()
        wait_until(lambda: not any(map(is_alive, everyone)), "the children's end", 90)

    def stop(self) -> None:
        """Stop the server with TERM; what does not end is killed. Raises AssertionError if a loop was blocked."""
        self.program.stop()
        blocked = [line for line in self.log_lines() if "Loop blocked" in line]
        assert not blocked, "\n".join(blocked)

    def _asked(self, socket: Path, command: str, **arguments: object) -> list[dict[str, object]]:
        try:
            return [dict(row) for row in ask(socket, command, **arguments)]
        except AskError as error:
            raise RuntimeError(f"{command}: {error}") from error


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@functools.cache  # four processes; the answer stays the same
def can_have_own_users() -> bool:
    """Tell whether the services can run as users of their own here."""
    return not readers.obstacle(readers.interpreter())


def _keep_secrets(plan: Plan) -> None:
    """Give a server the signing key and the hash that all servers of this test run have: it makes those that lack."""
    hashed, key = _secrets()
    lines = "".join(f"{user}:{{ARGON2ID}}{hashed}\n" for user in plan.users)
    for path, content in ((plan.passwords, lines.encode()), (plan.dkim_key, key)):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(0o600)
            path.write_bytes(content)


@functools.cache
def _secrets() -> tuple[str, bytes]:
    return argon2.PasswordHasher().hash(PASSWORD), keys.dkim_key()


def id_of(reply: str) -> str:
    """Return the message id in an SMTP reply; raises AssertionError if there is none."""
    found = ID.search(reply)
    assert found, f"no id in {reply!r}"
    return found.group()


def wait_log(stack: Stack, text: str, timeout_s: float = 20.0) -> str:
    """Wait for a line that holds the text and return it."""
    end = time.monotonic() + timeout_s
    while True:
        lines = [line for line in stack.log_lines() if text in line]
        if lines:
            return lines[0]
        if time.monotonic() > end:
            raise TimeoutError(f"{text!r} is not in the log:\n{stack.log()[-4000:]}")
        time.sleep(0.05)
