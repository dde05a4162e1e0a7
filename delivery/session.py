"""One connection to a hop: mails, one after the other.

It reports each recipient's reply; what a reply means is decided in outcome.py. Right before the end of data (the last
octets of a BDAT chunk as much as the final dot) it asks the Commitment: without it the connection is closed and
nothing was handed over (promises §1). Timeouts are those of RFC 5321 §4.5.3.2, cut by the call's deadline; only the
answer to the end of data is waited for past it.
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from columba.common.clock import from_now
from columba.common.errors import ColumbaError
from columba.common.net.stream import Stream, StreamError
from columba.common.off_loop import OffLoop
from columba.common.smtp.client import Answer, BodyAnswer, ClientEvent, Skipped
from columba.common.smtp.codes import Reply
from columba.common.smtp.command import Command, Mail, Rcpt, Simple, Verb
from columba.common.smtp.extensions import Extensions
from columba.common.smtp.fit import fit_mail, fit_rcpt
from columba.common.smtp.state import Phase
from columba.delivery.commitment import Commitment
from columba.delivery.content import Content
from columba.delivery.exchange import Exchange, HopError, Patience
from columba.delivery.opening import Manner, open_session
from columba.delivery.outcome import Stage
from columba.delivery.target import Endpoint
from columba.delivery.transcript import Heard

QUIT_S: Final = 1.0
DISK_S: Final = 30.0
WRITE: Final = 64 * 1024  # octets of a message that are collected before they are written


class TooLateError(ColumbaError):
    """The end of data was not allowed any more; the connection is closed, nothing was handed over."""


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
        self._exchange, self._off_loop = Exchange(stream, endpoint, lmtp), off_loop
        self._smtp = self._exchange.smtp
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
        return self._exchange.stream.tls_version

    @property
    def is_usable(self) -> bool:
        """Tell whether another mail may be sent: open, silent, between two transactions, and allowed (MAILMAX)."""
        if self._smtp.phase not in (Phase.READY, Phase.MAIL, Phase.RCPT):
            return False
        mails = self.extensions.limits.mails
        return self._exchange.stream.is_idle and (not mails or self.uses < mails)

    async def begin(self, manner: Manner) -> None:
        """Greet, turn to TLS and log in as demanded. Raises HopError, HopTlsError; the session is then closed."""
        try:
            await open_session(self._exchange, manner, self._off_loop)
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

    async def ask(self, transaction: Transaction, patience: Patience) -> list[Said | None]:
        """Ask about recipients without sending anything: MAIL, RCPT, RSET. None for one that is accepted.

        Raises HopError: the session is then closed.
        """
        smtp, offered, reset = self._smtp, self._smtp.extensions, Simple(Verb.RSET)
        try:
            if smtp.phase is not Phase.READY:
                smtp.enqueue(Simple(Verb.RSET))
            rcpts = [fit_rcpt(rcpt, offered) for rcpt in transaction.rcpts]
            smtp.enqueue(fit_mail(transaction.mail, offered), *rcpts, reset)
            said: list[Said | None] = []
            await self._until(reset, said, len(rcpts), patience)
        except BaseException:
            self.abort()
            raise
        return said

    async def quit(self) -> None:
        """Say goodbye, without waiting for the answer longer than a second."""
        stream = self._exchange.stream
        try:
            if stream.is_idle and self._smtp.phase in (Phase.READY, Phase.MAIL, Phase.RCPT):
                self._smtp.enqueue(Simple(Verb.QUIT))
                await stream.write(self._smtp.data_to_send(), from_now(QUIT_S))
            await stream.close()
        except StreamError:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._exchange.abort()

    def heard(self) -> Heard:
        """Return the dialogue since the last time, for the one who asks what was said."""
        return Heard(self.endpoint.label, self._exchange.transcript.take())

    async def _envelope(
        self, transaction: Transaction, patience: Patience
    ) -> tuple[list[Said | None], list[int]]:
        """Send MAIL, RCPT, and DATA but where BDAT will do; return what was said, and who waits for the body."""
        offered = self._smtp.extensions
        if self._smtp.phase is not Phase.READY:  # a transaction before this one ended without DATA
            self._smtp.enqueue(Simple(Verb.RSET))
        rcpts = [fit_rcpt(rcpt, offered) for rcpt in transaction.rcpts]
        last: Command = rcpts[-1] if "CHUNKING" in offered else Simple(Verb.DATA)
        self._smtp.enqueue(fit_mail(transaction.mail, offered), *rcpts)
        if last is not rcpts[-1]:
            self._smtp.enqueue(last)
        said: list[Said | None] = []
        try:
            reply = await self._until(last, said, len(rcpts), patience)
        except HopError:
            if not said or None in said or len(said) < len(rcpts):
                raise
            return said, []  # every recipient was refused before the hop went away
        return self._after(last, said, reply)

    async def _until(
        self, last: Command, said: list[Said | None], count: int, patience: Patience
    ) -> Reply | None:
        """Note what is said about each recipient (None = accepted); return the reply to the last command."""
        exchange = self._exchange
        exchange.stage = Stage.MAIL
        while True:
            seconds = patience.data_s if exchange.stage is Stage.DATA else patience.command_s
            event = await exchange.event(patience.until(seconds))
            reply = event.reply if isinstance(event, Answer) else None
            if not isinstance(event, Answer | Skipped) or (reply and reply.code == 421):
                raise exchange.refused(event)
            match event.command.verb:
                case Verb.MAIL:
                    exchange.stage = Stage.RCPT
                    if reply is None or not reply.positive:
                        said += [Said(Stage.MAIL, reply)] * count
                case Verb.RCPT if len(said) < count:
                    is_taken = reply is not None and reply.positive
                    said.append(None if is_taken else Said(Stage.RCPT, reply))
                    exchange.stage = Stage.DATA if len(said) == count else Stage.RCPT
                case Verb.RSET:
                    self._check_reset(event, reply)
            if event.command is last:
                return reply

    def _after(
        self, last: Command, said: list[Said | None], reply: Reply | None
    ) -> tuple[list[Said | None], list[int]]:
        accepted = [n for n, one in enumerate(said) if one is None]
        if last.verb is not Verb.DATA:
            return said, accepted
        if reply is not None and reply.code == 354:
            if not accepted:  # an end of data could make it a message that nobody is to get
                self.abort()
            return said, accepted
        for n in accepted:
            said[n] = Said(Stage.DATA, reply)
        return said, []

    def _check_reset(self, event: ClientEvent, reply: Reply | None) -> None:
        if reply is None or not reply.positive:
            raise self._exchange.refused(event)

    async def _body(self, content: Content, commitment: Commitment, patience: Patience) -> None:
        """Stream the message. A hop that answers in the middle of it refuses it."""
        exchange, smtp = self._exchange, self._smtp
        exchange.stage = Stage.DATA
        data = b""
        if smtp.phase is not Phase.BODY:
            size = content.size + len(await self._line_end(content))
            data = smtp.begin_chunk(size)
            exchange.say(data)
        data += smtp.send_body(content.header + b"\r\n")
        offset = 0
        while offset < content.body.size:
            chunk = await self._chunk(content, offset)
            offset += len(chunk)
            data += smtp.send_body(chunk)
            if len(data) > WRITE:  # the last octets wait: of a chunk, they are the end of data
                await self._write_body(data[:-2], patience)
                data = data[-2:]
        data += smtp.end_body()
        if not commitment.enter():
            raise TooLateError("no time is left for the end of data")
        exchange.stage = Stage.END
        exchange.note(f"a message of {content.size} octets, and its end")
        await exchange.write(data, from_now(patience.end_s))

    async def _chunk(self, content: Content, offset: int) -> bytes:
        if content.body.is_inline:
            return content.read_body(offset)
        return await self._off_loop.run(DISK_S, content.read_body, offset)

    async def _line_end(self, content: Content) -> bytes:
        """Return what the message lacks at its end: a line end, or nothing."""
        size = content.body.size
        tail = await self._chunk(content, max(0, size - 2)) if size else b"\r\n"
        return b"" if tail == b"\r\n" else b"\r\n"

    async def _write_body(self, data: bytes, patience: Patience) -> None:
        exchange = self._exchange
        if not await exchange.write(data, patience.until(patience.block_s)):
            event = await exchange.event(patience.until(patience.block_s))
            raise exchange.refused(event)

    async def _replies(
        self, said: list[Said | None], accepted: list[int], patience: Patience
    ) -> None:
        """Wait for the replies to the end of data, however long the call's deadline has been over."""
        while self._smtp.body_answers_due:
            try:
                event = await self._exchange.event(from_now(patience.end_s))
            except HopError as error:
                _fill(said, accepted, Said(Stage.END, None, error.reason))
                self.abort()
                return
            if isinstance(event, BodyAnswer):
                self._place(said, accepted, event)

    def _place(self, said: list[Said | None], accepted: list[int], event: BodyAnswer) -> None:
        """One reply for each accepted recipient (LMTP, PRDR), or one for all."""
        if event.is_own:
            said[accepted[event.index]] = Said(Stage.END, event.reply)
        else:
            _fill(said, accepted, Said(Stage.END, event.reply))


async def quit_all(sessions: Iterable[Session]) -> None:
    """Say goodbye on all of them at the same time: a process that ends has no second for each."""
    async with asyncio.TaskGroup() as tasks:
        for session in sessions:
            tasks.create_task(session.quit())


def _fill(said: list[Said | None], accepted: list[int], one: Said) -> None:
    for n in accepted:
        if said[n] is None:
            said[n] = one
