"""smtpd: accepts clients on the inherited sockets, within limits, and drains when it is told to."""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from columba.common.errors import ConfigError, PeerError
from columba.common.ipc.master import Listener
from columba.common.service import Context
from columba.smtpd.connection import HANDSHAKE_S, Connection
from columba.smtpd.listening import make_profile
from columba.smtpd.session import is_within
from columba.smtpd.settings import Settings
from columba.smtpd.shared import make_shared
from columba.smtpd.tls import server_context

BACKLOG: Final = 4096


class SmtpService:
    """The connections of one process."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context = context
        try:
            self._shared = make_shared(context, server_context(context.birth.certificates))
        except ValueError as error:
            raise ConfigError(f"trusted_networks: {error}") from error
        self._servers: list[asyncio.AbstractServer] = []
        self._connections: set[Connection] = set()
        self._by_ip: Counter[str] = Counter()
        self._total = 0
        self._empty = asyncio.Event()

    async def start(self) -> None:
        """Accept on every socket."""
        if self._shared.auth is not None:
            self._context.spawn(self._learn_mechanisms(), "auth")
        for listener in self._context.birth.listeners:
            await self._listen(listener)

    def available(self) -> int:
        """Return how many more clients are taken."""
        return max(0, self._context.birth.client_limit - len(self._connections))

    def total(self) -> int:
        """Return how many clients came so far."""
        return self._total

    def active(self) -> int:
        """Return how many clients are there."""
        return len(self._connections)

    def note(self) -> int:
        """Return nothing: the directory has no figure of smtpd."""
        return 0

    async def drain(self, until_ns: int) -> None:
        """Accept no more; let messages that are on their way be answered, close the rest with 421."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.retire()
        self._shared.handoff.hurry(until_ns)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.1, (until_ns - time.monotonic_ns()) / 1e9)):
                await self._wait_empty()
        for connection in list(self._connections):
            connection.abort()
        if self._shared.auth is not None:
            self._shared.auth.close()
        await self._shared.handoff.close(max(0.5, (until_ns - time.monotonic_ns()) / 1e9))

    def opened(self, connection: Connection) -> str:
        """Count a connection in; return why it is refused, or ""."""
        self._total += 1
        self._connections.add(connection)
        ip = connection.ip
        self._by_ip[ip] += 1
        self._context.changed()
        if len(self._connections) > self._context.birth.client_limit:
            return "Too many connections"
        is_many = bool(ip) and self._by_ip[ip] > self._shared.settings.client_limit_per_ip
        if is_many and not is_within(ip, self._shared.trusted):
            return "Too many connections from your address"
        return "Service is shutting down" if self._context.is_draining else ""

    def closed(self, connection: Connection) -> None:
        """Count it out."""
        self._connections.discard(connection)
        self._by_ip[connection.ip] -= 1
        if self._by_ip[connection.ip] <= 0:
            del self._by_ip[connection.ip]
        if not self._connections:
            self._empty.set()
        self._context.changed()

    async def _wait_empty(self) -> None:
        while self._connections:
            self._empty.clear()
            await self._empty.wait()

    async def _listen(self, listener: Listener) -> None:
        loop = asyncio.get_running_loop()
        tls = self._shared.tls if listener.ssl else None
        if listener.ssl and tls is None:
            raise ConfigError(
                f"inet_listener {listener.name} has ssl = yes, but there is no certificate"
            )
        profile = make_profile(listener, self._shared.settings)
        make: Callable[[], Connection] = lambda: Connection(self._shared, self, profile)  # noqa: E731
        sock = socket.socket(fileno=listener.fd)
        sock.setblocking(False)
        timeout_s = HANDSHAKE_S if tls else None
        if listener.kind == "unix":
            server: asyncio.AbstractServer = await loop.create_unix_server(make, sock=sock)
        else:
            server = await loop.create_server(
                make, sock=sock, ssl=tls, backlog=BACKLOG, ssl_handshake_timeout=timeout_s
            )
        self._servers.append(server)

    async def _learn_mechanisms(self) -> None:
        if self._shared.auth is None:
            return
        try:
            await self._shared.auth.connect()
        except PeerError as error:
            # The first client that authenticates connects again.
            self._context.event.debug("The auth service is not there yet", error=str(error))
