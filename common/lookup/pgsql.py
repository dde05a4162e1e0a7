"""Tables in PostgreSQL, with asyncpg: `pgsql://user:password@host/database` and a query.

The key reaches the server as a parameter of the query, never as part of it. For a unix socket the folder is written as
`?host=/run/postgresql`.
"""

from typing import Final
from urllib.parse import unquote, urlsplit

import asyncpg

from columba.common.clock import left_s
from columba.common.config.general import LookupTable
from columba.common.errors import ConfigError, UnavailableError
from columba.common.lookup.pooled import Connection
from columba.common.lookup.rows import ROWS, value_of
from columba.common.lookup.template import Query, parse_query
from columba.common.pooled import LostError

_LOST: Final = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.AdminShutdownError,
    asyncpg.exceptions.CrashShutdownError,
    asyncpg.exceptions.CannotConnectNowError,
)


class PostgresConnection:
    """One connection."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", query: Query) -> None:
        self._connection, self._query = connection, query

    async def ask(self, key: str, until_ns: int) -> str | None:
        """Return the value of a key; raises LostError, UnavailableError."""
        values = self._query.values(key)
        if values is None:
            return None
        if any("\0" in value for value in values):
            return None  # text in PostgreSQL has no NUL: there can be no such key
        try:
            rows = await self._connection.fetch(self._query.text, *values)
        except _LOST as error:
            raise LostError(f"PostgreSQL: {error}") from error
        except asyncpg.PostgresError as error:
            raise UnavailableError(f"PostgreSQL: {error}") from error
        return value_of([tuple(row) for row in rows[:ROWS]])

    def close(self) -> None:
        """Drop it."""
        self._connection.terminate()


class Postgres:
    """Connects to a server."""

    def __init__(self, settings: LookupTable) -> None:
        self._url = settings.url.replace("pgsql://", "postgresql://", 1)
        parts = urlsplit(self._url)
        if not parts.path.strip("/"):
            raise ConfigError("pgsql: the URL names no database: pgsql://host/database")
        self._user = settings.username or unquote(parts.username or "") or None
        self._password = settings.password or unquote(parts.password or "") or None
        self._query = parse_query(settings.query, lambda n: f"${n}")

    async def connect(self, until_ns: int) -> Connection:
        """Return a new connection; raises UnavailableError."""
        try:
            connection = await asyncpg.connect(
                self._url,
                user=self._user,
                password=self._password,
                timeout=max(0.001, left_s(until_ns)),
                server_settings={"application_name": "columba"},
            )
        except (*_LOST, asyncpg.PostgresError, ValueError) as error:
            raise UnavailableError(f"PostgreSQL: {error or 'no answer in time'}") from error
        return PostgresConnection(connection, self._query)


def make(settings: LookupTable) -> Postgres:
    """Return what connects; raises ConfigError."""
    return Postgres(settings)
