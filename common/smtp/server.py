"""The server's side of an SMTP or LMTP session, without I/O.

Pure. receive(octets), then next_event() until it says Wait; for every event that asks something,
send(reply) gives the octets to write. Commands that the table of states or the grammar refuses come as
Rejected: the service writes the reply that is in it. One question is open at a time: until it is answered
next_event() says Wait.PAUSED, and pipelined input waits in the buffer.

It does not know who the client is, what is offered (the service sets `offer`), or what a reply means to
policy; it knows order, grammar, line ends, limits and how many replies are due.
"""

from dataclasses import dataclass
from typing import Final

from columba.common import limits
from columba.common.errors import LocalProtocolError
from columba.common.smtp import codes, extensions
from columba.common.smtp.buffer import LineState, ReceiveBuffer
from columba.common.smtp.chunk import ChunkReceiver
from columba.common.smtp.codes import Reply
from columba.common.smtp.command import CONTROLS, Bdat, Mail, Verb, parse_command, verb_of
from columba.common.smtp.data import BareNewline, DataReceiver
from columba.common.smtp.extensions import Extensions
from columba.common.smtp.path import SyntaxProblem
from columba.common.smtp.server_events import (
    AuthLine,
    Body,
    CommandReceived,
    EndOfBody,
    EndOfChunk,
    Event,
    Rejected,
    Wait,
)
from columba.common.smtp.state import Phase, next_phase, out_of_order

PUT_OFF: Final = (452, "4.5.3")
# What brings no mail nearer: a client that says much of it between two mails is up to something else.
JUNK: Final = frozenset(
    {Verb.NOOP, Verb.RSET, Verb.HELP, Verb.VRFY, Verb.EXPN, Verb.HELO, Verb.EHLO, Verb.LHLO}
)
TINY_CHUNK: Final = 64  # octets; so are many chunks of fewer that are not the last
OFFERED_AS: Final = {
    Verb.STARTTLS: "STARTTLS", Verb.AUTH: "AUTH", Verb.BDAT: "CHUNKING", Verb.XCLIENT: "XCLIENT",
    Verb.XFORWARD: "XFORWARD",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds of one session; sizes in octets, line ends counted."""

    command_line: int = limits.COMMAND_LINE
    auth_line: int = limits.AUTH_LINE
    recipients: int = limits.RECIPIENTS
    errors: int = 20
    junk: int = 100
    message_size: int = 50 * 1024 * 1024
    bare_newline: BareNewline = BareNewline.REJECT
    in_step: bool = (
        False  # what comes behind a DATA that is refused ends the session (RFC 2920 §3.1)
    )


DEFAULT_LIMITS: Final = ServerLimits()


class ServerConnection:
    """One session. `offer` holds the EHLO keywords that this client may use; the service sets it."""

    __slots__ = (
        "_body", "_buffer", "_chunk", "_due", "_eat", "_eaten", "_end", "_errors", "_is_closing", "_is_prdr",
        "_junk", "_limits", "_lmtp", "_open", "_phase", "_put_off", "accepted", "offer",
    )  # fmt: skip

    def __init__(self, bounds: ServerLimits = DEFAULT_LIMITS, lmtp: bool = False) -> None:
        self._limits, self._lmtp = bounds, lmtp
        self._buffer = ReceiveBuffer()
        self._phase = Phase.GREETING
        self._open: Verb | None = None  # the command that waits for our reply
        self._due = 0  # replies that are due to it
        self._errors = 0
        self._put_off = 0  # recipients since the last mail that were answered PUT_OFF
        self._body: DataReceiver | None = None
        self._end: EndOfBody | None = None  # read, but not yet told
        self._chunk: ChunkReceiver | None = None  # of a message that comes with BDAT
        self._eat = 0  # octets of a refused chunk that are still to come
        self._eaten: Rejected | None = None  # what is said when they have come
        self._junk = 0  # commands since the last mail that brought none nearer
        self._is_closing = self._is_prdr = False
        self.accepted = 0  # recipients of this transaction
        self.offer: Extensions = extensions.NONE

    @property
    def phase(self) -> Phase:
        """Return where the session is."""
        return self._phase

    @property
    def errors(self) -> int:
        """Return how many commands were answered with 4xx or 5xx."""
        return self._errors

    @property
    def due(self) -> int:
        """Return how many replies are due from us."""
        return self._due

    @property
    def buffered(self) -> int:
        """Return how many octets wait in the buffer."""
        return len(self._buffer)

    @property
    def has_quit(self) -> bool:
        """Tell whether what waits to be understood ends with QUIT: the client has said all, and waits for answers."""
        return self._buffer.tail.upper() == b"QUIT\r\n"

    def receive(self, data: bytes) -> None:
        """Take input. Raises RemoteProtocolError for plain text between STARTTLS and the handshake."""
        if self._phase is Phase.TLS:
            raise SyntaxProblem(codes.AFTER_STARTTLS)
        if self._phase is not Phase.CLOSED:
            self._buffer.append(data)

    def next_event(self) -> Event:
        """Return the next event. Raises RemoteProtocolError when the session can't go on."""
        if self._phase is Phase.CLOSED:
            return Wait.CLOSED
        if self._due or self._phase in (Phase.GREETING, Phase.TLS):
            return Wait.PAUSED
        if self._eaten is not None:
            return self._eat_chunk(self._eaten)
        if self._body is not None:
            return self._read_body(self._body)
        if self._chunk is not None and self._phase is not Phase.CHUNKS:
            return self._read_chunk(self._chunk)
        if self._end is not None:
            return self._take_end(self._end)
        if self._errors >= self._limits.errors:
            self._expect(None)
            return Rejected(codes.TOO_MANY_ERRORS, close=True)
        is_auth = self._phase is Phase.AUTH
        line = self._buffer.take_line(
            self._limits.auth_line if is_auth else self._limits.command_line
        )
        if line is LineState.INCOMPLETE:
            return Wait.NEED_DATA
        # A refused line of an exchange ends the exchange: no later line of it may pass for a command.
        self._expect(Verb.AUTH if is_auth else None)
        if line is LineState.TOO_LONG:
            return Rejected(codes.LINE_TOO_LONG)
        if line.translate(None, CONTROLS) != line:
            # The octets behind a BDAT that can't be read are of unknown length: nothing of them may pass for a command.
            return self._rejected(codes.BARE_NEWLINE_COMMAND, line)
        return AuthLine(line) if is_auth else self._read_command(line)

    def greet(self, reply: Reply) -> bytes:
        """Return the octets of the greeting: 220 opens the session, 4xx or 5xx ends it."""
        if self._phase is not Phase.GREETING:
            raise LocalProtocolError("a second greeting")
        self._phase = Phase.CONNECTED if reply.positive else Phase.CLOSED
        return reply.encode()

    def send(self, reply: Reply) -> bytes:
        """Return the octets of the reply that is due.

        Raises LocalProtocolError if none is, and RemoteProtocolError (with its reply) when input that
        came after STARTTLS lies in the buffer: the upgrade must not happen.
        """
        if not self._due:
            raise LocalProtocolError(f"no reply is due, but {reply.code} was to be sent")
        self._due -= 1
        verb = self._open
        if reply is codes.PRDR_FOLLOWS:
            self._due = self._prdr_replies()
        if not self._due:
            self._count(verb, reply)
        if verb is None:
            self._close_if(reply)
            return reply.encode()
        if self._due and reply.code != 421:
            return reply.encode()
        self._due, self._open = 0, None
        self._advance(verb, reply)
        return reply.encode()

    def close(self, reply: Reply) -> bytes:
        """Return the octets of a reply of ours that nobody asked for (a 421), after which the session is over."""
        self._phase, self._due, self._open = Phase.CLOSED, 0, None
        self._reset()
        return reply.encode()

    def tls_started(self) -> None:
        """Say that the handshake is done: all that the client said before is forgotten (RFC 3207 §4.2)."""
        if self._phase is Phase.TLS:
            self._phase = Phase.CONNECTED
        self._reset()
        self.offer = extensions.NONE

    def _prdr_replies(self) -> int:
        if self._phase is not Phase.BODY or not self._is_prdr:
            raise LocalProtocolError("the client did not ask for a reply for each recipient")
        return self.accepted + 1

    def _count(self, verb: Verb | None, reply: Reply) -> None:
        """Count an error. A recipient that is put off to another transaction is none (RFC 5321 §4.5.3.1.10)."""
        is_tiny = (
            verb is Verb.BDAT and self._chunk is not None and self._chunk.chunk_size < TINY_CHUNK
        )
        if (is_tiny or verb in JUNK) and reply.positive:
            self._junk += 1
            self._errors += self._junk > self._limits.junk
        is_put_off = (reply.code, reply.enhanced) == PUT_OFF
        if is_put_off and self._put_off < self._limits.recipients:
            self._put_off += 1
        elif reply.code >= 400:
            self._errors += 1

    def _expect(self, verb: Verb | None, replies: int = 1) -> None:
        self._open, self._due = verb, replies

    def _read_command(self, line: bytes) -> Event:
        try:
            verb = verb_of(line)
            problem = out_of_order(self._phase, verb, self._lmtp) or self._unoffered(verb)
            if problem and verb is not Verb.BDAT:
                self._is_closing = verb is Verb.DATA and self._is_out_of_step
                return Rejected(
                    codes.OUT_OF_STEP if self._is_closing else problem, self._is_closing
                )
            command = parse_command(line, self.offer.offered)
        except SyntaxProblem as error:
            return self._rejected(error.reply, line)
        if isinstance(command, Bdat):
            return self._begin_chunk(command, problem)
        if verb is Verb.RCPT and self.accepted >= self._limits.recipients:
            return Rejected(codes.TOO_MANY_RECIPIENTS)
        if verb is Verb.STARTTLS and len(self._buffer):
            raise SyntaxProblem(codes.AFTER_STARTTLS)
        if isinstance(command, Mail):
            self._is_prdr = command.params.prdr
        self._expect(verb)
        return CommandReceived(command)

    def _rejected(self, reply: Reply, line: bytes) -> Rejected:
        self._is_closing = line[:4].upper() == b"BDAT"
        return Rejected(reply, close=self._is_closing)

    def _begin_chunk(self, command: Bdat, problem: Reply | None) -> Event:
        self._due, self._open = 0, None
        if problem is not None:
            # RFC 3030 §2: the octets come all the same. What was said of the mail before can't be relied on.
            self._eat, self._eaten = command.size, Rejected(problem, reset=True)
            return self.next_event()
        if self._chunk is None:
            self._chunk = ChunkReceiver(self._limits.message_size, self._limits.bare_newline)
        self._chunk.begin(command.size, command.is_last)
        self._phase = Phase.BODY if command.is_last else Phase.PIECE
        return self.next_event()

    def _eat_chunk(self, rejected: Rejected) -> Event:
        self._eat -= len(self._buffer.take(self._eat))
        if self._eat:
            return Wait.NEED_DATA
        self._eaten = None
        self._expect(Verb.BDAT)
        return rejected

    def _read_chunk(self, chunk: ChunkReceiver) -> Event:
        if chunk.left and not len(self._buffer):
            return Wait.NEED_DATA
        if content := chunk.feed(self._buffer.take(chunk.left)):
            return Body(content)
        if chunk.left:
            return Wait.NEED_DATA
        if chunk.is_last:
            self._chunk = None
            return self._take_end(EndOfBody(chunk.size, _problem_of(chunk)), Verb.BDAT)
        self._expect(Verb.BDAT)
        return EndOfChunk(chunk.chunk_size, _problem_of(chunk))

    def _unoffered(self, verb: Verb) -> Reply | None:
        keyword = OFFERED_AS.get(verb)
        return codes.NOT_IMPLEMENTED if keyword and keyword not in self.offer else None

    def _read_body(self, body: DataReceiver) -> Event:
        if not len(self._buffer):
            return Wait.NEED_DATA
        content, rest = body.feed(self._buffer.take_all())
        if rest is None:
            return Body(content) if content else Wait.NEED_DATA
        self._buffer.append(rest)
        self._body = None
        self._end = EndOfBody(body.size, _problem_of(body))
        return Body(content) if content else self._take_end(self._end)

    def _take_end(self, end: EndOfBody, verb: Verb = Verb.DATA) -> EndOfBody:
        self._end = None
        self._expect(verb, self.accepted if self._lmtp else 1)
        return end

    @property
    def _is_out_of_step(self) -> bool:
        """Tell whether the client went on without our answer: it may send a message that would pass for commands."""
        return self._limits.in_step and len(self._buffer) > 0

    def _advance(self, verb: Verb, reply: Reply) -> None:
        if verb is Verb.STARTTLS and reply.positive and len(self._buffer):
            self._phase = Phase.CLOSED
            raise SyntaxProblem(codes.AFTER_STARTTLS)
        before = self._phase
        self._phase = next_phase(before, verb, reply)
        if (
            verb is Verb.DATA
            and before is Phase.RCPT
            and reply.code >= 400
            and self._is_out_of_step
        ):
            self._phase = Phase.CLOSED
        if before is Phase.BODY and reply.code < 300:
            self._put_off = self._junk = 0
        if verb is Verb.RCPT and reply.positive:
            self.accepted += 1
        elif self._phase is Phase.READY:
            self._reset()
        elif self._phase is Phase.CONNECTED:
            self.offer = extensions.NONE  # XCLIENT: another client, who has said nothing yet
        elif self._phase is Phase.BODY and before is not Phase.BODY and verb is Verb.DATA:
            self._body = DataReceiver(self._limits.message_size, self._limits.bare_newline)

    def _close_if(self, reply: Reply) -> None:
        self._due = 0
        if reply.code == 421 or self._is_closing:
            self._phase = Phase.CLOSED

    def _reset(self) -> None:
        self.accepted, self._body, self._end, self._chunk = 0, None, None, None


def _problem_of(body: DataReceiver | ChunkReceiver) -> Reply | None:
    if body.bare_newline:
        return codes.BAD_NEWLINE
    return codes.TOO_BIG if body.too_big else None
