"""The auth service: many questions at a time on unix sockets, passwords checked in a bounded pool of threads.

A wrong password, an unknown user and a locked one are answered alike, at the same time after the question, so that
nobody learns which it was. What can't be decided now is temp_fail, never a wrong password. `USER` is answered
on listeners whose type is auth-userdb.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

from columba.common.clock import left_s
from columba.common.errors import ColumbaError, RemoteProtocolError
from columba.common.ipc.master import Listener
from columba.common.off_loop import OffLoop
from columba.common.sasl import dovecot
from columba.common.sasl.dovecot import (
    AuthCancel,
    AuthRequest,
    AuthResponse,
    ClientMessages,
    UserRequest,
)
from columba.common.service import Context
from columba.master.auth import mechanisms
from columba.master.auth.mechanisms import FLAGS, Ask, Exchange, Known, Setting
from columba.master.auth.settings import Settings
from columba.master.auth.users import User, UserFile

THREADS: Final = 2
CHECK_S: Final = 30.0
BACKLOG: Final = 128
OPEN_MAX: Final = 10_000  # exchanges that a connection may have open
USERDB: Final = "auth-userdb"


@dataclass(frozen=True, slots=True)
class _Open:
    """An exchange that waits for its client's next message."""

    exchange: Exchange
    ip: str


@dataclass(slots=True)
class _Peer:
    """One connected client: its exchanges that wait, and running questions."""

    transport: asyncio.Transport
    may_ask_users: bool
    messages: ClientMessages = field(default_factory=ClientMessages)
    exchanges: dict[int, _Open] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def write(self, line: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(line)


class _Protocol(asyncio.Protocol):
    """Octets of one client to the service."""

    def __init__(self, service: "Auth", listener: Listener) -> None:
        self._service, self._listener = service, listener
        self._peer: _Peer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        kind = self._listener.type or self._listener.name
        self._peer = _Peer(cast(asyncio.Transport, transport), may_ask_users=kind == USERDB)
        self._service.opened(self._peer)

    def data_received(self, data: bytes) -> None:
        if self._peer is not None:
            self._service.received(self._peer, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._peer is not None:
            self._service.closed(self._peer)


class Auth:
    """Answers the clients of one process."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context, self._settings = context, context.settings
        self._users = UserFile(context.settings.auth_passwd_file)
        self._offered = mechanisms.offered(context.settings.auth_mechanisms)
        plus = any(name.endswith("-PLUS") for name in self._offered)
        self._setting = Setting(self._users, mechanisms.machine_secret(), plus)
        self._pool = OffLoop(THREADS, "auth", context.settings.auth_waiting_limit)
        self._servers: list[asyncio.AbstractServer] = []
        self._peers: set[int] = set()
        self._total = 0

    async def start(self) -> None:
        """Listen on every socket."""
        loop = asyncio.get_running_loop()
        for listener in self._context.birth.listeners:
            sock = socket.socket(fileno=listener.fd)
            sock.setblocking(False)
            make = self._maker(listener)
            server = await loop.create_unix_server(make, sock=sock, backlog=BACKLOG)
            self._servers.append(server)

    def available(self) -> int:
        """Return how many more clients are taken."""
        return max(0, self._context.birth.client_limit - len(self._peers))

    def total(self) -> int:
        """Return how many clients came so far."""
        return self._total

    def active(self) -> int:
        """Return how many clients are there."""
        return len(self._peers)

    def note(self) -> int:
        """Return nothing: the directory has no figure of auth."""
        return 0

    async def drain(self, until_ns: int) -> None:
        """Take no more clients; answers that are due are given by until_ns."""
        for server in self._servers:
            server.close()
        if self._pool.active:
            await asyncio.sleep(min(left_s(until_ns), self._settings.auth_failure_delay))
        self._pool.close()

    def opened(self, peer: _Peer) -> None:
        """Greet a client, or close if there are too many."""
        self._total += 1
        self._peers.add(id(peer))
        self._context.changed()
        if len(self._peers) > self._context.birth.client_limit:
            peer.transport.close()
            return
        cookie = os.urandom(16).hex()
        flags = {name: FLAGS[name] for name in self._offered}
        peer.write(dovecot.server_hello(flags, os.getpid(), self._total, cookie))

    def closed(self, peer: _Peer) -> None:
        """Forget a client and what it asked."""
        self._peers.discard(id(peer))
        self._context.changed()
        for task in peer.tasks:
            task.cancel()

    def received(self, peer: _Peer, data: bytes) -> None:
        """Take a client's words; one that breaks the protocol is closed."""
        try:
            for message in peer.messages.feed(data):
                self._take(peer, message)
        except RemoteProtocolError as error:
            self._context.event.warning("Auth client closed", error=str(error))
            peer.transport.close()

    def _maker(self, listener: Listener) -> Callable[[], _Protocol]:
        return lambda: _Protocol(self, listener)

    def _take(self, peer: _Peer, message: dovecot.ClientMessage) -> None:
        match message:
            case AuthRequest():
                self._begin(peer, message)
            case AuthResponse(number, data):
                waiting = peer.exchanges.pop(number, None)
                if waiting is None:
                    raise RemoteProtocolError("CONT for no exchange")
                self._spawn(peer, number, waiting, data)
            case AuthCancel(number):
                peer.exchanges.pop(number, None)
            case UserRequest(number, user):
                task = asyncio.get_running_loop().create_task(self._tell_user(peer, number, user))
                self._hold(peer, task)

    def _begin(self, peer: _Peer, request: AuthRequest) -> None:
        if request.mechanism not in self._offered:
            raise RemoteProtocolError(f"mechanism {request.mechanism[:20]} was not offered")
        exchange = mechanisms.begin(request.mechanism, request.params, self._setting)
        opened = _Open(exchange, request.params.get("rip", ""))
        if request.initial is not None:
            self._spawn(peer, request.number, opened, request.initial)
        else:
            self._ask(peer, request.number, opened, exchange.opening)

    def _ask(self, peer: _Peer, number: int, opened: _Open, challenge: bytes) -> None:
        if len(peer.exchanges) >= OPEN_MAX:
            peer.write(dovecot.fail(number, code="temp_fail"))
            return
        peer.exchanges[number] = opened
        peer.write(dovecot.continuation(number, challenge))

    def _spawn(self, peer: _Peer, number: int, opened: _Open, message: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(peer, number, opened, message))
        self._hold(peer, task)

    def _hold(self, peer: _Peer, task: "asyncio.Task[None]") -> None:
        peer.tasks.add(task)
        task.add_done_callback(peer.tasks.discard)

    async def _answer(self, peer: _Peer, number: int, opened: _Open, message: bytes) -> None:
        began = time.monotonic()
        try:
            step = await self._pool.run(CHECK_S, opened.exchange.take, message)
        except RemoteProtocolError as error:
            self._context.event.debug("Malformed message", error=str(error))
            step = mechanisms.Unknown()
        except (ColumbaError, TimeoutError) as error:
            self._context.event.error("A password can't be checked", error=str(error))
            peer.write(dovecot.fail(number, code="temp_fail"))
            return
        except Exception as error:  # the job loop
            self._context.event.crashed("Auth crashed", error)
            peer.write(dovecot.fail(number, code="temp_fail"))
            return
        match step:
            case Ask(challenge):
                self._ask(peer, number, opened, challenge)
                return
            case Known(user) if user.is_welcome(opened.ip):
                peer.write(dovecot.ok(number, user.name))
                return
            case Known(user):
                line = _unwelcome(number, user)
            case _:
                line = dovecot.fail(number)
        rest_s = began + self._settings.auth_failure_delay - time.monotonic()
        await asyncio.sleep(max(0.0, rest_s))
        peer.write(line)

    async def _tell_user(self, peer: _Peer, number: int, name: str) -> None:
        if not peer.may_ask_users:
            peer.write(dovecot.fail(number, reason="not on this socket"))
            return
        try:
            user = await self._pool.run(CHECK_S, self._users.lookup, name)
        except (ColumbaError, TimeoutError) as error:
            self._context.event.error("A user can't be looked up", error=str(error))
            peer.write(dovecot.fail(number, code="temp_fail"))
            return
        if user is None:
            peer.write(dovecot.user_unknown(number))
        else:
            peer.write(dovecot.user_found(number, user.name, user.fields))


def _unwelcome(number: int, user: User) -> bytes:
    """Return the refusal of a user whose password is right."""
    code = "user_disabled" if "nologin" in user.extra else ""
    return dovecot.fail(number, user.name, code, user.extra.get("reason", ""))
