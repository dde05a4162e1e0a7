"""Tables in MySQL or MariaDB, with aiomysql: `mysql://user:password@host/database` and a query.

The driver quotes the key for the connection's character set, utf8mb4. A unix socket is written as
`?unix_socket=/run/mysqld/mysqld.sock`. `?ssl=yes` demands TLS with a certificate that is verified.
"""

import asyncio
import ssl
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import aiomysql
import pymysql

from columba.common.clock import left_s
from columba.common.config.general import LookupTable
from columba.common.errors import ConfigError, UnavailableError
from columba.common.lookup.pooled import Connection
from columba.common.lookup.rows import ROWS, value_of
from columba.common.lookup.template import Query, parse_query
from columba.common.pooled import LostError

_LOST: Final = (
    OSError,
    EOFError,
    pymysql.err.OperationalError,
    pymysql.err.InterfaceError,
    pymysql.err.InternalError,
)


class MysqlConnection:
    """One connection."""

    def __init__(self, connection: aiomysql.Connection, query: Query) -> None:
        self._connection, self._query = connection, query

    async def ask(self, key: str, until_ns: int) -> str | None:
        """Return the value of a key; raises LostError, UnavailableError."""
        values = self._query.values(key)
        if values is None:
            return None
        try:
            cursor = await self._connection.cursor()
            await cursor.execute(self._query.text, values)
            rows = await cursor.fetchmany(ROWS)
            await cursor.close()
        except _LOST as error:
            raise LostError(f"MySQL: {_words(error)}") from error
        except pymysql.err.MySQLError as error:
            raise UnavailableError(f"MySQL: {_words(error)}") from error
        return value_of(rows)

    def close(self) -> None:
        """Drop it."""
        self._connection.close()


class Mysql:
    """Connects to a server."""

    def __init__(self, settings: LookupTable) -> None:
        parts = urlsplit(settings.url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self._host, self._port = parts.hostname or "localhost", parts.port or 3306
        self._socket = options.get("unix_socket")
        self._tls = ssl.create_default_context() if options.get("ssl") == "yes" else None
        self._database = parts.path.strip("/")
        if not self._database:
            raise ConfigError("mysql: the URL names no database: mysql://host/database")
        self._user = settings.username or unquote(parts.username or "")
        self._password = settings.password or unquote(parts.password or "")
        # The driver fills in %s, so that a percent sign of the query is doubled.
        self._query = parse_query(settings.query, lambda n: "%s", lambda t: t.replace("%", "%%"))

    async def connect(self, until_ns: int) -> Connection:
        """Return a new connection; raises UnavailableError."""
        try:
            async with asyncio.timeout(left_s(until_ns)):
                connection = await aiomysql.connect(
                    host=self._host,
                    port=self._port,
                    user=self._user,
                    password=self._password,
                    db=self._database,
                    unix_socket=self._socket,
                    ssl=self._tls,
                    charset="utf8mb4",
                    autocommit=True,
                    program_name="columba",
                )
        except (*_LOST, pymysql.err.MySQLError) as error:
            raise UnavailableError(f"MySQL: {_words(error)}") from error
        return MysqlConnection(connection, self._query)


def make(settings: LookupTable) -> Mysql:
    """Return what connects; raises ConfigError."""
    return Mysql(settings)


def _words(error: BaseException) -> str:
    return " ".join(str(word) for word in error.args) or type(error).__name__
