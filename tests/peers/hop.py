"""A next hop whose every step a test can script, for faults that no real server makes on demand.

It runs in a thread with a loop of its own, so that a test that blocks does not stop it, and records
each transaction with instants of CLOCK_MONOTONIC. Steps are looked up when the command comes: first
those given with `once`, in order, then those given with `always`, then the plain answer.
"""

import asyncio
import base64
import contextlib
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.peers.process import wait_until

PLAIN: Final = {
    "connect": "220 hop.test ESMTP",
    "starttls": "220 2.0.0 go",
    "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok",
    "data": "354 go",
    "dot": "250 2.0.0 taken",
    "rset": "250 2.0.0 ok",
    "noop": "250 2.0.0 ok",
    "quit": "221 2.0.0 bye",
    "chunk": "250 2.0.0 more",
    "prdr": "353 for each",
    "each": "250 2.1.5 ok",
}
FEATURES: Final = ("PIPELINING", "SIZE 52428800", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8")
FRAMES: Final = 64 << 20


@dataclass(frozen=True)
class Step:
    """What to do at a stage: wait delay_s (and for the gate), answer, perhaps close.

    reply None is the plain answer; "" is no answer at all. close drops the connection after it.
    """

    reply: str | None = None
    delay_s: float = 0.0
    close: bool = False
    gate: threading.Event | None = None


@dataclass
class Transaction:
    """One MAIL transaction; instants are seconds of time.monotonic(), 0.0 if it did not happen."""

    helo: str
    sender: str
    connection: int
    began_s: float
    tls: bool = False
    login: str = ""
    parameters: str = ""
    prdr: bool = False
    chunked: bool = False
    recipients: list[str] = field(default_factory=list)
    wishes: dict[str, str] = field(default_factory=dict)  # each recipient's parameters of RCPT
    message: bytes = b""
    dot_s: float = 0.0
    replied_s: float = 0.0
    replies: list[str] = field(default_factory=list)
    client: str = ""

    @property
    def is_taken(self) -> bool:
        """Tell whether a 2xx was written after the final dot (for LMTP: any)."""
        return any(reply.startswith("2") for reply in self.replies)


class Hop:
    """A scripted SMTP (or LMTP) server on a port of host, or on a unix path."""

    def __init__(
        self,
        *,
        lmtp: bool = False,
        path: str = "",
        features: tuple[str, ...] = FEATURES,
        tls: ssl.SSLContext | None = None,
        logins: Mapping[str, str] | None = None,
        mechanisms: str = "PLAIN LOGIN",
        implicit: bool = False,
        host: str = "127.0.0.1",
    ) -> None:
        """Bind and serve. With tls, STARTTLS is offered (implicit: TLS from the start); with logins, AUTH."""
        self.lmtp, self.features, self.tls = lmtp, features, tls
        self.logins, self.mechanisms = logins or {}, mechanisms
        self.implicit = implicit
        self.host, self.port = host, 0
        self.transactions: list[Transaction] = []
        self.connections = 0
        self._path = path
        self._once: defaultdict[str, deque[Step]] = defaultdict(deque)
        self._always: dict[str, Step] = {}
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._ended: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="hop", daemon=True)
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the hop did not start")

    def always(self, stage: str, step: Step, recipient: str = "") -> None:
        """Do this at each such stage from now on; for one recipient at rcpt (and LMTP's dot)."""
        self._always[f"{stage} {recipient}".strip()] = step

    def once(self, stage: str, step: Step, recipient: str = "") -> None:
        """Do this the next time only; several are used in order."""
        self._once[f"{stage} {recipient}".strip()].append(step)

    def plain(self) -> None:
        """Forget every step."""
        self._once.clear()
        self._always.clear()

    def taken(self) -> list[Transaction]:
        """Return the transactions that the hop took responsibility for."""
        return [one for one in list(self.transactions) if one.is_taken]

    def wait_taken(self, count: int, timeout_s: float = 20.0) -> list[Transaction]:
        """Wait until so many were taken."""
        wait_until(lambda: len(self.taken()) >= count, f"the hop took {count} mails", timeout_s)
        return self.taken()

    def wait_dots(self, count: int, timeout_s: float = 20.0) -> list[Transaction]:
        """Wait until so many final dots came, answered or not."""

        def dotted() -> list[Transaction]:
            return [one for one in list(self.transactions) if one.dot_s]

        wait_until(lambda: len(dotted()) >= count, f"{count} final dots came", timeout_s)
        return dotted()

    def drop_all(self) -> None:
        """Close every open connection now."""

        def close() -> None:
            for writer in list(self._writers):
                writer.transport.abort()

        self._loop.call_soon_threadsafe(close)

    def stall(self, seconds: float) -> None:
        """Do nothing at all for so long, not even take note of a close."""
        self._loop.call_soon_threadsafe(time.sleep, seconds)

    def stop(self) -> None:
        """End the server and its thread."""
        if self._ended is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def step(self, stage: str, recipient: str = "") -> Step:
        """Return the scripted step; one for the recipient goes before one for the stage."""
        for name in (f"{stage} {recipient}", stage) if recipient else (stage,):
            if self._once[name]:
                return self._once[name].popleft()
            if name in self._always:
                return self._always[name]
        return Step()

    def _main(self) -> None:
        """Run the loop of the thread."""
        with contextlib.closing(self._loop) as loop:
            loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        """Accept until stop()."""
        self._ended = asyncio.Event()
        handlers: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.add(writer)
            self.connections += 1
            talk = Conversation(self, reader, writer, self.connections)
            task = asyncio.get_running_loop().create_task(talk.run())
            handlers.add(task)
            task.add_done_callback(handlers.discard)
            task.add_done_callback(lambda _: self._writers.discard(writer))

        if self._path:
            server: asyncio.Server = await asyncio.start_unix_server(
                accept, self._path, limit=FRAMES
            )
        else:
            first = self.tls if self.implicit else None
            server = await asyncio.start_server(accept, self.host, 0, limit=FRAMES, ssl=first)
            self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        for task in list(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


class Closed(Exception):  # an event of the dialogue, no error
    """The script or the client ended the connection."""


class Conversation:
    """One connection."""

    def __init__(
        self, hop: Hop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self._hop, self._reader, self._writer, self._number = hop, reader, writer, number
        self._helo = self._login = ""
        self._tls = hop.implicit
        self._current: Transaction | None = None

    async def run(self) -> None:
        """Talk until the end."""
        try:
            await self._do("connect")
            while line := await self._reader.readline():
                await self._command(line.decode("utf-8", "replace").strip())
        except (Closed, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writer.close()
            with contextlib.suppress(OSError):
                await asyncio.wait_for(self._writer.wait_closed(), 2)

    async def _command(self, line: str) -> None:
        """Answer one command."""
        verb, _, argument = line.partition(" ")
        match verb.lower():
            case "ehlo" | "helo" | "lhlo":
                await self._hello(argument)
            case "starttls" if self._hop.tls and not self._tls:
                transport = self._writer.transport
                assert isinstance(transport, asyncio.Transport)
                transport.pause_reading()  # the handshake must not be read as a command
                await self._do("starttls")
                await self._writer.start_tls(self._hop.tls)
                self._tls = True
            case "mail":
                self._current = Transaction(
                    self._helo,
                    _address(argument),
                    self._number,
                    time.monotonic(),
                    self._tls,
                    self._login,
                    argument.partition(">")[2].strip(),
                    "PRDR" in argument.upper().split(),
                    client=str((self._writer.get_extra_info("peername") or ("",))[0]),
                )
                self._hop.transactions.append(self._current)
                await self._do("mail")
            case "rcpt":
                await self._recipient(_address(argument), argument.partition(">")[2].strip())
            case "data":
                await self._data()
            case "bdat" if "CHUNKING" in self._hop.features:
                await self._bdat(argument)
            case "auth" if self._hop.logins:
                await self._auth(argument)
            case "quit":
                await self._do("quit")
                raise Closed
            case "rset" | "noop" as stage:
                await self._do(stage)
            case _:
                await self._send("502 5.5.2 what?")

    async def _hello(self, name: str) -> None:
        """Answer EHLO with the features."""
        self._helo = name
        offers = [*self._hop.features]
        if self._hop.tls and not self._tls:
            offers.append("STARTTLS")
        if self._hop.logins:
            offers.append(f"AUTH {self._hop.mechanisms}")
        lines = ["hop.test", *offers]
        text = "\r\n".join(f"250-{line}" for line in lines[:-1]) + f"\r\n250 {lines[-1]}"
        await self._do("ehlo", plain=text)

    async def _recipient(self, address: str, wishes: str) -> None:
        """Answer RCPT and remember an accepted one."""
        reply = await self._do("rcpt", address)
        if self._current and reply.startswith("2"):
            self._current.recipients.append(address)
            self._current.wishes[address] = wishes

    async def _data(self) -> None:
        """Read the message and answer its end, once per recipient with LMTP."""
        if self._current is None or not self._current.recipients:
            await self._send("503 5.5.1 no recipients")
            return
        reply = await self._do("data")
        if not reply.startswith("3"):
            return
        current = self._current
        text = await self._reader.readuntil(b"\r\n.\r\n")
        current.message = text[:-3].replace(b"\r\n..", b"\r\n.").removeprefix(b".")
        await self._end(current)

    async def _bdat(self, argument: str) -> None:
        """Read a chunk; the last one ends the message."""
        size, _, last = argument.partition(" ")
        current = self._current
        chunk = await self._reader.readexactly(int(size))
        if current is None or not current.recipients:
            await self._send("503 5.5.1 no recipients")
            return
        current.message += chunk
        if last.upper() != "LAST":
            await self._do("chunk")
            return
        current.chunked = True
        await self._end(current)

    async def _end(self, current: Transaction) -> None:
        """Answer the end of a message: for all, for each (LMTP), or for each and for all (PRDR)."""
        current.dot_s = time.monotonic()
        if current.prdr and len(current.recipients) > 1:
            await self._do("prdr")
            for recipient in current.recipients:
                await self._do("each", recipient)
            await self._do("dot", current=current)
        else:
            for recipient in current.recipients if self._hop.lmtp else [""]:
                await self._do("dot", recipient, current=current)
        self._current = None

    async def _auth(self, argument: str) -> None:
        """Let a client log in by PLAIN or LOGIN."""
        mechanism, _, initial = argument.partition(" ")
        if mechanism.upper() == "PLAIN":
            _, user, password = base64.b64decode(initial).decode().split("\0")
        else:
            user, password = await self._ask("User Name"), await self._ask("Password")
        taken = self._hop.logins.get(user) == password
        await self._send("235 2.7.0 welcome" if taken else "535 5.7.8 wrong")
        self._login = user if taken else ""

    async def _ask(self, question: str) -> str:
        await self._send("334 " + base64.b64encode(question.encode()).decode())
        return base64.b64decode(await self._reader.readline()).decode()

    async def _do(
        self, stage: str, recipient: str = "", plain: str = "", current: Transaction | None = None
    ) -> str:
        """Play one stage and return the reply that was sent; raise Closed if the step says so."""
        step = self._hop.step(stage, recipient)
        if step.delay_s:
            await asyncio.sleep(step.delay_s)
        if step.gate is not None:
            await _opened(step.gate)
        reply = step.reply if step.reply is not None else plain or PLAIN[stage]
        if reply and not (step.close and step.reply is None):
            if current is not None:
                current.replied_s = time.monotonic()
                current.replies.append(reply)
            await self._send(reply)
        if step.close:
            raise Closed
        return reply

    async def _send(self, reply: str) -> None:
        """Write one reply."""
        self._writer.write(reply.encode() + b"\r\n")
        await asyncio.wait_for(self._writer.drain(), 30)


async def _opened(gate: threading.Event) -> None:
    """Wait for an event that another thread sets."""
    while not gate.is_set():  # the event is a thread's, not the loop's
        await asyncio.sleep(0.01)


def _address(argument: str) -> str:
    """Return the address of "FROM:<a@b> SIZE=1"."""
    return argument.partition("<")[2].partition(">")[0]
