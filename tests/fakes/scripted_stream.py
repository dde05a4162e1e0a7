"""A hop that is a script: it says its lines when ours have come, whole or octet by octet.

A script is lines of "S: what the hop says", "C: what we must say" and "#: a message of so many octets"; a line
"S! text" closes after it, "S!" closes at once. Whatever else we say is noted in `wrong`.
"""

from collections.abc import Sequence

from columba.common.net.stream import Stream, StreamError, StreamLateError


class ScriptedStream(Stream):
    """A Stream over a script; `asked` holds the deadlines of all waits, in order."""

    def __init__(self, script: Sequence[str], piece: int = 0) -> None:
        self._script = list(script)
        self._piece = piece
        self._pending = b""  # what the hop has said and nobody has read
        self._heard = b""
        self._closed = False
        self.wrong: list[str] = []
        self.asked: list[int] = []
        self.peer = "script"
        self._advance()

    @property
    def is_idle(self) -> bool:
        """Tell whether the hop has said nothing that was not read."""
        return not self._pending and not self._closed

    @property
    def tls_version(self) -> str:
        """There is no TLS."""
        return ""

    @property
    def is_done(self) -> bool:
        """Tell whether the whole script was played."""
        return not self._script and not self._heard

    async def read(self, deadline_ns: int) -> bytes:
        """Return what the hop says; a hop that waits for us to speak is silent for good."""
        self.asked.append(deadline_ns)
        if not self._pending:
            if self._closed:
                return b""
            raise StreamLateError("the hop is silent")
        size = self._piece or len(self._pending)
        data, self._pending = self._pending[:size], self._pending[size:]
        return data

    async def write(self, data: bytes, deadline_ns: int) -> None:
        """Hear what we say."""
        self.asked.append(deadline_ns)
        if self._closed and not self._pending:
            raise StreamError("the hop has closed")
        self._heard += data
        self._advance()

    def abort(self) -> None:
        """Close."""
        self._closed = True

    async def close(self) -> None:
        """Close."""
        self._closed = True

    def _advance(self) -> None:
        """Play the script as far as it goes."""
        while self._script and self._step(self._script[0]):
            self._script.pop(0)

    def _step(self, line: str) -> bool:
        """Play one line; return False when it waits for more of ours."""
        if line.startswith("S"):
            if line[3:] or line[1] == ":":
                self._pending += line[3:].encode() + b"\r\n"
            self._closed = self._closed or line[1] == "!"
            return True
        if line.startswith("#"):
            size = int(line[3:])
            if len(self._heard) < size:
                return False
            self._heard = self._heard[size:]
            return True
        said, end, rest = self._heard.partition(b"\r\n")
        if not end:
            return False
        self._heard = rest
        if said.decode() != line[3:]:
            self.wrong.append(f"{said.decode()!r} instead of {line[3:]!r}")
        return True
