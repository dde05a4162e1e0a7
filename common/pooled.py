"""A bounded number of connections to a server: deadlines, and one more try on a fresh connection.

A connection that a server closed while it was idle is no failure: the question is asked again on a new one. After a
failed connect nobody waits for the next second: the answer is "unavailable" at once.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Generic, Protocol, TypeVar

from columba.common.clock import from_now
from columba.common.errors import UnavailableError

IDLE_S: Final = 60.0  # a connection that was idle for longer is not used again
DOWN_S: Final = 1.0
T = TypeVar("T")


class LostError(UnavailableError):
    """The connection is of no use any more; on another one the question may be answered."""


class Closes(Protocol):
    """A connection."""

    def close(self) -> None:
        """Let go, without waiting."""
        ...


C = TypeVar("C", bound=Closes)


class Pool(Generic[C]):
    """Connections of one event loop, each used by one task at a time.

    connect gets an instant of CLOCK_MONOTONIC and raises UnavailableError.
    """

    def __init__(self, name: str, connect: Callable[[int], Awaitable[C]], size: int) -> None:
        """name is what errors call the server; at most size connections are open."""
        self._name, self._connect_to = name, connect
        self._slots = asyncio.Semaphore(max(1, size))
        self._idle: deque[tuple[C, float]] = deque()
        self._down_until_s = 0.0
        self._is_closed = False

    async def run(self, timeout_s: float, work: Callable[[C, int], Awaitable[T]]) -> T:
        """Return what work makes of a connection until an instant; raises UnavailableError.

        Work that raises LostError on a connection that was used before is done again on another one: it must be
        harmless to do it twice.
        """
        until_ns = from_now(timeout_s)
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                return await self._run(until_ns, work)
        except TimeoutError as error:
            raise UnavailableError(f"{self._name}: no answer in {timeout_s:g} s") from error

    def close(self) -> None:
        """Close what is idle now, and the rest when it is given back."""
        self._is_closed = True
        while self._idle:
            self._idle.popleft()[0].close()

    async def _run(self, until_ns: int, work: Callable[[C, int], Awaitable[T]]) -> T:
        while True:
            known = self._take()
            connection = known or await self._connect(until_ns)
            try:
                value = await work(connection, until_ns)
            except LostError as error:
                connection.close()
                if known is None:
                    raise UnavailableError(f"{self._name}: {error}") from error
                continue
            except UnavailableError as error:
                connection.close()
                raise UnavailableError(f"{self._name}: {error}") from error
            except BaseException:
                connection.close()
                raise
            self._give_back(connection)
            return value

    def _take(self) -> C | None:
        """Return the idle connection that was used last; those that are too old are closed."""
        while self._idle:
            connection, since_s = self._idle.pop()
            if time.monotonic() - since_s < IDLE_S:
                return connection
            connection.close()
        return None

    def _give_back(self, connection: C) -> None:
        if self._is_closed:
            connection.close()
        else:
            self._idle.append((connection, time.monotonic()))

    async def _connect(self, until_ns: int) -> C:
        if time.monotonic() < self._down_until_s:
            raise UnavailableError(f"{self._name}: the server was down a moment ago")
        try:
            return await self._connect_to(until_ns)
        except UnavailableError as error:
            self._down_until_s = time.monotonic() + DOWN_S
            raise UnavailableError(f"{self._name}: {error}") from error
