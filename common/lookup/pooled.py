"""Tables that a server has, behind a pool of connections."""

from typing import Protocol

from columba.common.lookup.base import UNSURE, Peeked
from columba.common.pooled import Pool


class Connection(Protocol):
    """One connection, used by one task at a time."""

    async def ask(self, key: str, until_ns: int) -> str | None:
        """Return the value of a key, None if there is none. Raises LostError, UnavailableError."""
        ...

    def close(self) -> None:
        """Let go, without waiting."""
        ...


class Connect(Protocol):
    """Makes connections."""

    async def connect(self, until_ns: int) -> Connection:
        """Return a new connection. Raises UnavailableError."""
        ...


class PooledTable:
    """A Table behind connections."""

    def __init__(self, name: str, server: Connect, size: int) -> None:
        """name is what errors call the table; at most size connections are open."""
        self._pool: Pool[Connection] = Pool(f"lookup {name}", server.connect, size)

    def peek(self, key: str) -> Peeked:
        """Know nothing without asking."""
        return UNSURE

    async def get(self, key: str, timeout_s: float) -> str | None:
        """Return the value of a key, None when there is none; raises UnavailableError."""
        return await self._pool.run(timeout_s, lambda c, until_ns: c.ask(key, until_ns))

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()
