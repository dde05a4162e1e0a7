"""One pipe per service for its processes' stderr, made by the master and read by the log service.

The pipes stay open in the master: while the log service is being replaced, lines wait in them and none is lost.
The master's own lines go the same way, through a pipe of its own that never blocks it.
"""

import contextlib
import os
from collections import deque
from typing import Final

from columba.common.log.level import Level

BACKLOG: Final = 1000
OWN: Final = "master"


class LogPipes:
    """All log pipes, by service."""

    def __init__(self) -> None:
        self._pipes: dict[str, tuple[int, int]] = {}
        self._waiting: deque[bytes] = deque(maxlen=BACKLOG)
        self.add(OWN)
        os.set_blocking(self._pipes[OWN][1], False)

    def add(self, service: str) -> None:
        """Make the pipe of a service, if it has none."""
        if service not in self._pipes:
            self._pipes[service] = os.pipe2(os.O_CLOEXEC)

    def write_fd(self, service: str) -> int:
        """Return what becomes the stderr of a service's processes."""
        return self._pipes[service][1]

    def read_fds(self) -> dict[str, int]:
        """Return the descriptors that the log service reads, by service."""
        return {service: read_fd for service, (read_fd, _) in self._pipes.items()}

    def spill(self, service: str) -> None:
        """Write to stderr what waits in a service's pipe: the log service could not start."""
        read_fd = self._pipes[service][0]
        os.set_blocking(read_fd, False)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(read_fd, 4096):
                lines = [line.lstrip(b"\x01\x02\x03\x04\x05\x06") for line in data.split(b"\n")]
                os.write(2, b"\n".join(lines))

    def own_line(self, level: Level, text: str) -> None:
        """Log a line of the master's own."""
        clean = text.replace("\n", "\\n")[:4000]
        self._waiting.append(
            b"\x01" + bytes([level + 1]) + f"{os.getpid()} {clean}\n".encode(errors="replace")
        )
        self.flush()

    def flush(self) -> bool:
        """Write the master's waiting lines; tells whether all are written."""
        while self._waiting:
            try:
                os.write(self._pipes[OWN][1], self._waiting[0])
            except BlockingIOError:
                return False
            self._waiting.popleft()
        return True
