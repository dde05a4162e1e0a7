"""tcp_table(5): `tcp:host:port`. A line asks, a line answers.

"get KEY", and "200 VALUE", "500 why" (no such key), "400 why" (can't tell). Control characters, blanks, percent signs
and octets above 126 are written %XX in both directions.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from columba.common.config.general import LookupTable
from columba.common.errors import UnavailableError
from columba.common.lookup.pooled import Connection
from columba.common.net.endpoint import Endpoint, parse_endpoint
from columba.common.net.stream import Stream, StreamError
from columba.common.pooled import LostError

LINE_MAX: Final = 4096  # octets: the limit of the protocol
_SPECIAL: Final = re.compile(rb"[^!-$&-~]")


def quoted(text: bytes) -> bytes:
    """Return text as it stands in a line."""
    return _SPECIAL.sub(lambda match: b"%%%02X" % match[0][0], text)


def read_line(line: bytes) -> str | None:
    """Return the value of an answer, None for 500; raises UnavailableError."""
    code, _, rest = line.rstrip(b"\r").partition(b" ")
    text = unquote_to_bytes(rest).decode("utf-8", "replace")
    if code == b"200":
        return text
    if code == b"500":
        return None
    raise UnavailableError(line[:200].decode("ascii", "replace"))


class TcpConnection:
    """One connection."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def ask(self, key: str, until_ns: int) -> str | None:
        """Return the value of a key; raises LostError, UnavailableError."""
        request = b"get %b\n" % quoted(key.encode())
        if len(request) > LINE_MAX:
            return None
        buffer = b""
        try:
            if not self._stream.is_idle:
                raise LostError("the server closed the connection")
            await self._stream.write(request, until_ns)
            while b"\n" not in buffer:
                more = await self._stream.read(until_ns)
                if not more:
                    raise LostError("the server closed the connection")
                buffer += more
                if len(buffer) > LINE_MAX:
                    raise UnavailableError("the answer is longer than a line may be")
        except StreamError as error:
            raise LostError(str(error)) from error
        return read_line(buffer.partition(b"\n")[0])

    def close(self) -> None:
        """Drop it."""
        self._stream.abort()


class TcpTable:
    """Connects to a server."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def connect(self, until_ns: int) -> Connection:
        """Return a new connection; raises UnavailableError."""
        return TcpConnection(await self._endpoint.connect(until_ns))


def make(settings: LookupTable) -> TcpTable:
    """Return what connects; raises ConfigError."""
    return TcpTable(parse_endpoint(settings.url.removeprefix("tcp:").removeprefix("//")))
