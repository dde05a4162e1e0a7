"""One connection to a hop: greeting, EHLO, STARTTLS, and mails, one after the other.

It drives common/smtp/client over a Stream and reports each recipient's reply; what a reply means is decided in
outcome.py. Right before the end of data it asks the Commitment: without it the connection is closed and
nothing was handed over (promises §1.2). Timeouts are those of RFC 5321 §4.5.3.2, cut by the call's deadline; only the
answer to the end of data is waited for past it.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import Final

from columba.common.errors import (
    ColumbaError,
    RemoteProtocolError,
)
from columba.common.net.check import Check
from columba.common.net.stream import Stream, StreamError, StreamTlsError
from columba.common.off_loop import OffLoop
from columba.common.smtp.client import (
    Answer,
    BodyAnswer,
    ClientConnection,
    ClientEvent,
    ClientWait,
    Greeting,
    Skipped,
    Unasked,
    fit_mail,
    fit_rcpt,
)
from columba.common.smtp.codes import Reply
from columba.common.smtp.command import Mail, Rcpt, Simple, Verb
from columba.common.smtp.extensions import Extensions
from columba.common.smtp.state import Phase
from columba.delivery.commitment import Commitment
from columba.delivery.content import Content
from columba.delivery.outcome import Stage
from columba.delivery.target import Endpoint
from columba.delivery.tlspolicy.decide import Demand, Use

QUIT_S: Final = 1.0
DISK_S: Final = 30.0
WRITE: Final = 64 * 1024  # octets of a message that are collected before they are written


class HopError(ColumbaError):
    """The session ended before the end of data; nothing was handed over. reply None = lost or senseless."""

    def __init__(self, stage: Stage, reason: str, reply: Reply | None = None) -> None:
        super().__init__(reason)
        self.stage, self.reason, self.reply = stage, reason, reply


class HopTlsError(HopError):
    """TLS could not be agreed with this hop."""


class TooLateError(ColumbaError):
    """The end of data was not allowed any more; the connection is closed, nothing was handed over."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, in seconds (RFC 5321 §4.5.3.2), and the instant that cuts all but `end_s`."""

    deadline_ns: int
    greeting_s: float = 300.0
    command_s: float = 300.0
    data_s: float = 120.0
    block_s: float = 180.0
    end_s: float = 600.0

    def until(self, seconds: float) -> int:
        """Return the instant when a wait of so many seconds ends."""
        return min(self.deadline_ns, _from_now(seconds))


@dataclass(frozen=True, slots=True)
class Transaction:
    """One mail for recipients at one hop."""

    mail: Mail
    rcpts: tuple[Rcpt, ...]
    content: Content


@dataclass(frozen=True, slots=True)
class Said:
    """What a hop said about one recipient; reply None = it was lost after the end of data."""

    stage: Stage
    reply: Reply | None
    reason: str = ""


class Session:
    """An SMTP or LMTP session, used by one task at a time."""

    def __init__(self, stream: Stream, endpoint: Endpoint, lmtp: bool, off_loop: OffLoop) -> None:
        self._stream, self._off_loop = stream, off_loop
        self._smtp, self._lmtp = ClientConnection(lmtp), lmtp
        self._stage = Stage.GREETING
        self._broken: StreamError | None = None
        self.endpoint = endpoint
        self.born_ns = time.monotonic_ns()
        self.uses = 0

    @property
    def extensions(self) -> Extensions:
        """Return what the hop offers."""
        return self._smtp.extensions

    @property
    def tls_version(self) -> str:
        """Return the version of TLS, or "" in clear."""
        return self._stream.tls_version

    @property
    def is_usable(self) -> bool:
        """Tell whether another mail may be sent: open, silent, and between two transactions."""
        phase = self._smtp.phase
        return self._stream.is_idle and phase in (Phase.READY, Phase.MAIL, Phase.RCPT)

    async def begin(
        self, helo: str, demand: Demand, contexts: Mapping[Check, SSLContext], patience: Patience
    ) -> None:
        """Greet, and turn to TLS as demanded. Raises HopError, HopTlsError; the session is then closed."""
        try:
            await self._begin(helo.encode(), demand, contexts, patience)
        except BaseException:
            self.abort()
            raise

    async def send(
        self, transaction: Transaction, commitment: Commitment, patience: Patience
    ) -> list[Said]:
        """Send a mail; return what was said about each recipient, in their order.

        Raises HopError, TooLateError, LocalProtocolError (a bare CR or LF in the mail) or UnavailableError (the
        body can't be read) while nothing was handed over: the session is then closed.
        """
        try:
            said, accepted = await self._envelope(transaction, patience)
            if accepted:
                await self._body(transaction.content, commitment, patience)
                await self._replies(said, accepted, patience)
        except BaseException:
            self.abort()
            raise
        self.uses += 1
        return [one or Said(Stage.RCPT, None, "no reply") for one in said]

    async def quit(self) -> None:
        """Say goodbye, without waiting for the answer longer than a second."""
        try:
            if self.is_usable:
                self._smtp.enqueue(Simple(Verb.QUIT))
                await self._stream.write(self._smtp.data_to_send(), _from_now(QUIT_S))
            await self._stream.close()
        except StreamError:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._smtp.eof()
        self._stream.abort()

    async def _begin(
        self, helo: bytes, demand: Demand, contexts: Mapping[Check, SSLContext], patience: Patience
    ) -> None:
        event = await self._event(patience.until(patience.greeting_s))
        if not isinstance(event, Greeting) or event.reply.code != 220:
            raise self._refused(event)
        await self._hello(helo, patience)
        offered = "STARTTLS" in self._smtp.extensions
        if demand.use is Use.ALWAYS and not offered:
            raise HopTlsError(Stage.STARTTLS, "TLS is demanded, but not offered")
        if demand.use is not Use.NEVER and offered and await self._may_start_tls(demand, patience):
            await self._start_tls(contexts[demand.check], patience)
            await self._hello(helo, patience)

    async def _hello(self, helo: bytes, patience: Patience) -> None:
        self._stage = Stage.HELLO
        self._smtp.hello(helo)
        while True:
            event = await self._event(patience.until(patience.greeting_s))
            if isinstance(event, Answer) and not event.final:
                continue  # EHLO was refused, HELO is under way
            if not isinstance(event, Answer) or not event.reply.positive:
                raise self._refused(event)
            return

    async def _may_start_tls(self, demand: Demand, patience: Patience) -> bool:
        self._stage = Stage.STARTTLS
        self._smtp.enqueue(Simple(Verb.STARTTLS))
        event = await self._event(patience.until(patience.command_s))
        if isinstance(event, Answer) and event.reply.positive:
            return True
        if demand.use is Use.ALWAYS or not isinstance(event, Answer):
            raise self._refused(event)
        return False

    async def _start_tls(self, context: SSLContext, patience: Patience) -> None:
        until_ns = patience.until(patience.command_s)
        try:
            await self._stream.start_tls(context, self.endpoint.host, until_ns)
        except StreamTlsError as error:
            raise HopTlsError(Stage.STARTTLS, str(error)) from error
        except StreamError as error:
            raise HopError(Stage.STARTTLS, str(error)) from error
        self._smtp.tls_started()

    async def _envelope(
        self, transaction: Transaction, patience: Patience
    ) -> tuple[list[Said | None], list[int]]:
        """Send MAIL, RCPT, DATA; return what was said, and the recipients that wait for the body."""
        offered = self._smtp.extensions
        if self._smtp.phase is not Phase.READY:  # a transaction before this one ended without DATA
            self._smtp.enqueue(Simple(Verb.RSET))
        rcpts = [fit_rcpt(rcpt, offered) for rcpt in transaction.rcpts]
        self._smtp.enqueue(fit_mail(transaction.mail, offered), *rcpts, Simple(Verb.DATA))
        said: list[Said | None] = []
        try:
            reply = await self._until_data(said, len(rcpts), patience)
        except HopError:
            if not said or None in said or len(said) < len(rcpts):
                raise
            return said, []  # every recipient was refused before the hop went away
        return self._after_data(said, reply)

    async def _until_data(
        self, said: list[Said | None], count: int, patience: Patience
    ) -> Reply | None:
        """Note what is said about each recipient (None = accepted); return the reply to DATA."""
        self._stage = Stage.MAIL
        while True:
            seconds = patience.data_s if self._stage is Stage.DATA else patience.command_s
            event = await self._event(patience.until(seconds))
            reply = event.reply if isinstance(event, Answer) else None
            if not isinstance(event, Answer | Skipped) or (reply and reply.code == 421):
                raise self._refused(event)
            match event.command.verb:
                case Verb.MAIL:
                    self._stage = Stage.RCPT
                    if reply is None or not reply.positive:
                        said += [Said(Stage.MAIL, reply)] * count
                case Verb.RCPT if len(said) < count:
                    is_taken = reply is not None and reply.positive
                    said.append(None if is_taken else Said(Stage.RCPT, reply))
                    self._stage = Stage.DATA if len(said) == count else Stage.RCPT
                case Verb.DATA:
                    return reply
                case Verb.RSET:
                    self._check_reset(event, reply)

    def _after_data(
        self, said: list[Said | None], reply: Reply | None
    ) -> tuple[list[Said | None], list[int]]:
        accepted = [n for n, one in enumerate(said) if one is None]
        if reply is not None and reply.code == 354:
            if not accepted:  # an end of data could make it a message that nobody is to get
                self.abort()
            return said, accepted
        for n in accepted:
            said[n] = Said(Stage.DATA, reply)
        return said, []

    def _check_reset(self, event: ClientEvent, reply: Reply | None) -> None:
        if reply is None or not reply.positive:
            raise self._refused(event)

    async def _body(self, content: Content, commitment: Commitment, patience: Patience) -> None:
        """Stream the message. A hop that answers in the middle of it refuses it."""
        self._stage = Stage.DATA
        data = self._smtp.send_body(content.header + b"\r\n")
        offset = 0
        while offset < content.body.size:
            chunk = await self._chunk(content, offset)
            offset += len(chunk)
            data += self._smtp.send_body(chunk)
            if len(data) > WRITE:
                await self._write_body(data, patience)
                data = b""
        if not commitment.enter():
            raise TooLateError("no time is left for the end of data")
        self._stage = Stage.END
        data += self._smtp.end_body()
        try:
            await self._stream.write(data, _from_now(patience.end_s))
        except StreamError as error:
            self._broken = error

    async def _chunk(self, content: Content, offset: int) -> bytes:
        if content.body.is_inline:
            return content.read_body(offset)
        return await self._off_loop.run(DISK_S, content.read_body, offset)

    async def _write_body(self, data: bytes, patience: Patience) -> None:
        try:
            await self._stream.write(data, patience.until(patience.block_s))
        except StreamError as error:
            self._broken = error
            raise self._refused(await self._event(patience.until(patience.block_s))) from error

    async def _replies(
        self, said: list[Said | None], accepted: list[int], patience: Patience
    ) -> None:
        """Wait for the replies to the end of data, however long the call's deadline has been over."""
        while self._smtp.body_answers_due:
            try:
                event = await self._event(_from_now(patience.end_s))
            except HopError as error:
                _fill(said, accepted, Said(Stage.END, None, error.reason))
                self.abort()
                return
            if isinstance(event, BodyAnswer):
                self._place(said, accepted, event)

    def _place(self, said: list[Said | None], accepted: list[int], event: BodyAnswer) -> None:
        """RFC 2033 §4.2: LMTP gives one reply for each accepted recipient, SMTP one for all."""
        if self._lmtp:
            said[accepted[event.index]] = Said(Stage.END, event.reply)
        else:
            _fill(said, accepted, Said(Stage.END, event.reply))

    async def _event(self, until_ns: int) -> ClientEvent:
        """Send what may be sent and return the next event. Raises HopError."""
        try:
            while True:
                await self._flush(until_ns)
                event = self._smtp.next_event()
                if event is ClientWait.NEED_DATA:
                    await self._receive(until_ns)
                elif event is ClientWait.CLOSED:
                    raise HopError(self._stage, "the hop closed the session")
                else:
                    return event
        except (StreamError, RemoteProtocolError) as error:
            raise HopError(self._stage, str(self._broken or error)) from error

    async def _flush(self, until_ns: int) -> None:
        output = self._smtp.data_to_send()
        if not output or self._broken is not None:
            return
        try:
            await self._stream.write(output, until_ns)
        except StreamError as error:
            self._broken = error  # the hop's last words may still be there to read

    async def _receive(self, until_ns: int) -> None:
        data = await self._stream.read(until_ns)
        if not data:
            raise HopError(self._stage, f"{self.endpoint.label} closed the connection")
        self._smtp.receive(data)

    def _refused(self, event: ClientEvent) -> HopError:
        """Return the error for an event that ends the session."""
        reply = event.reply if isinstance(event, Greeting | Answer | Unasked | BodyAnswer) else None
        reason = reply.one_line() if reply is not None else "the hop answered out of order"
        return HopError(self._stage, reason, reply)


def _fill(said: list[Said | None], accepted: list[int], one: Said) -> None:
    for n in accepted:
        if said[n] is None:
            said[n] = one


def _from_now(seconds: float) -> int:
    return time.monotonic_ns() + int(seconds * 1e9)
