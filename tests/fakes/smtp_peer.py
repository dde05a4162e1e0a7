"""A small mail server without I/O: the real codec, and answers that a test can foretell.

Recipients whose local part begins with `no` are refused, with `later` deferred; everything else is taken. Who asked for
a reply for each recipient hears that the mailbox of those with `full` is full.
"""

from columba.common.smtp import codes, extensions
from columba.common.smtp.codes import Reply
from columba.common.smtp.command import Auth, Claim, Command, Hello, Mail, Rcpt, Simple, Verb
from columba.common.smtp.extensions import Extensions
from columba.common.smtp.server import DEFAULT_LIMITS, ServerConnection, ServerLimits
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

OFFER = extensions.offer(
    [("PIPELINING", ""), ("SIZE", "1000"), ("8BITMIME", ""), ("SMTPUTF8", ""), ("DSN", ""),
     ("ENHANCEDSTATUSCODES", ""), ("STARTTLS", ""), ("AUTH", "PLAIN LOGIN")]
)  # fmt: skip
MORE = extensions.offer(
    [
        (keyword, "")
        for keyword in ("CHUNKING", "PRDR", "REQUIRETLS", "FUTURERELEASE", "SMTPUTF8", "DSN")
    ]
)
PROXY = extensions.offer([("XCLIENT", "NAME ADDR"), ("XFORWARD", "NAME ADDR")])
HELLO = codes.greeting("mx.example", "ESMTP ready")
FULL = codes.reply(452, "4.2.2", "Mailbox full")


class FakeServer:
    """Feeds the codec and writes what it answers into `output`."""

    def __init__(
        self, lmtp: bool = False, bounds: ServerLimits = DEFAULT_LIMITS, offer: Extensions = OFFER
    ) -> None:
        self.offer, self.is_prdr = offer, False
        self.core = ServerConnection(bounds, lmtp=lmtp)
        self.output = self.core.greet(HELLO)
        self.mails: list[tuple[bytes, list[bytes], bytes]] = []
        self.events: list[Event] = []
        self.sender, self.recipients, self.body = b"", list[bytes](), b""

    def feed(self, data: bytes) -> None:
        self.core.receive(data)
        while not isinstance(event := self.core.next_event(), Wait):
            self.events.append(event)
            self._handle(event)

    def take_output(self) -> bytes:
        output, self.output = self.output, b""
        return output

    def _handle(self, event: Event) -> None:
        match event:
            case CommandReceived(command):
                self.output += self.core.send(self._answer(command))
            case AuthLine(data):
                reply = codes.AUTH_CANCELLED if data == b"*" else codes.AUTHENTICATED
                self.output += self.core.send(reply)
            case Body(data):
                self.body += data
            case EndOfChunk(size, problem):
                self.output += self.core.send(problem or codes.chunk_taken(size))
            case EndOfBody(_, problem):
                self._finish(problem)
            case Rejected(reply, _, reset):
                if reset:
                    self.sender, self.recipients, self.body = b"", [], b""
                self.output += self.core.send(reply)

    def _finish(self, problem: Reply | None) -> None:
        if problem is None:
            self.mails.append((self.sender, self.recipients, self.body))
        if problem is None and self.is_prdr and len(self.recipients) > 1:
            self.output += self.core.send(codes.PRDR_FOLLOWS)
            for recipient in self.recipients:
                full = recipient.startswith(b"full")
                self.output += self.core.send(FULL if full else codes.RECIPIENT_OK)
        while self.core.due:
            self.output += self.core.send(problem or codes.OK)

    def _answer(self, command: Command) -> Reply:
        match command:
            case Hello(Verb.HELO, _):
                self.core.offer = extensions.NONE
                return Reply(250, "", ("mx.example",))
            case Hello():
                self.core.offer = self.offer
                return extensions.ehlo_reply("mx.example", self.offer)
            case Mail(sender, params):
                self.is_prdr = params.prdr
                self.sender, self.recipients, self.body = sender, [], b""
                return codes.SENDER_OK
            case Rcpt(recipient):
                return self._rcpt(recipient)
            case Auth(_, initial):
                return Reply(334, "", ("",)) if initial is None else codes.AUTHENTICATED
            case Claim(Verb.XCLIENT):
                return HELLO
            case Simple(Verb.DATA):
                return codes.SEND_MESSAGE
            case Simple(Verb.STARTTLS):
                return codes.START_TLS
            case Simple(Verb.QUIT):
                return codes.closing("mx.example")
            case _:
                return codes.OK

    def _rcpt(self, recipient: bytes) -> Reply:
        if recipient.startswith(b"no"):
            return codes.reply(550, "5.1.1", "No such user")
        if recipient.startswith(b"later"):
            return codes.reply(450, "4.2.1", "Mailbox busy")
        self.recipients.append(recipient)
        return codes.RECIPIENT_OK
