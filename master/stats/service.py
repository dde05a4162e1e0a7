"""Take the processes' counts from a datagram socket, and serve their sums over HTTP as OpenMetrics text."""

import asyncio
import os
import socket
import time
from typing import Final

import msgspec

from columba import __version__
from columba.common.metrics.export import CONTENT_TYPE, Totals
from columba.common.metrics.push import DATAGRAM_MAX, SOCKET, Push
from columba.common.metrics.registry import Series
from columba.common.service import PUSH_S, Context
from columba.master.stats.settings import Settings

REQUEST_MAX: Final = 8192
REQUEST_S: Final = 10.0
CLOSE_S: Final = 2.0  # for what is left of an answer to go out
SILENT_PUSHES: Final = 3  # a process that misses so many is gone, and its gauges with it
DECODER: Final = msgspec.msgpack.Decoder(Push)


class Stats:
    """The service."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context = context
        self._totals = Totals()
        self._servers: list[asyncio.Server] = []
        self._socket: socket.socket | None = None
        self._active = self._total = self._malformed = 0

    async def start(self) -> None:
        """Bind the datagram socket and listen."""
        birth = self._context.birth
        path = birth.run / SOCKET
        path.unlink(missing_ok=True)
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        receiver.bind(str(path))
        os.chmod(path, 0o660)
        self._socket = receiver
        asyncio.get_running_loop().add_reader(receiver, self._receive, receiver)
        own = Series(
            "columba_build_info",
            "gauge",
            "Which version runs.",
            "",
            ("version",),
            (),
            (__version__,),
            (1.0,),
        )
        self._totals.take("", [own], float("inf"))
        for listener in birth.listeners:
            sock = socket.socket(fileno=listener.fd)
            self._servers.append(
                await asyncio.start_server(self._serve, sock=sock, limit=REQUEST_MAX)
            )

    def available(self) -> int:
        """Return how many more requests are taken."""
        return max(0, self._context.birth.client_limit - self._active)

    def total(self) -> int:
        """Return how many requests were taken."""
        return self._total

    def active(self) -> int:
        """Return 1 at least: stats is never idle."""
        return 1 + self._active

    def note(self) -> int:
        """Return how many datagrams were malformed."""
        return self._malformed

    async def drain(self, until_ns: int) -> None:
        """Stop listening; requests are answered within seconds."""
        for server in self._servers:
            server.close()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def _receive(self, receiver: socket.socket) -> None:
        for _ in range(100):  # then the next reader has its turn
            try:
                data = receiver.recv(DATAGRAM_MAX * 4)
            except BlockingIOError:
                return
            try:
                push = DECODER.decode(data)
            except msgspec.MsgspecError as error:
                self._malformed += 1
                self._context.event.warning("A malformed push was dropped", error=str(error))
                continue
            now_s = time.monotonic()
            self._totals.alive(push.process, now_s)
            self._malformed += self._totals.take(push.process, push.series, now_s)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._active += 1
        self._total += 1
        try:
            async with asyncio.timeout(REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            return
        finally:
            self._active -= 1
            writer.close()
            try:
                async with asyncio.timeout(CLOSE_S):
                    await writer.wait_closed()
            except (TimeoutError, OSError):
                writer.transport.abort()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        if method not in (b"GET", b"HEAD"):
            return http("405 Method Not Allowed", "text/plain", "Only GET.\n")
        if path != b"/metrics":
            return http("404 Not Found", "text/plain", "See /metrics.\n")
        silent_s = PUSH_S * SILENT_PUSHES
        self._totals.forget(time.monotonic() - silent_s)
        answer = http("200 OK", CONTENT_TYPE, self._totals.render())
        return answer if method == b"GET" else answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def http(status: str, content_type: str, text: str) -> bytes:
    """Return an HTTP/1.1 answer after which the connection is closed."""
    body = text.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
