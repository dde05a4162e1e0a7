"""What a server's session tells the service that drives it (server.py), and what each event asks of it.

Pure: values only.
"""

from dataclasses import dataclass
from enum import Enum

from columba.common.smtp.codes import Reply
from columba.common.smtp.command import Command


class Wait(Enum):
    """Why there is no event."""

    NEED_DATA = "more input is needed"
    PAUSED = "a reply is due from us"
    CLOSED = "the session is over"


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A legal command; answer it with send()."""

    command: Command


@dataclass(frozen=True, slots=True)
class AuthLine:
    """The client's response in an authentication exchange, still in base64; answer it with send()."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """Octets of the message, dots taken off."""

    data: bytes


@dataclass(frozen=True, slots=True)
class EndOfBody:
    """The true end of the message. problem is why it must be refused, None if nothing is wrong.

    Answer it with send(): once for SMTP, once for each accepted RCPT for LMTP. Where the client asked for PRDR, the
    answer may be codes.PRDR_FOLLOWS, then one reply for each accepted RCPT, then one for all.
    """

    size: int
    problem: Reply | None


@dataclass(frozen=True, slots=True)
class EndOfChunk:
    """The end of a chunk of this size that is not the last. Answer it with send(); an error ends the transaction."""

    size: int
    problem: Reply | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A command that can't be: send this reply, and close the connection if `close`.

    reset tells that the transaction, and what came of its message, is over with it.
    """

    reply: Reply
    close: bool = False
    reset: bool = False


Event = CommandReceived | AuthLine | Body | EndOfChunk | EndOfBody | Rejected | Wait
