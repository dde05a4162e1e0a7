"""Cut the master's lines into tables of workers.

Pure: octets of the directory pipe go in, the newest whole table comes out. A line that is no table is counted;
the table before it stays.
"""

from typing import Final

import msgspec

from columba.common.ipc import wire

LINE_MAX: Final = 1 << 20
_TABLES: Final = msgspec.json.Decoder(wire.Directory)


class Tables:
    """Gathers octets until whole lines are there."""

    def __init__(self) -> None:
        self._rest = b""
        self.malformed = 0
        self.newest = wire.Directory(number=0, slots=())

    def feed(self, data: bytes) -> bool:
        """Take octets in; return whether `newest` was replaced."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_MAX:
            self._rest = b""
            self.malformed += 1
        taken = [self._take(line) for line in lines if line]
        return True in taken

    def _take(self, line: bytes) -> bool:
        try:
            table = _TABLES.decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            self.malformed += 1
            return False
        if table.number < self.newest.number:
            return False
        self.newest = table
        return True
