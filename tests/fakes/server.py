"""Start a real columba for a test, and be sure that nothing of it outlives the test."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.peers.process import answers

ROOT: Final = Path(__file__).resolve().parent.parent.parent
HEAD: Final = """columba_config_version = 1.0
hostname = test.example
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
default_internal_user =
shutdown_timeout = {shutdown}
hang_limit = {hang}
throttle_min = 300 ms
throttle_max = 2 s
"""


class Server:
    """A configuration in a folder, and the master that runs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "columba.conf"
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, text: str, shutdown: str = "12 s", hang: str = "30 s") -> None:
        """Write columba.conf: general settings of the test, then text."""
        head = HEAD.format(folder=self.folder, shutdown=shutdown, hang=hang)
        self.config.write_text(head + text)

    def start(self) -> None:
        """Start the master in the foreground; return when its sockets are bound or it has ended."""
        admin = str(self.folder / "run" / "master")
        with open(self.folder / "stderr", "ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "columba.master.main", "-F", "-c", str(self.config)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )
        started = self.process
        wait_until(lambda: answers(admin) or started.poll() is not None, self.stderr)

    def wait(self, timeout_s: float = 20.0) -> int:
        """Return the exit code, once it has ended."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def signal(self, number: int) -> None:
        """Send a signal to the master."""
        assert self.process is not None
        self.process.send_signal(number)

    def log(self) -> str:
        """Return the log so far."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "log").read_text()
        return ""

    def stderr(self) -> str:
        """Return what the master itself has said."""
        return (self.folder / "stderr").read_text()

    def wait_log(self, words: str, times: int = 1, timeout_s: float = 20.0) -> str:
        """Wait until the log holds words; return the whole log."""
        wait_until(
            lambda: self.log().count(words) >= times,
            lambda: f"{words!r} in the log:\n{self.log()}\n{self.stderr()}",
            timeout_s,
        )
        return self.log()

    def children(self) -> list[int]:
        """Return the PIDs of all processes that were started by this server."""
        return [
            pid for pid in _pids() if f"COLUMBA_RUN={self.folder}/run".encode() in _environ(pid)
        ]

    def end(self) -> None:
        """End everything."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        for pid in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def server(folder: Path) -> Iterator[Server]:
    """Give a server, and end it."""
    made = Server(folder)
    try:
        yield made
    finally:
        made.end()


def wait_until(
    condition: Callable[[], object], what: Callable[[], str], timeout_s: float = 20.0
) -> None:
    """Poll a condition."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"after {timeout_s} s: no {what()}"
        time.sleep(0.02)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _environ(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
