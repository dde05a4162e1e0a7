"""Where a server of ours is, in Postfix's words: `inet:host:port`, `unix:/path`; and how to connect to it.

Host names are looked up by the system's resolver, off the loop.
"""

import asyncio
import socket
from dataclasses import dataclass

from columba.common.clock import left_s
from columba.common.errors import ConfigError, UnavailableError
from columba.common.net.stream import Stream, StreamError, open_tcp, open_unix


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A TCP port, or a unix socket if path is set."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """Return how errors call it."""
        return self.path or f"{self.host}:{self.port}"

    async def connect(self, until_ns: int) -> Stream:
        """Return a connection; raises UnavailableError."""
        try:
            if self.path:
                return await open_unix(self.path, until_ns)
            return await open_tcp(await self._address(until_ns), self.port, "", until_ns)
        except StreamError as error:
            raise UnavailableError(str(error)) from error

    async def _address(self, until_ns: int) -> str:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(left_s(until_ns)):
                found = await loop.getaddrinfo(
                    self.host, self.port, type=socket.SOCK_STREAM, family=socket.AF_UNSPEC
                )
        except (OSError, UnicodeError) as error:
            raise UnavailableError(f"{self.host}: {error}") from error
        return str(found[0][4][0])


def parse_endpoint(text: str) -> Endpoint:
    """Read "inet:host:port", "host:port", "unix:/path"; raises ConfigError."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/"):
            raise ConfigError(f"{text!r} needs an absolute path")
        return Endpoint(path=path)
    host, _, port = text.removeprefix("inet:").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port[:6]) < 65536:
        raise ConfigError(f"{text!r} is neither unix:/path nor inet:host:port")
    return Endpoint(host.strip("[]"), int(port))
