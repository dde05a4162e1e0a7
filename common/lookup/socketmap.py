"""socketmap_table(5): `socketmap:inet:host:port:name` or `socketmap:unix:/path:name`.

Requests and replies are netstrings: "NAME KEY", and "OK VALUE", "NOTFOUND ", "TEMP why", "TIMEOUT why", "PERM why".
What is not OK or NOTFOUND is a temporary failure: of a table that is set up wrongly nothing can be said about a key.
"""

import re
from typing import Final

from columba.common.config.general import LookupTable
from columba.common.errors import ConfigError, UnavailableError
from columba.common.lookup.base import VALUE_MAX
from columba.common.lookup.pooled import Connection
from columba.common.net.endpoint import Endpoint, parse_endpoint
from columba.common.net.stream import Stream, StreamError
from columba.common.pooled import LostError

REPLY_MAX: Final = 100_000  # octets: the limit of Postfix
_LENGTH: Final = re.compile(rb"([0-9]{1,6}):")


def netstring(data: bytes) -> bytes:
    """Return data as a netstring."""
    return b"%d:%b," % (len(data), data)


def take_netstring(buffer: bytes) -> tuple[bytes, int] | None:
    """Return the content of the netstring at the begin of a buffer, and its length; None: more is needed.

    Raises ValueError for what is none, or is too long.
    """
    colon = buffer.find(b":", 0, 8)
    if colon < 0 and len(buffer) < 8 and (not buffer or buffer.isdigit()):
        return None
    match = _LENGTH.match(buffer)
    if match is None or int(match[1]) > REPLY_MAX:
        raise ValueError("no netstring")
    end = match.end() + int(match[1])
    if len(buffer) <= end:
        return None
    if buffer[end : end + 1] != b",":
        raise ValueError("a netstring without its comma")
    return buffer[match.end() : end], end + 1


class SocketmapConnection:
    """One connection."""

    def __init__(self, stream: Stream, name: bytes) -> None:
        self._stream, self._name = stream, name

    async def ask(self, key: str, until_ns: int) -> str | None:
        """Return the value of a key; raises LostError, UnavailableError."""
        buffer = b""
        try:
            if not self._stream.is_idle:
                raise LostError("the server closed the connection")
            await self._stream.write(netstring(b"%b %b" % (self._name, key.encode())), until_ns)
            while (taken := take_netstring(buffer)) is None:
                more = await self._stream.read(until_ns)
                if not more:
                    raise LostError("the server closed the connection")
                buffer += more
        except StreamError as error:
            raise LostError(str(error)) from error
        except ValueError as error:
            raise UnavailableError(f"not understood: {error}") from error
        return read_reply(taken[0])

    def close(self) -> None:
        """Drop it."""
        self._stream.abort()


def read_reply(reply: bytes) -> str | None:
    """Return the value of a reply, None for NOTFOUND; raises UnavailableError."""
    word, _, rest = reply.partition(b" ")
    if word == b"NOTFOUND":
        return None
    text = rest.decode("utf-8", "replace")
    if word != b"OK" or len(text) > VALUE_MAX:
        raise UnavailableError(reply[:200].decode("ascii", "replace"))
    return text


class Socketmap:
    """Connects to a server."""

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self._endpoint, self._name = endpoint, name.encode()

    async def connect(self, until_ns: int) -> Connection:
        """Return a new connection; raises UnavailableError."""
        return SocketmapConnection(await self._endpoint.connect(until_ns), self._name)


def make(settings: LookupTable) -> Socketmap:
    """Return what connects; raises ConfigError."""
    where, _, name = settings.url.removeprefix("socketmap:").rpartition(":")
    if not name or " " in name:
        raise ConfigError(
            "socketmap: write socketmap:inet:HOST:PORT:NAME or socketmap:unix:/PATH:NAME"
        )
    return Socketmap(parse_endpoint(where), name)
