"""HTTP/1.1 as far as S3 needs it, on an event loop: one connection, one request at a time.

The same as s3_wire.py without a thread: a thread for each request costs as much as the request, and a loop that is busy
lets each of its steps wait. For small bodies: an answer stands in memory whole.
"""

import asyncio
from typing import Final, cast

from columba.queue.store.s3_wire import (
    HEAD_LIMIT,
    INTERIM_MOST,
    Head,
    WireError,
    chunk_size,
    forget_unsent,
    length_of,
    parse_head,
)

_END: Final = b"\r\n\r\n"


class Link(asyncio.Protocol):
    """One connection. most: octets of a body that are taken."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[tuple[Head, bytes]] | None = None
        self._buffer = bytearray()
        self._head: Head | None = None
        self._method, self._interim = "", 0

    @property
    def is_open(self) -> bool:
        """Tell whether a request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, method: str, head: bytes, body: bytes) -> tuple[Head, bytes]:
        """Send a request and return the final answer; WireError, OSError. After any error the link is of no use."""
        if self._transport is None or self._waiter is not None:
            raise WireError("hung up")
        self._method = method
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(head + body)
        try:
            return await self._waiter
        finally:
            self._waiter = None

    def close(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            opened = self._transport.get_extra_info("socket")
            if opened is not None:
                forget_unsent(opened)
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the request that waits."""
        self._transport = None
        self._fail(exc if isinstance(exc, OSError) else WireError("hung up"))

    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer; what nobody waits for closes the connection."""
        self._buffer += data
        if self._waiter is None or self._waiter.done():
            self.close()
            return
        try:
            done = self._read()
        except WireError as error:
            self._fail(error)
            self.close()
            return
        if done is None:
            return
        self._waiter.set_result(done)
        if self._buffer:
            self.close()  # what comes behind an answer would be taken for the next one's beginning

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _read(self) -> tuple[Head, bytes] | None:
        """Return the answer when all of it is here; WireError."""
        while self._head is None:
            at = self._buffer.find(_END)
            if max(at, 0) > HEAD_LIMIT or (at < 0 and len(self._buffer) > HEAD_LIMIT):
                raise WireError("a head that is too long")
            if at < 0:
                return None
            head = parse_head(bytes(self._buffer[:at]).split(b"\r\n"))
            del self._buffer[: at + len(_END)]
            self._head = head if head.status >= 200 else None
            self._interim += 1
            if self._head is None and self._interim >= INTERIM_MOST:
                raise WireError("no final answer")
        body = self._body(self._head)
        if body is None:
            return None
        head, self._head, self._interim = self._head, None, 0
        return head, body

    def _body(self, head: Head) -> bytes | None:
        if self._method == "HEAD" or head.status in {204, 304}:
            return b""
        if "chunked" in head.headers.get("transfer-encoding", "").lower():
            return self._chunks()
        length = length_of(head)
        if length > self._most:
            raise WireError("a body that is too long")
        return self._cut(length) if len(self._buffer) >= length else None

    def _chunks(self) -> bytes | None:
        """Return a body in chunks when all of them are here, from the first one each time: such bodies are small."""
        found, at = bytearray(), 0
        while True:
            end = self._buffer.find(b"\r\n", at)
            if end < 0:
                return None
            size = chunk_size(bytes(self._buffer[at:end]))
            if len(found) + size > self._most:
                raise WireError("a body that is too long")
            at = end + 2
            if not size:
                return self._trailed(bytes(found), at - 2)
            if len(self._buffer) < at + size + 2:
                return None
            found += self._buffer[at : at + size]
            at += size + 2
            if self._buffer[at - 2 : at] != b"\r\n":
                raise WireError("a chunk that is longer than it says")

    def _trailed(self, body: bytes, at: int) -> bytes | None:
        """Return the body when the empty line after its trailers is here."""
        end = self._buffer.find(_END, at)
        if end < 0:
            return None
        self._cut(end + len(_END))
        return body

    def _cut(self, size: int) -> bytes:
        cut = bytes(self._buffer[:size])
        del self._buffer[:size]
        return cut
