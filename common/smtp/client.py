"""The client's side of an SMTP or LMTP session, without I/O.

Pure. enqueue(commands); write what data_to_send() gives; receive(octets), then next_event() until it says
ClientWait. Commands leave in groups where the server offers PIPELINING (RFC 2920), else one by one; what can't
succeed any more (RCPT and DATA after a refused MAIL, DATA without a recipient) is not sent but told as Skipped.
After Answer(DATA, 354) the caller gives the message with send_body() and end_body(). Where the server offers CHUNKING
(RFC 3030), begin_chunk() takes the place of DATA: the message is one chunk, the last, of a size that is said before.
For SMTP one BodyAnswer follows, for LMTP (RFC 2033 §4.2) and after a 353 (PRDR) one for each accepted RCPT in order;
with PRDR they are told only when the final reply is there, because until then the server has promised nothing.

It does not know what a reply means for the mail, nor which hop this is.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

from columba.common import limits
from columba.common.errors import LocalProtocolError, RemoteProtocolError
from columba.common.smtp import codes, extensions
from columba.common.smtp.buffer import LineState, ReceiveBuffer
from columba.common.smtp.codes import Reply
from columba.common.smtp.command import (
    Command,
    Hello,
    Mail,
    Rcpt,
    Verb,
    format_command,
)
from columba.common.smtp.data import ChunkSender, DataSender
from columba.common.smtp.extensions import Extensions
from columba.common.smtp.fit import fit_mail, fit_rcpt
from columba.common.smtp.reply import ReplyParser
from columba.common.smtp.state import LAST_IN_GROUP, Phase, next_phase, out_of_order

_TAKEN: Final = Reply(250)


class ClientWait(Enum):
    """Why there is no event."""

    NEED_DATA = "more input is needed"
    CLOSED = "the session is over"


@dataclass(frozen=True, slots=True)
class Greeting:
    """The server's first reply; only 220 lets the session go on."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply to a command. final is False when the session goes on to HELO after a refused EHLO."""

    command: Command
    reply: Reply
    final: bool = True


@dataclass(frozen=True, slots=True)
class BodyAnswer:
    """The reply to end of data: of the accepted recipient `index` alone when `is_own`, else of all (index 0)."""

    index: int
    reply: Reply
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class Skipped:
    """A command that was not sent, because it can't succeed any more."""

    command: Command


@dataclass(frozen=True, slots=True)
class Unasked:
    """A reply to nothing: usually the 421 before a server closes. The session is over."""

    reply: Reply


ClientEvent = Greeting | Answer | BodyAnswer | Skipped | Unasked | ClientWait


class ClientConnection:
    """One session. `extensions` is what the last EHLO or LHLO offered; `accepted` the recipients taken so far."""

    __slots__ = (
        "_auth", "_body", "_buffer", "_each", "_events", "_ignored", "_lmtp", "_output", "_parser", "_phase",
        "_prdr", "_queue", "_reply_line", "_sent", "_told", "accepted", "extensions",
    )  # fmt: skip

    def __init__(
        self,
        lmtp: bool = False,
        reply_line: int = limits.REPLY_LINE,
        reply_lines: int = limits.REPLY_LINES,
    ) -> None:
        self._lmtp, self._reply_line = lmtp, reply_line
        self._buffer = ReceiveBuffer(b"\n")  # a sloppy server's bare LF harms nobody but itself
        self._parser = ReplyParser(reply_lines)
        self._phase = Phase.GREETING
        self._queue: deque[Command] = deque()
        self._sent: deque[Command] = deque()
        self._events: deque[ClientEvent] = deque()
        self._output = b""
        self._auth: Command | None = None  # the AUTH whose exchange is open
        self._body: DataSender | ChunkSender | None = None
        self._prdr = False  # the server knows that we take a reply for each recipient
        self._each: list[Reply] | None = None  # those replies, after a 353
        self._told = -1  # answers to the end of data that were told; -1 = no end is open
        self._ignored = 0  # replies to come that concern nobody
        self.accepted: list[Rcpt] = []
        self.extensions: Extensions = extensions.NONE

    @property
    def phase(self) -> Phase:
        """Return where the session is."""
        return self._phase

    @property
    def waiting(self) -> tuple[Command, ...]:
        """Return the commands that were sent and not yet answered."""
        return tuple(self._sent)

    @property
    def body_answers_due(self) -> int:
        """Return how many answers to the end of data are still to be told; with PRDR at least so many."""
        told = sum(isinstance(event, BodyAnswer) for event in self._events)
        if self._told < 0:
            return told
        return told + (len(self.accepted) if self._lmtp else 1) - self._told

    def hello(self, name: bytes) -> None:
        """Enqueue LHLO or EHLO; a server that refuses EHLO for good is greeted with HELO (RFC 5321 §3.2)."""
        self.enqueue(Hello(Verb.LHLO if self._lmtp else Verb.EHLO, name))

    def enqueue(self, *commands: Command) -> None:
        """Add commands in the order in which they are to be sent."""
        self._queue.extend(commands)

    def data_to_send(self) -> bytes:
        """Return what may be written now.

        Raises LocalProtocolError for a command that is not legal at its place, or whose parameters
        the server did not offer.
        """
        while self._queue and self._may_send(self._queue[0]):
            command = self._queue.popleft()
            if self._is_hopeless(command):
                self._events.append(Skipped(command))
                continue
            self._check(command)
            self._sent.append(command)
            if isinstance(command, Mail):
                self.accepted, self._prdr = [], command.params.prdr
            self._output += format_command(command)
        output, self._output = self._output, b""
        return output

    def receive(self, data: bytes) -> None:
        """Take input. Raises RemoteProtocolError for input between the 220 to STARTTLS and the handshake."""
        if self._phase is Phase.TLS:
            raise RemoteProtocolError("input before the TLS handshake")
        self._buffer.append(data)

    def next_event(self) -> ClientEvent:
        """Return the next event. Raises RemoteProtocolError when the server does not speak SMTP."""
        while True:
            if self._events:
                return self._events.popleft()
            if self._phase is Phase.CLOSED:
                return ClientWait.CLOSED
            line = self._buffer.take_line(self._reply_line)
            if line is LineState.INCOMPLETE:
                return ClientWait.NEED_DATA
            if line is LineState.TOO_LONG:
                raise RemoteProtocolError("reply line too long")
            reply = self._parser.feed(line.removesuffix(b"\r"))
            if reply is not None:
                self._take(reply)

    def begin_chunk(self, size: int) -> bytes:
        """Return "BDAT size LAST": so many octets of message follow by send_body(), then end_body().

        Raises LocalProtocolError where CHUNKING was not offered, or no recipient waits for a message.
        """
        is_due = self._phase is Phase.RCPT and self.accepted and not self._sent and not self._queue
        if not is_due or "CHUNKING" not in self.extensions:
            raise LocalProtocolError("no chunk may be sent now")
        self._phase, self._body = Phase.BODY, ChunkSender(size)
        return b"BDAT %d LAST\r\n" % size

    def send_body(self, chunk: bytes) -> bytes:
        """Return the wire form of a part of the message. Raises LocalProtocolError for a bare CR or LF."""
        if self._body is None:
            raise LocalProtocolError("no message may be sent now")
        return self._body.send(chunk)

    def end_body(self) -> bytes:
        """Return the end of data; from here on the server may take the message."""
        if self._body is None:
            raise LocalProtocolError("no message may be ended now")
        end, self._body, self._told = self._body.finish(), None, 0
        return end

    def auth_response(self, line: bytes) -> bytes:
        """Return the client's line in an authentication exchange (base64, or "*" to cancel)."""
        if self._phase is not Phase.AUTH or self._auth is None:
            raise LocalProtocolError("no authentication exchange is open")
        self._sent.append(self._auth)
        return line + b"\r\n"

    def tls_started(self) -> None:
        """Say that the handshake is done: what was offered before is forgotten (RFC 3207 §4.2)."""
        if self._phase is Phase.TLS:
            self._phase = Phase.CONNECTED
        self.extensions = extensions.NONE

    def eof(self) -> None:
        """Say that the connection is gone."""
        self._phase = Phase.CLOSED

    def _may_send(self, command: Command) -> bool:
        if self._phase in (Phase.GREETING, Phase.AUTH, Phase.TLS, Phase.BODY, Phase.CLOSED):
            return False
        if self._ignored:
            return False
        if not self._sent:
            return True
        last = self._sent[-1].verb
        return "PIPELINING" in self.extensions and last not in LAST_IN_GROUP

    def _is_hopeless(self, command: Command) -> bool:
        if self._sent:
            return False
        if command.verb is Verb.RCPT:
            return self._phase is Phase.READY
        return command.verb is Verb.DATA and self._phase in (Phase.READY, Phase.MAIL)

    def _check(self, command: Command) -> None:
        phase = self._phase
        for earlier in self._sent:
            phase = next_phase(phase, earlier.verb, _TAKEN)
        if out_of_order(phase, command.verb, self._lmtp):
            raise LocalProtocolError(f"{command.verb.name} is not legal {phase.value}")
        if isinstance(command, Mail) and fit_mail(command, self.extensions) is not command:
            raise LocalProtocolError("MAIL with a parameter that was not offered")
        if isinstance(command, Rcpt) and fit_rcpt(command, self.extensions) is not command:
            raise LocalProtocolError("RCPT with a parameter that was not offered")

    def _take(self, reply: Reply) -> None:
        if self._phase is Phase.GREETING:
            self._phase = Phase.CONNECTED if reply.code == 220 else Phase.CLOSED
            self._events.append(Greeting(reply))
        elif self._ignored:
            self._ignored -= 1
            self._close_on_421(reply)
        elif self._told >= 0:
            self._take_body_answer(reply)
        elif self._sent:
            self._take_answer(self._sent.popleft(), reply)
        else:
            self._phase = Phase.CLOSED
            self._events.append(Unasked(reply))

    def _take_answer(self, command: Command, reply: Reply) -> None:
        verb = command.verb
        if reply.code == 354 and verb is Verb.DATA and not self.accepted:
            # RFC 2920 §3.1: a server that goes on without recipients is given an empty message.
            self._output += b".\r\n"
            self._ignored, self._phase = 0 if self._lmtp else 1, Phase.READY
            self._events.append(Answer(command, codes.NO_RECIPIENTS))
            return
        if reply.code // 100 == 3 and verb not in (Verb.DATA, Verb.AUTH):
            raise RemoteProtocolError(f"{reply.code} in answer to {verb.name}")
        self._phase = next_phase(self._phase, verb, reply)
        self._auth = command if self._phase is Phase.AUTH else None
        if isinstance(command, Rcpt) and reply.positive:
            self.accepted.append(command)
        if self._phase is Phase.BODY:
            self._body = DataSender()
        if self._phase is Phase.TLS and len(self._buffer):
            raise RemoteProtocolError("input after the reply to STARTTLS")
        self._events.append(Answer(command, reply, final=not self._falls_back(command, reply)))

    def _falls_back(self, command: Command, reply: Reply) -> bool:
        if not isinstance(command, Hello):
            return False
        if reply.positive:
            is_helo = command.verb is Verb.HELO
            self.extensions = extensions.NONE if is_helo else extensions.parse_ehlo(reply)
            return False
        if command.verb is Verb.EHLO and reply.permanent:
            self._queue.appendleft(Hello(Verb.HELO, command.name))
            return True
        return False

    def _take_body_answer(self, reply: Reply) -> None:
        if reply.code == 353 and self._prdr and self._each is None:
            self._each = []
            return
        if reply.code // 100 == 3:
            raise RemoteProtocolError(f"{reply.code} in answer to the end of data")
        if self._each is not None and len(self._each) < len(self.accepted) and reply.code != 421:
            self._each.append(reply)
            return
        self._tell(reply)
        if self._told >= (len(self.accepted) if self._lmtp else 1):
            self._told, self._each = -1, None
            self._phase = next_phase(self._phase, Verb.DATA, reply)
            self.accepted = []
        self._close_on_421(reply)

    def _tell(self, reply: Reply) -> None:
        """With PRDR a recipient's 2xx holds only where the final reply is 2xx too."""
        if self._each is None:
            self._events.append(BodyAnswer(self._told, reply, is_own=self._lmtp))
        else:
            said = [*self._each, *[reply] * (len(self.accepted) - len(self._each))]
            final = [one if reply.positive or not one.positive else reply for one in said]
            self._events.extend(BodyAnswer(n, one, is_own=True) for n, one in enumerate(final))
        self._told += 1

    def _close_on_421(self, reply: Reply) -> None:
        if reply.code == 421:
            self._phase = Phase.CLOSED
