"""Where lines go: a file, stderr or syslog.

Writing blocks this process on purpose: lines keep their order, and a slow disk slows those who log, through their
pipes, instead of losing lines.
"""

import os
import syslog
import time
from typing import Final, Protocol

from columba.common import files
from columba.common.errors import EX_CANTCREAT, ColumbaError
from columba.common.log.level import Level
from columba.master.log.lines import Record, render

STDERR_FD: Final = 1  # the master gives the log service its own stderr as stdout
PRIORITIES: Final = {
    Level.DEBUG: syslog.LOG_DEBUG,
    Level.INFO: syslog.LOG_INFO,
    Level.WARNING: syslog.LOG_WARNING,
    Level.ERROR: syslog.LOG_ERR,
    Level.FATAL: syslog.LOG_CRIT,
    Level.PANIC: syslog.LOG_CRIT,
}


class LogError(ColumbaError):
    """The log can't be opened."""

    exit_code = EX_CANTCREAT


class Output(Protocol):
    """Takes records."""

    def write(self, records: list[Record]) -> None:
        """Write them in order."""
        ...

    def reopen(self) -> None:
        """Open the file anew, after it was rotated."""
        ...


class Descriptor:
    """The master's stderr."""

    def write(self, records: list[Record]) -> None:
        """Write them in order."""
        write_all(STDERR_FD, records)

    def reopen(self) -> None:
        """Nothing to do."""


class File:
    """A file that is appended to. When it can't be written, lines go to stderr until it can."""

    def __init__(self, path: str) -> None:
        """Raises LogError."""
        self._path = path
        self._fd = _open(path)

    def write(self, records: list[Record]) -> None:
        """Write them in order."""
        try:
            write_all(self._fd, records)
        except OSError:
            write_all(STDERR_FD, records)

    def reopen(self) -> None:
        """Open the file anew, after it was rotated; raises LogError and then goes on with the old."""
        fresh = _open(self._path)
        os.close(self._fd)
        self._fd = fresh


class Syslog:
    """The system's log."""

    def __init__(self, facility: str) -> None:
        syslog.openlog("columba", 0, int(getattr(syslog, f"LOG_{facility.upper()}")))

    def write(self, records: list[Record]) -> None:
        """Write them in order."""
        for record in records:
            level = record.level.name.capitalize()
            syslog.syslog(PRIORITIES[record.level], f"{record.prefix}{level}: {record.text}")

    def reopen(self) -> None:
        """Nothing to do."""


def open_output(path: str, facility: str) -> Output:
    """Return what log_path names; raises LogError."""
    if path in ("", "syslog"):
        return Syslog(facility)
    if path == "/dev/stderr":
        return Descriptor()
    return File(path)


def write_all(fd: int, records: list[Record]) -> None:
    """Write records as lines; raises OSError."""
    text = "".join(render(record, local_stamp) + "\n" for record in records)
    files.write_all(fd, text.encode(errors="replace"))


def local_stamp(at_s: float) -> str:
    """Return `Nov 22 07:06:30` in local time."""
    return time.strftime("%b %d %H:%M:%S", time.localtime(at_s))


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise LogError(f"log_path: Can't open log file {path}: {error.strerror}") from error
