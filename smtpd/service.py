"""smtpd: accepts clients on the inherited sockets, within limits, and drains when it is told to."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Final

from columba.common.clock import left_s
from columba.common.errors import ConfigError, PeerError, RemoteProtocolError
from columba.common.ipc.master import Listener
from columba.common.service import Context
from columba.common.smtp import codes
from columba.common.smtp.codes import Reply
from columba.smtpd.accepting import Acceptor, Admit, peer_of
from columba.smtpd.arrival import Ends, plain_ip
from columba.smtpd.connection import HANDSHAKE_S, Connection
from columba.smtpd.listening import Profile, make_profile
from columba.smtpd.proxied import read_header
from columba.smtpd.session import Role, Session, is_within
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
        self._total = 0
        self._empty = asyncio.Event()

    async def start(self) -> None:
        """Accept on every socket."""
        if self._shared.auth is not None:
            self._context.spawn(self._learn_mechanisms(), "auth")
        self._context.spawn(self._shared.presence.run(self._sessions, self._kick), "presence")
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
            async with asyncio.timeout(max(0.1, left_s(until_ns))):
                await self._wait_empty()
        for connection in list(self._connections):
            connection.abort()
        if self._shared.auth is not None:
            self._shared.auth.close()
        await self._shared.handoff.close(max(0.5, left_s(until_ns)))

    def opened(self, connection: Connection) -> Reply | None:
        """Count a connection in; return the refusal if there is no room for it."""
        self._total += 1
        self._connections.add(connection)
        if not self._forget_opening(connection):
            self._shared.presence.entered(connection.ip)
        self._shared.presence.changed(connection.session)
        self._context.changed()
        refusal = self._refusal(connection.ip, 0)
        if refusal:
            self._context.event.info("Limit reached", ip=connection.ip, reason=refusal.text())
        return refusal

    def closed(self, connection: Connection) -> None:
        """Count it out."""
        self._connections.discard(connection)
        self._shared.presence.left(connection.ip, connection.session.id)
        if not self._connections:
            self._empty.set()
        self._context.changed()

    def _refusal(self, ip: str, more: int) -> Reply | None:
        """Return the answer to a client of this address that can't come in; more is 1 before it is counted."""
        hostname = self._shared.settings.hostname
        if self.active() + more > self._context.birth.client_limit:
            return codes.unavailable(hostname, "Too many connections")
        if self._context.is_draining:
            return codes.unavailable(hostname, "Service is shutting down")
        reason = "" if is_within(ip, self._shared.trusted) else self._shared.presence.refusal(ip)
        return codes.unavailable(hostname, reason, "4.7.0") if reason else None

    def _sessions(self) -> Iterator[Session]:
        for connection in self._connections:
            yield connection.session

    def _kick(self, id: str) -> None:
        for connection in [c for c in self._connections if c.session.id == id]:
            self._context.event.info("Kicked", session=id, ip=connection.ip)
            connection.kick()

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
        ip, presence = said.ip if said else plain_ip(peer_of(accepted)), self._shared.presence
        presence.entered(ip)
        if profile.listener.ssl and (refusal := self._refusal(ip, 1)):
            # No words to the client: it would take a handshake for them to be read.
            self._context.event.info("Limit reached", ip=ip, reason=refusal.text())
            presence.left(ip)
            accepted.close()
            return None
        connection = Connection(self._shared, self, profile, said)
        self._opening[connection] = ip
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
        is_tls, ip = profile.listener.ssl, self._opening[connection]
        context = self._tls.context(asks=profile.role is Role.SUBMISSION) if is_tls else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_S if is_tls else None,
            )
        except (OSError, TimeoutError, EOFError) as error:
            self._context.event.info("TLS failed", ip=ip, error=str(error) or "closed")
        finally:
            if self._forget_opening(connection):
                self._shared.presence.left(ip)

    def _forget_opening(self, connection: Connection) -> bool:
        """Take a connection out of those that are opening; return whether it was one, and is counted."""
        return self._opening.pop(connection, None) is not None

    async def _learn_mechanisms(self) -> None:
        if self._shared.auth is None:
            return
        try:
            await self._shared.auth.connect()
        except PeerError as error:
            # The first client that authenticates connects again.
            self._context.event.debug("The auth service is not there yet", error=str(error))
