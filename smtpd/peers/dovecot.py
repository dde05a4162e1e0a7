"""The client of the auth service: ours, or a real Dovecot, in the same words.

One connection per process, opened at the first use and again after a loss; many requests may be in flight.
A lost or silent service makes every open request a temporary failure (454), never a wrong password.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import Final

from columba.common.errors import PeerGoneError, PeerLateError, RemoteProtocolError
from columba.common.log.event import Event
from columba.common.sasl import dovecot
from columba.common.sasl.dovecot import Challenge, Fail, Offer, Ok, ServerMessages

CONNECT_S: Final = 5.0
READ: Final = 65536
Verdict = Ok | Fail | Challenge


class AuthClient:
    """Speaks to one auth socket. `mechanisms` is what it offered last, () before the first connect."""

    def __init__(self, path: str, event: Event) -> None:
        self._path, self._event = path, event
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._open: dict[int, asyncio.Future[Verdict]] = {}
        self._number = 0
        self._offered: asyncio.Future[tuple[str, ...]] | None = None
        self._connecting = asyncio.Lock()
        self._failures = 0  # to connect
        self.mechanisms: tuple[str, ...] = ()

    async def connect(self) -> None:
        """Make sure that there is a connection. Raises PeerGoneError.

        Who waits for the try of another fails with it: one silent service must not cost each its own five seconds.
        """
        failures = self._failures
        async with self._connecting:
            if self._writer is not None:
                return
            if self._failures != failures:
                raise PeerGoneError(f"{self._path}: can't be reached")
            await self._connect()

    async def begin(
        self, mechanism: str, params: Mapping[str, str], initial: bytes | None, timeout_s: float
    ) -> tuple[int, Verdict]:
        """Start an exchange; return its number and the service's word. Raises PeerGoneError, PeerLateError."""
        await self.connect()
        self._number += 1
        number = self._number
        return number, await self._ask(
            number, dovecot.auth_request(number, mechanism, params, initial), timeout_s
        )

    async def go_on(self, number: int, data: bytes, timeout_s: float) -> Verdict:
        """Send the client's next message. Raises PeerGoneError, PeerLateError."""
        return await self._ask(number, dovecot.continuation(number, data), timeout_s)

    def cancel(self, number: int) -> None:
        """Say that the client gave up."""
        if self._writer is not None:
            self._writer.write(dovecot.cancel(number))

    def close(self) -> None:
        """Close; open requests fail."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None  # not lost: we leave
        self._lose("closed")
        if self._reading is not None:
            self._reading.cancel()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        self._offered = loop.create_future()
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=READ)
                self._writer = writer
                writer.write(dovecot.client_hello(os.getpid()))
                self._reading = loop.create_task(self._read(reader, writer))
                self.mechanisms = await self._offered
        except (OSError, TimeoutError) as error:
            self._failures += 1
            self._lose(str(error))
            raise PeerGoneError(f"{self._path}: {error}") from error

    async def _ask(self, number: int, line: bytes, timeout_s: float) -> Verdict:
        if self._writer is None:
            raise PeerGoneError("the auth service is gone")
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._open[number] = future
        self._writer.write(line)
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError as error:
            raise PeerLateError("the auth service did not answer in time") from error
        finally:
            self._open.pop(number, None)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        messages = ServerMessages()
        problem = "connection closed"
        try:
            # No deadline: the service speaks when it is asked, and each question has its own.
            while data := await reader.read(READ):
                for message in messages.feed(data):
                    self._take(message)
        except (OSError, RemoteProtocolError) as error:
            problem = str(error)
        if self._writer is writer:  # else it was given up, and there may be another by now
            self._lose(problem)

    def _take(self, message: dovecot.ServerMessage) -> None:
        match message:
            case Offer(mechanisms):
                if self._offered is not None and not self._offered.done():
                    self._offered.set_result(mechanisms)
            case Ok() | Fail() | Challenge():
                future = self._open.get(message.number)
                if future is not None and not future.done():
                    future.set_result(message)

    def _lose(self, problem: str) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._event.warning("The auth service is gone", path=self._path, error=problem)
        error = PeerGoneError(problem)
        if self._offered is not None and not self._offered.done():
            self._offered.set_exception(ConnectionError(problem))
            self._offered.exception()  # nobody waits for it when connecting failed
        for future in self._open.values():
            if not future.done():
                future.set_exception(error)
