"""A connection to another server: octets in both directions, every wait with a deadline.

Deadlines are instants of CLOCK_MONOTONIC in nanoseconds. Input is bounded: when nobody reads, the other side
is stopped. It knows nothing of SMTP but that TLS may begin in the middle, on an empty buffer only
(octets that came in clear before the handshake must never be read as if TLS had protected them).
Servers have streams of their own, because they count by the thousand; this one is for clients.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Coroutine
from typing import Final, TypeVar, cast

from columba.common.clock import from_now, left_s
from columba.common.errors import ColumbaError

HIGH_WATER: Final = 256 * 1024
CLOSE_S: Final = 1.0
_DER: Final = 2  # _ssl.ENCODING_DER
T = TypeVar("T")


class StreamError(ColumbaError):
    """The connection is of no use any more: it broke, ended or could not be made."""


class StreamLateError(StreamError):
    """The deadline passed; nothing is known of what the other side has read."""


class StreamTlsError(StreamError):
    """TLS could not be agreed, or the certificate is not what was demanded."""


class Stream:
    """One connection, used by one task at a time; made by open_tcp and open_unix."""

    def __init__(self, protocol: "_Protocol", peer: str) -> None:
        self._protocol, self.peer = protocol, peer

    @property
    def is_idle(self) -> bool:
        """Tell whether the connection is open, and nothing has come in that was not read."""
        return not self._protocol.ended and not self._protocol.chunks

    @property
    def tls_version(self) -> str:
        """Return "TLSv1.3" and the like, or "" in clear."""
        tls = self._protocol.transport.get_extra_info("ssl_object")
        return (tls.version() or "") if tls is not None else ""

    @property
    def cipher(self) -> str:
        """Return the name of the cipher, or "" in clear."""
        tls = self._protocol.transport.get_extra_info("ssl_object")
        found = tls.cipher() if tls is not None else None
        return found[0] if found else ""

    def chain(self) -> tuple[bytes, ...]:
        """Return the certificates that the other side sent, DER, its own first; () in clear."""
        tls = self._protocol.transport.get_extra_info("ssl_object")
        if tls is None:
            return ()
        # Public from Python 3.13 on; the object inside has it since 3.10.
        ask = getattr(getattr(tls, "_sslobj", tls), "get_unverified_chain", None)
        found = ask() if ask is not None else None
        if found:
            return tuple(one.public_bytes(_DER) for one in found)
        own = tls.getpeercert(binary_form=True)
        return (own,) if own else ()

    async def read(self, deadline_ns: int) -> bytes:
        """Return what has come in, b"" at its end. Raises StreamError, StreamLateError."""
        protocol = self._protocol
        if not protocol.chunks and not protocol.ended:
            await _within(protocol.wait_readable(), deadline_ns, f"{self.peer} did not answer")
        if protocol.chunks:
            return protocol.take()
        if protocol.error is not None:
            raise StreamError(f"{self.peer}: {protocol.error}") from protocol.error
        return b""

    async def write(self, data: bytes, deadline_ns: int) -> None:
        """Send data, and wait while more than the kernel takes is unsent. Raises as read does."""
        protocol = self._protocol
        if protocol.ended:
            raise StreamError(f"{self.peer} closed the connection")
        protocol.transport.write(data)
        if protocol.is_full:
            await _within(protocol.wait_writable(), deadline_ns, f"{self.peer} does not read")
        if protocol.error is not None:
            raise StreamError(f"{self.peer}: {protocol.error}") from protocol.error

    async def start_tls(self, context: ssl.SSLContext, name: str, deadline_ns: int) -> None:
        """Turn to TLS; name is the host name for SNI and the certificate.

        Raises StreamTlsError (also when octets came in clear after the go-ahead), StreamLateError.
        """
        protocol = self._protocol
        if protocol.chunks:
            raise StreamTlsError(f"{self.peer} sent octets in clear before the TLS handshake")
        loop = asyncio.get_running_loop()
        try:
            transport = await _within(
                loop.start_tls(protocol.transport, protocol, context, server_hostname=name),
                deadline_ns,
                f"{self.peer} did not finish the TLS handshake",
            )
        except (OSError, EOFError, ValueError) as error:  # ssl.SSLError is an OSError
            raise StreamTlsError(f"{self.peer}: TLS: {error}") from error
        if transport is None:
            raise StreamTlsError(f"{self.peer} closed the connection in the TLS handshake")
        protocol.transport = transport

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        self._protocol.transport.abort()

    async def close(self) -> None:
        """Close after what was written is sent, within a second."""
        self._protocol.transport.close()
        try:
            await _within(self._protocol.wait_lost(), from_now(CLOSE_S), "")
        except StreamError:
            self.abort()


async def open_tcp(host: str, port: int, source: str, deadline_ns: int) -> Stream:
    """Connect to a literal address; source is the local address, "" = any. Raises StreamError."""
    loop = asyncio.get_running_loop()
    local = (source, 0) if source else None
    peer = f"[{host}]:{port}"
    work = loop.create_connection(_Protocol, host, port, local_addr=local)
    return await _open(work, peer, deadline_ns)


async def open_unix(path: str, deadline_ns: int) -> Stream:
    """Connect to a unix socket. Raises StreamError."""
    work = asyncio.get_running_loop().create_unix_connection(_Protocol, path)
    return await _open(work, path, deadline_ns)


async def _open(
    work: Coroutine[object, object, tuple[asyncio.BaseTransport, "_Protocol"]],
    peer: str,
    deadline_ns: int,
) -> Stream:
    try:
        _, protocol = await _within(work, deadline_ns, f"no connection to {peer} in time")
    except (OSError, ValueError) as error:
        raise StreamError(f"no connection to {peer}: {error}") from error
    return Stream(protocol, peer)


async def _within(work: Coroutine[object, object, T], deadline_ns: int, late: str) -> T:
    """Await work until the deadline. Raises StreamLateError with the text `late`."""
    try:
        async with asyncio.timeout(left_s(deadline_ns)):
            return await work
    except TimeoutError as error:
        raise StreamLateError(late) from error


class _Protocol(asyncio.Protocol):
    """Collects what comes in and wakes the one task that waits."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.chunks: deque[bytes] = deque()
        self.ended = False
        self.is_full = False
        self.error: Exception | None = None
        self._size = 0
        self._lost = False
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        self.chunks.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self.ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self._lost = True
        self.error = self.error or exc
        self._wake()

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        self._wake()

    def take(self) -> bytes:
        """Return all that came in."""
        data = self.chunks.popleft() if len(self.chunks) == 1 else b"".join(self.chunks)
        self.chunks.clear()
        if self._size > HIGH_WATER and not self._lost:
            self.transport.resume_reading()
        self._size = 0
        return data

    async def wait_readable(self) -> None:
        """Wait until something came in, or nothing will."""
        while not self.chunks and not self.ended:
            await self._wait()

    async def wait_writable(self) -> None:
        """Wait until the transport takes more, or the connection is gone."""
        while self.is_full and not self._lost:
            await self._wait()

    async def wait_lost(self) -> None:
        """Wait until the transport is closed."""
        while not self._lost:
            await self._wait()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
