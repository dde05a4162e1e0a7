"""The receive buffer: octets in, lines or chunks out, each octet looked at once.

Pure. A line ends with CRLF for a server; a client also takes a bare LF from a sloppy server. A line past
the limit is still read to its end, and then given as LineTooLong; memory stays below limit + one chunk.
"""

from enum import Enum


class LineState(Enum):
    """What there is instead of a line."""

    INCOMPLETE = "incomplete"
    TOO_LONG = "too long"


class ReceiveBuffer:
    """Octets that were received and not yet understood."""

    __slots__ = ("_data", "_end", "_overlong", "_searched")

    def __init__(self, line_end: bytes = b"\r\n") -> None:
        self._data = bytearray()
        self._end = line_end
        self._searched = 0  # no line end begins before here
        self._overlong = False  # the head of the present line was thrown away

    def __len__(self) -> int:
        return len(self._data)

    @property
    def tail(self) -> bytes:
        """Return the last octets, six at most: a QUIT with its line end."""
        return bytes(self._data[-6:])

    def append(self, data: bytes) -> None:
        """Add what was received."""
        self._data += data

    def take_line(self, limit: int) -> bytes | LineState:
        """Return the next line without its end, or say why there is none.

        limit is in octets and counts the line end. TOO_LONG is said once, at the end of the long line.
        """
        data = self._data
        at = data.find(self._end, self._searched)
        if at < 0:
            self._searched = max(0, len(data) - len(self._end) + 1)
            if len(data) > limit:
                self._overlong = True
                del data[: self._searched]
                self._searched = 0
            return LineState.INCOMPLETE
        end = at + len(self._end)
        line = bytes(data[:at])
        del data[:end]
        self._searched = 0
        if self._overlong or end > limit:
            self._overlong = False
            return LineState.TOO_LONG
        return line

    def take(self, octets: int) -> bytes:
        """Return the next octets, at most so many."""
        data = bytes(self._data[:octets])
        del self._data[:octets]
        self._searched = 0
        return data

    def take_all(self) -> bytes:
        """Return everything and be empty."""
        data = bytes(self._data)
        self._data.clear()
        self._searched = 0
        return data
