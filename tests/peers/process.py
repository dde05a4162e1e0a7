"""Start a real program for a test and be sure that it ends with the test.

Every program runs in a process group of its own, dies with us (PR_SET_PDEATHSIG through setpriv, which
is in every Debian), writes to a file, and is stopped by TERM and, past a limit, by KILL. PR_SET_PDEATHSIG
follows the *thread* that started the program: start programs from the test's main thread.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

PATH: Final = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/lib/postfix/sbin"
START_S: Final = 20.0
STOP_S: Final = 10.0


def lacking(reason: str) -> None:
    """Skip the test on a developer's machine; in CI (CI=true) a gap is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def require(*names: str, root: bool = False) -> None:
    """Demand programs (and, with root, the right to switch users)."""
    missing = [name for name in names if shutil.which(name, path=PATH) is None]
    if missing:
        lacking(f"not installed: {', '.join(missing)}")
    if root and os.geteuid() != 0:
        lacking(f"{names[0]} must be started by root")


def free_port() -> int:
    """Return a port on 127.0.0.1 that the kernel says is free, for TCP and for UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = START_S) -> None:
    """Poll a condition; raise TimeoutError that says what did not happen."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"after {timeout_s} s: {what}")
        time.sleep(0.02)


def answers(address: str | tuple[str, int]) -> bool:
    """Tell whether something accepts connections at a unix path or at (host, port)."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        with contextlib.suppress(OSError):
            probe.connect(address)
            return True
    return False


class Program:
    """One running program; `log` is the file with all that it prints."""

    def __init__(
        self,
        argv: Sequence[str],
        folder: Path,
        name: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Start argv with its output in folder/name.log; extra env is added to ours."""
        self.name = name
        self.log = folder / f"{name}.log"
        self._stopped = False
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "PATH": PATH, **(env or {})},
                cwd=cwd or folder,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def output(self) -> str:
        """Return all that the program has printed."""
        return self.log.read_text(errors="replace")

    def is_running(self) -> bool:
        """Tell whether the program has not ended."""
        return self._process.poll() is None

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Return the exit status; raise subprocess.TimeoutExpired past the limit."""
        return self._process.wait(timeout_s)

    def wait_ready(self, condition: Callable[[], object], timeout_s: float = START_S) -> None:
        """Wait for a condition; an end of the program before it is an error with its output."""

        def ready_or_dead() -> bool:
            return bool(condition()) or not self.is_running()

        try:
            wait_until(ready_or_dead, f"{self.name} is not ready", timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.output()}") from error
        if not self.is_running():
            raise RuntimeError(f"{self.name} ended with {self.wait()}:\n{self.output()}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        if self.is_running():
            os.kill(self.pid, number)

    def stop(self) -> None:
        """End the program and whatever it started: TERM, then KILL."""
        if self._stopped:
            return
        self._stopped = True
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(STOP_S)


def run(
    argv: Sequence[str],
    timeout_s: float = 30.0,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return status and output (stderr with stdout)."""
    done = subprocess.run(
        list(argv),
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PATH": PATH, **(env or {})},
        timeout=timeout_s,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(errors="replace"), ""
    )
