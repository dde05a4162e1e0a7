"""The folders that the services need, the PID file, and what dead processes left behind.

A worker's socket is `<run>/<service>/<slot>.<generation>`, a spool file ends in `@<service>.<slot>.<generation>`:
names that tell whose they are, so that the master removes what no living process can own.
"""

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from columba.common.errors import EX_CANTCREAT
from columba.master.errors import StartError
from columba.master.privileges import Identity

PID_FILE: Final = "master.pid"
SOCKET_NAME: Final = re.compile(r"([0-9]+)\.([0-9]+)")
SPOOL_NAME: Final = re.compile(r".*@([a-z][a-z0-9-]*\.[0-9]+\.[0-9]+)")
GENERATIONS: Final = 1 << 32


class PidFile:
    """`<run>/master.pid`, locked while its master lives."""

    def __init__(self, run: Path) -> None:
        self._path = run / PID_FILE
        self._fd = -1

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._path

    def take(self) -> bool:
        """Lock and write it; raises StartError if a master runs. Tells whether a dead master's was found."""
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = read_pid(self._path)
            words = f"Columba is already running with PID {pid} (read from {self._path})"
            raise StartError(words) from None
        except OSError as error:
            raise StartError(
                f"Can't create {self._path}: {error.strerror}", EX_CANTCREAT
            ) from error
        was_there = os.fstat(self._fd).st_size > 0
        self.write()
        return was_there

    def write(self) -> None:
        """Write this process' PID."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Remove it."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            os.close(self._fd)
            self._fd = -1


def read_pid(path: Path) -> int:
    """Return the PID in a PID file, 0 if there is none."""
    try:
        return int(path.read_text().strip() or 0)
    except (OSError, ValueError):
        return 0


def make_folder(path: Path, mode: int, owner: Identity) -> None:
    """Make a folder with its parents, and give it its owner and mode; raises StartError."""
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        if owner.switch:
            os.chown(path, owner.uid, owner.gid)
        os.chmod(path, mode)
    except OSError as error:
        raise StartError(f"Can't create folder {path}: {error.strerror}", EX_CANTCREAT) from error


def first_generation(run: Path, services: list[str]) -> int:
    """Return a generation above all that were used on this run directory: seconds since 1970, or more."""
    used = [
        int(found[2])
        for service in services
        for name in _names(run / service)
        if (found := SOCKET_NAME.fullmatch(name))
    ]
    return max([int(time.time()), *(each + 1 for each in used)]) % GENERATIONS


def remove_socket(run: Path, service: str, slot: int, generation: int) -> None:
    """Remove the socket of a process that is gone."""
    (run / service / f"{slot}.{generation}").unlink(missing_ok=True)


def sweep_sockets(run: Path, services: list[str]) -> None:
    """Remove all workers' sockets: at start none of them is alive."""
    for service in services:
        for name in _names(run / service):
            if SOCKET_NAME.fullmatch(name):
                (run / service / name).unlink(missing_ok=True)


def sweep_spool(spool: Path, is_alive: Callable[[str], bool]) -> int:
    """Remove the spool files whose maker, `service.slot.generation`, is not alive; return how many."""
    count = 0
    for name in _names(spool):
        found = SPOOL_NAME.fullmatch(name)
        if found and not is_alive(found[1]):
            with contextlib.suppress(OSError):
                os.unlink(spool / name)
                count += 1
    return count


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
