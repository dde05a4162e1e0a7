"""Tell anvil of every process: the whole table as one JSON line at each change.

A change of state is written at once; changes of mere counts at most every COUNT_INTERVAL_S. The pipe never
blocks the master: what does not fit waits, and only the newest table is kept for later.
"""

import json
import os
from collections.abc import Iterable
from typing import Final

from columba.master.state import Process

COUNT_INTERVAL_S: Final = 0.05
DEAD_LISTED_S: Final = 60.0


class DirectoryPipe:
    """The master's end of the pipe; a new anvil gets a new pipe."""

    def __init__(self) -> None:
        self._write_fd = -1
        self._number = 0
        self._begun = b""  # rest of a line that the pipe has taken half
        self._next = b""  # newest table, not begun
        self._written_s = 0.0
        self._dirty = False
        self._urgent = False

    def renew(self) -> int:
        """Open a new pipe for a new anvil and return its read end, which the caller closes."""
        self.close()
        read_fd, self._write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(read_fd, True)
        self._begun = self._next = b""
        self.mark(urgent=True)
        return read_fd

    def close(self) -> None:
        """Close the pipe."""
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1

    def mark(self, urgent: bool) -> None:
        """Note that the table has changed."""
        self._dirty = True
        self._urgent = self._urgent or urgent

    def due_in_s(self, now_s: float) -> float | None:
        """Return when flush has something to do, or None."""
        if self._begun or self._next:
            return 0.02
        if not self._dirty:
            return None
        return 0.0 if self._urgent else max(0.0, self._written_s + COUNT_INTERVAL_S - now_s)

    def flush(self, processes: Iterable[Process], now_s: float) -> None:
        """Write what is due."""
        if self._dirty and (self._urgent or now_s - self._written_s >= COUNT_INTERVAL_S):
            self._number += 1
            self._next = table_line(self._number, processes)
            self._dirty = self._urgent = False
            self._written_s = now_s
        while self._write_fd >= 0 and (self._begun or self._next):
            if not self._begun:
                self._begun, self._next = self._next, b""
            try:
                self._begun = self._begun[os.write(self._write_fd, self._begun) :]
            except BlockingIOError:
                return
            except BrokenPipeError:
                self.close()


def table_line(number: int, processes: Iterable[Process]) -> bytes:
    """Return the whole directory as a line of JSON, as wire.Directory has it."""
    slots = [
        {
            "service": p.service,
            "slot": p.slot,
            "pid": p.pid,
            "generation": p.generation,
            "state": p.phase.value,
            "available": p.available,
            "note": p.note,
        }
        for p in processes
    ]
    return json.dumps({"number": number, "slots": slots}).encode() + b"\n"
