"""One connection to Redis or Valkey, by redis-py: commands one at a time.

redis://[user:password@]host[:port]/db    rediss:// with TLS, the certificate verified    redis+unix:/path?db=0
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisLostError

from columba.common.clock import left_s
from columba.common.errors import ConfigError, UnavailableError
from columba.common.pooled import LostError

PORT: Final = 6379
Word = str | bytes | int
Reply = object  # what the server says: None, int, bytes, list


@dataclass(frozen=True, slots=True)
class RedisServer:
    """Where a server is and who we are there; options are those of the URL."""

    host: str
    port: int
    path: str
    db: int
    has_tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    async def connect(self, until_ns: int) -> "RedisLink":
        """Return a connection; raises UnavailableError."""
        connection = self._make()
        try:
            async with asyncio.timeout(left_s(until_ns)):
                await connection.connect()  # type: ignore[no-untyped-call]  # the library's own
        except (RedisError, OSError) as error:
            raise UnavailableError(f"Redis: {error or 'no answer in time'}") from error
        return RedisLink(connection)

    def _make(self) -> Connection | UnixDomainSocketConnection:
        if self.path:
            return UnixDomainSocketConnection(
                path=self.path, db=self.db, username=self.username, password=self.password
            )
        kind = SSLConnection if self.has_tls else Connection
        return kind(
            host=self.host,
            port=self.port,
            db=self.db,
            username=self.username,
            password=self.password,
        )


class RedisLink:
    """A connection."""

    def __init__(self, connection: Connection | UnixDomainSocketConnection) -> None:
        self._connection = connection

    async def call(self, *words: Word) -> Reply:
        """Return the answer to a command; raises LostError, UnavailableError. The pool has the deadline."""
        try:
            await self._connection.send_command(*words, check_health=False)
            return await self._connection.read_response()
        except (AuthenticationError, ResponseError) as error:
            raise UnavailableError(f"Redis: {error}") from error
        except (RedisLostError, OSError) as error:
            raise LostError(f"Redis: {error}") from error
        except RedisError as error:
            raise UnavailableError(f"Redis: {error}") from error

    def close(self) -> None:
        """Drop it."""
        with contextlib.suppress(OSError, RuntimeError):
            # The public way waits for the server.
            self._connection._close()  # type: ignore[no-untyped-call]  # the library's own


def parse_redis_url(url: str, username: str = "", password: str = "") -> RedisServer:
    """Read a URL; username and password beside it win. Raises ConfigError."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    is_unix = parts.scheme == "redis+unix"
    if is_unix and not parts.path.startswith("/"):
        raise ConfigError("redis+unix: needs an absolute path")
    number = options.pop("db", "0") if is_unix else parts.path.strip("/") or "0"
    try:
        port = parts.port or PORT
    except ValueError as error:
        raise ConfigError(f"redis: {error}") from error
    if not number.isascii() or not number.isdecimal():
        raise ConfigError("redis: the number of the database is no number")
    return RedisServer(
        host=parts.hostname or "localhost",
        port=port,
        path=parts.path if is_unix else "",
        db=int(number),
        has_tls=parts.scheme == "rediss",
        username=username or unquote(parts.username or "") or None,
        password=password or unquote(parts.password or "") or None,
        options=options,
    )
