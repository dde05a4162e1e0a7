"""smtpd: accepts clients on the inherited sockets, within limits, and drains when it is told to."""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from columba.common.errors import ConfigError, PeerError, RemoteProtocolError
from columba.common.ipc.master import Listener
from columba.common.service import Context
from columba.smtpd.accepting import Acceptor, Admit, peer_of
from columba.smtpd.arrival import Ends, plain_ip
from columba.smtpd.connection import HANDSHAKE_S, Connection
from columba.smtpd.listening import Profile, make_profile
from columba.smtpd.proxied import read_header
from columba.smtpd.session import Role, is_within
from columba.smtpd.settings import Settings
from columba.smtpd.shared import make_shared
from columba.smtpd.tls import ClientCerts, ServerTls

BACKLOG: Final = 4096


class SmtpService:
    """The connections of one process."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context = context
        settings = context.settings
        clients = ClientCerts(
            settings.ssl_server_request_client_cert, settings.ssl_server_cert_username_field
        )
        self._tls = ServerTls(context.birth.tls, clients)
        context.on_tls = self._tls.replace
        try:
            self._shared = make_shared(context, self._tls)
        except ValueError as error:
            raise ConfigError(f"trusted_networks: {error}") from error
        self._servers: list[asyncio.AbstractServer | Acceptor] = []
        self._accepting: set[asyncio.Task[None]] = set()
        self._opening: dict[Connection, str] = {}  # accepted, but not yet through the handshake
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
        return max(0, self._context.birth.client_limit - self.active())

    def total(self) -> int:
        """Return how many clients came so far."""
        return self._total

    def active(self) -> int:
        """Return how many clients are there."""
        return len(self._connections) + len(self._opening)

    def note(self) -> int:
        """Return nothing: the directory has no figure of smtpd."""
        return 0

    async def drain(self, until_ns: int) -> None:
        """Accept no more; let messages that are on their way be answered, close the rest with 421."""
        for task in self._accepting:
            task.cancel()
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
        self._forget_opening(connection)
        self._total += 1
        self._connections.add(connection)
        self._by_ip[connection.ip] += 1
        self._context.changed()
        return self._refusal(connection.ip, 0)

    def closed(self, connection: Connection) -> None:
        """Count it out."""
        self._connections.discard(connection)
        self._leave(connection.ip)
        if not self._connections:
            self._empty.set()
        self._context.changed()

    def _refusal(self, ip: str, more: int) -> str:
        """Return why a client of this address is refused, ""; more is 1 before it is counted."""
        if self.active() + more > self._context.birth.client_limit:
            return "Too many connections"
        is_many = bool(ip) and self._by_ip[ip] + more > self._shared.settings.client_limit_per_ip
        if is_many and not is_within(ip, self._shared.trusted):
            return "Too many connections from your address"
        return "Service is shutting down" if self._context.is_draining else ""

    def _leave(self, ip: str) -> None:
        self._by_ip[ip] -= 1
        if self._by_ip[ip] <= 0:
            del self._by_ip[ip]

    async def _wait_empty(self) -> None:
        while self._connections:
            self._empty.clear()
            await self._empty.wait()

    async def _listen(self, listener: Listener) -> None:
        loop = asyncio.get_running_loop()
        if listener.ssl and not self._tls:
            raise ConfigError(
                f"inet_listener {listener.name} has ssl = yes, but there is no certificate"
            )
        profile = make_profile(listener, self._shared.settings, self._context.off_loop)
        make: Callable[[], Connection] = lambda: Connection(self._shared, self, profile)  # noqa: E731
        sock = socket.socket(fileno=listener.fd)
        sock.setblocking(False)
        if listener.haproxy:
            self._accept_proxied(sock, profile)
        elif listener.ssl:
            self._accept_tls(sock, profile)
        elif listener.kind == "unix":
            self._servers.append(await loop.create_unix_server(make, sock=sock))
        else:
            self._servers.append(await loop.create_server(make, sock=sock, backlog=BACKLOG))

    def _accept_tls(self, sock: socket.socket, profile: Profile) -> None:
        """Have clients begin with TLS (RFC 8314 §3)."""

        def admit(accepted: socket.socket) -> "asyncio.Task[None] | None":
            connection = self._let_in(accepted, profile, None)
            if connection is None:
                return None
            return asyncio.get_running_loop().create_task(
                self._shake(connection, accepted, profile)
            )

        self._accept(sock, admit)

    def _accept_proxied(self, sock: socket.socket, profile: Profile) -> None:
        """Have clients come through a proxy; what is spoken here begins behind the proxy's header."""

        def admit(accepted: socket.socket) -> "asyncio.Task[None]":
            return asyncio.get_running_loop().create_task(self._behind_proxy(accepted, profile))

        self._accept(sock, admit)

    def _accept(self, sock: socket.socket, admit: Admit) -> None:
        acceptor = Acceptor(sock, admit, self._context.event)
        self._servers.append(acceptor)
        self._accepting.add(self._context.spawn(acceptor.serve(), "accepting"))

    def _let_in(
        self, accepted: socket.socket, profile: Profile, said: Ends | None
    ) -> Connection | None:
        """Count a client in whose handshake is still to come; close its socket if there is no room."""
        ip = said.ip if said else plain_ip(peer_of(accepted))
        if profile.listener.ssl and self._refusal(ip, 1):
            accepted.close()  # no words: it would take a handshake for them to be read
            return None
        connection = Connection(self._shared, self, profile, said)
        self._opening[connection] = ip
        self._by_ip[ip] += 1
        return connection

    async def _behind_proxy(self, accepted: socket.socket, profile: Profile) -> None:
        patience_s = self._shared.settings.haproxy_timeout
        try:
            said = await read_header(accepted, profile.proxies, patience_s)
        except (RemoteProtocolError, TimeoutError, OSError) as error:
            why = str(error) or "timeout"
            self._context.event.info("Proxy refused", ip=peer_of(accepted), error=why)
            accepted.close()
            return
        except asyncio.CancelledError:
            accepted.close()
            raise
        connection = self._let_in(accepted, profile, said)
        if connection is not None:
            await self._shake(connection, accepted, profile)

    async def _shake(
        self, connection: Connection, accepted: socket.socket, profile: Profile
    ) -> None:
        """Make a connection of an accepted socket, behind a TLS handshake where one is due."""
        is_tls = profile.listener.ssl
        context = self._tls.context(asks=profile.role is Role.SUBMISSION) if is_tls else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_S if is_tls else None,
            )
        except (OSError, TimeoutError, EOFError) as error:
            ip = self._opening.get(connection)
            self._context.event.info("TLS failed", ip=ip, error=str(error) or "closed")
        finally:
            self._forget_opening(connection)

    def _forget_opening(self, connection: Connection) -> None:
        ip = self._opening.pop(connection, None)
        if ip is not None:
            self._leave(ip)

    async def _learn_mechanisms(self) -> None:
        if self._shared.auth is None:
            return
        try:
            await self._shared.auth.connect()
        except PeerError as error:
            # The first client that authenticates connects again.
            self._context.event.debug("The auth service is not there yet", error=str(error))
