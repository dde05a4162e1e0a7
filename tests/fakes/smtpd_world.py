"""smtpd's service in the test's own loop, with workers of ours as sieve-filter and queue.

The worker's answers are set by the test: `outcomes` makes them from a Handoff, `verdicts` from a Stage.
"""

import asyncio
import contextlib
import json
import os
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from columba.common.config.load import defaults
from columba.common.ipc import wire
from columba.common.ipc.master import Listener
from columba.common.ipc.server import Answer, Incoming, Server
from columba.common.ipc.tlsfiles import NONE, TlsFiles
from columba.common.log.event import Event
from columba.common.log.level import Level
from columba.common.loopwatch import LoopWatch
from columba.common.service import Birth, Context
from columba.smtpd.service import SmtpService
from columba.smtpd.settings import Settings

Outcomes = Callable[[wire.Handoff], tuple[wire.Outcome, ...]]
PLAIN = {
    "postmaster_address": "postmaster@mx.example",
    "sieve_rcpt": "/rcpt.sieve",
    "hostname": "mx.example",
    "auth_socket": "",
}


def all_of(
    kind: wire.OutcomeKind, code: int = 250, text: str = "Ok", success: wire.Success = ""
) -> Outcomes:
    """Return what gives every recipient the same outcome."""
    enhanced = f"{code // 100}.0.0"
    return lambda handoff: tuple(
        wire.Outcome(
            number=r.number, kind=kind, code=code, enhanced=enhanced, text=text, address=r.address,
            original=r.original or r.address, keeper="queue.0.1", success=success,
        )
        for r in handoff.recipients
    )  # fmt: skip


class World:
    """One smtpd with its neighbours."""

    def __init__(self, folder: Path, **changed: object) -> None:
        self.folder = folder
        for name in ("sieve", "queue", "anvil", "spool"):
            (folder / name).mkdir()
        self.settings = defaults(
            Settings, **{**PLAIN, "spool_dir": str(folder / "spool"), **changed}
        )
        self.outcomes: Outcomes = all_of("delivered")
        self.verdict = wire.Verdict()
        self.delay_s = 0.0
        self.seen: list[Incoming] = []
        self.bodies: list[bytes] = []
        self.lines: list[str] = []
        self.blocked: list[tuple[str, int, str]] = []
        self.clients: list[Client] = []
        self.own: dict[str, dict[str, object]] = {}  # settings of single listeners, by name
        self.proxied: set[str] = set()  # listeners that expect a PROXY header
        self.queue_reply: Callable[[wire.Request], wire.Reply] = lambda _: wire.Done()

    async def start(self, *kinds: str, tls: TlsFiles = NONE, client_limit: int = 100) -> None:
        """Start smtpd with listeners of these names; "+tls" behind a name means implicit TLS."""
        self.ports: dict[str, int] = {}
        listeners = tuple(self._listener(kind) for kind in kinds or ("smtp",))
        self._pipe = os.pipe()
        birth = Birth(
            service="smtpd", slot=0, generation=1, run=self.folder, client_limit=client_limit, request_limit=0,
            hang_limit_s=30, shutdown_timeout_s=30, status_fd=self._pipe[1], dead_fd=self._pipe[0], is_debug=False,
            listeners=listeners, tls=tls,
        )  # fmt: skip
        self.context = Context(birth, self.settings)
        self.context.event = Event(lambda _level, text: self.lines.append(text), floor=Level.DEBUG)
        self.workers = [self._serve("sieve", self._sieve), self._serve("queue", self._queue)]
        self.tell("sieve", "queue")
        self._watch = LoopWatch(100, lambda *what: self.blocked.append(what))
        self.service = SmtpService(self.context)
        await self.service.start()

    def tell(self, *services: str, note: int = 0) -> None:
        """Say which services are there."""
        slots = tuple(
            wire.Slot(service=s, slot=0, pid=1, generation=1, state="ready", note=note)
            for s in services
        )
        self._number = getattr(self, "_number", 0) + 1
        self.context.directory.take(wire.Directory(number=self._number, slots=slots))

    def requests(self, kind: type[msgspec.Struct]) -> list[wire.Request]:
        """Return what was asked of this kind."""
        return [call.request for call in self.seen if isinstance(call.request, kind)]

    @property
    def mails(self) -> list[Incoming]:
        """Return the calls that handed over a mail."""
        return [call for call in self.seen if isinstance(call.request, wire.Handoff)]

    async def close(self) -> None:
        """End everything. Raises AssertionError if the loop was blocked."""
        self._watch.close()
        for client in self.clients:
            client.writer.close()
            with contextlib.suppress(OSError):
                await client.writer.wait_closed()
        self.workers[0].close()
        self.workers[1].close()
        await self.service.drain(time.monotonic_ns() + 500_000_000)
        self.context.close()
        self.context.zmq.destroy(0)
        os.close(self._pipe[0])
        os.close(self._pipe[1])
        assert not self.blocked

    def _listener(self, kind: str) -> Listener:
        name, _, tls = kind.partition("+")
        if name == "lmtp":
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(str(self.folder / "lmtp.sock"))
            sock.listen()
            return Listener(name, sock.detach(), "unix", settings=self._own(name))
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        self.ports[name] = sock.getsockname()[1]
        return Listener(
            name,
            sock.detach(),
            "inet",
            ssl=bool(tls),
            haproxy=name in self.proxied,
            settings=self._own(name),
        )

    def _own(self, name: str) -> str:
        return json.dumps(self.own[name]) if name in self.own else ""

    def _serve(self, service: str, handler: Callable[[Incoming], object]) -> Server:
        async def handle(call: Incoming) -> Answer:
            self.seen.append(call)
            reply = handler(call)
            if self.delay_s and service == "sieve":
                await asyncio.sleep(self.delay_s)
            assert isinstance(reply, wire.Reply)
            return reply, []

        return Server(
            self.context.zmq, self.folder / service / "0.1", 100, handle, Event(lambda _l, _t: None),
            uids=frozenset({os.getuid()}), on_unsent=lambda _c, _r: None, on_change=lambda: None,
        )  # fmt: skip

    def _sieve(self, call: Incoming) -> wire.Reply:
        if isinstance(call.request, wire.Handoff):
            spool = call.request.body.spool
            self.bodies.append(
                (self.folder / "spool" / spool).read_bytes() if spool else call.parts[1]
            )
            return wire.Outcomes(outcomes=self.outcomes(call.request))
        return self.verdict

    def _queue(self, call: Incoming) -> wire.Reply:
        return self.queue_reply(call.request)


class Client:
    """An SMTP client that says exactly what it is told. hello is a place for the answer to EHLO."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.hello = ""

    async def say(self, *lines: str | bytes) -> None:
        """Send lines in one segment; CRLF is added to text, octets go as they are."""
        parts = (line if isinstance(line, bytes) else line.encode() + b"\r\n" for line in lines)
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def reply(self) -> str:
        """Return the next reply, its lines joined with LF."""
        lines: list[str] = []
        async with asyncio.timeout(10):
            while not lines or lines[-1][3:4] == "-":
                line = await self.reader.readline()
                if not line:
                    raise EOFError("closed")
                lines.append(line.decode().rstrip("\r\n"))
        return "\n".join(lines)

    async def ask(self, *lines: str | bytes) -> str:
        """Send and return the next reply."""
        await self.say(*lines)
        return await self.reply()

    async def all(self, *lines: str | bytes) -> list[str]:
        """Send lines in one segment and return a reply for each that is text."""
        await self.say(*lines)
        return [await self.reply() for line in lines if isinstance(line, str)]

    async def close(self) -> None:
        """Close in good order."""
        self.writer.close()
        await asyncio.sleep(0)

    def cut(self) -> None:
        """Vanish with a reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.writer.transport.abort()

    async def start_tls(self) -> None:
        """Upgrade to TLS."""
        await self.writer.start_tls(insecure())


async def connect(world: World, name: str = "smtp", tls: bool = False) -> Client:
    """Return a client that has read the greeting."""
    client = await unread(world, name, tls)
    assert (await client.reply()).startswith("220 mx.example")
    return client


async def greeted(world: World, name: str = "smtp", tls: bool = False) -> Client:
    """Return a client that has said hello."""
    client = await connect(world, name, tls)
    assert (await client.ask("LHLO x" if name == "lmtp" else "EHLO x")).startswith("250-mx.example")
    return client


async def unread(world: World, name: str = "smtp", tls: bool = False) -> Client:
    """Return a client that has read nothing."""
    if name == "lmtp":
        pair = await asyncio.open_unix_connection(str(world.folder / "lmtp.sock"))
    else:
        context = insecure() if tls else None
        pair = await asyncio.open_connection("127.0.0.1", world.ports[name], ssl=context)
    client = Client(*pair)
    world.clients.append(client)
    return client


def insecure() -> ssl.SSLContext:
    """Return a client's context that trusts everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, thirty seconds at most: machines are shared."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)
