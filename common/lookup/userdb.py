"""The users of a Dovecot: `userdb:/run/dovecot/auth-userdb`, the socket of its authentication process.

The key is a user; the value is the field that `query` names (home, quota_rule, …), or, without one, the user's own name
as Dovecot normalises it. A user without the field has the value "". `?service=` is the service that Dovecot is told.
"""

from typing import Final

from columba.common.config.general import LookupTable
from columba.common.errors import ConfigError, RemoteProtocolError, UnavailableError
from columba.common.lookup.pooled import Connection
from columba.common.net.endpoint import Endpoint
from columba.common.net.stream import Stream, StreamError
from columba.common.pooled import LostError
from columba.common.sasl.dovecot import (
    Fail,
    ServerMessage,
    ServerMessages,
    UserFound,
    UserUnknown,
    line,
    user_request,
)

SERVICE: Final = "lmtp"
USER_MAX: Final = 1024
_LAST: Final = 1 << 31


class UserdbConnection:
    """One connection; requests are numbered."""

    def __init__(self, stream: Stream, field: str, service: str) -> None:
        self._stream, self._field, self._service = stream, field, service
        self._messages = ServerMessages()
        self._number = 0

    async def greet(self, until_ns: int) -> None:
        """Say which protocol we speak; the server says it with its first answer."""
        try:
            await self._stream.write(line("VERSION", "1", "0"), until_ns)
        except StreamError as error:
            raise UnavailableError(str(error)) from error

    async def ask(self, key: str, until_ns: int) -> str | None:
        """Return the value of a user; raises LostError, UnavailableError."""
        if len(key) > USER_MAX:
            return None
        self._number = self._number % _LAST + 1
        try:
            await self._stream.write(user_request(self._number, key, self._service), until_ns)
            return self._value(await self._answer(until_ns))
        except StreamError as error:
            raise LostError(str(error)) from error
        except RemoteProtocolError as error:
            raise UnavailableError(f"Dovecot: {error}") from error

    def close(self) -> None:
        """Drop it."""
        self._stream.abort()

    async def _answer(self, until_ns: int) -> ServerMessage:
        while True:
            data = await self._stream.read(until_ns)
            if not data:
                raise LostError("Dovecot closed the connection")
            for message in self._messages.feed(data):
                if getattr(message, "number", 0) == self._number:
                    return message

    def _value(self, message: ServerMessage) -> str | None:
        match message:
            case UserFound(user=user, fields=fields):
                return fields.get(self._field, "") if self._field else user
            case UserUnknown():
                return None
            case Fail(reason=reason):
                raise UnavailableError(f"Dovecot: {reason or 'temporary failure'}")
            case _:
                raise UnavailableError("Dovecot gave another answer than was asked for")


class Userdb:
    """Connects to a Dovecot."""

    def __init__(self, path: str, field: str, service: str) -> None:
        self._endpoint, self._field, self._service = Endpoint(path=path), field, service

    async def connect(self, until_ns: int) -> Connection:
        """Return a new connection; raises UnavailableError."""
        stream = await self._endpoint.connect(until_ns)
        connection = UserdbConnection(stream, self._field, self._service)
        await connection.greet(until_ns)
        return connection


def make(settings: LookupTable) -> Userdb:
    """Return what connects; raises ConfigError."""
    path, _, options = settings.url.removeprefix("userdb:").partition("?")
    service = options.removeprefix("service=") if options.startswith("service=") else SERVICE
    if not path.startswith("/") or (options and not options.startswith("service=")):
        raise ConfigError("userdb: write userdb:/path/to/auth-userdb, perhaps with ?service=NAME")
    return Userdb(path, settings.query.strip(), service)
