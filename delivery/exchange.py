"""Words with one hop: what the codec wants to say goes out, what comes in becomes events, and all is noted.

It drives common/smtp/client over a Stream. Every wait has a deadline; whatever breaks the dialogue is a HopError with
the stage at which it broke. What is said when stands in opening.py and session.py.
"""

import time
from dataclasses import dataclass

from columba.common.clock import from_now
from columba.common.errors import ColumbaError, RemoteProtocolError
from columba.common.net.stream import Stream, StreamError
from columba.common.smtp.client import (
    Answer,
    BodyAnswer,
    ClientConnection,
    ClientEvent,
    ClientWait,
    Greeting,
    Unasked,
)
from columba.common.smtp.codes import Reply
from columba.delivery.outcome import Stage
from columba.delivery.target import Endpoint
from columba.delivery.transcript import Transcript


class HopError(ColumbaError):
    """The session ended before the end of data; nothing was handed over. reply None = lost or senseless."""

    def __init__(self, stage: Stage, reason: str, reply: Reply | None = None) -> None:
        super().__init__(reason)
        self.stage, self.reason, self.reply = stage, reason, reply


class HopTlsError(HopError):
    """TLS could not be agreed with this hop."""


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
        return min(self.deadline_ns, from_now(seconds))


class Exchange:
    """The dialogue with one hop, for one task at a time. `stage` is what is being said now."""

    def __init__(self, stream: Stream, endpoint: Endpoint, lmtp: bool) -> None:
        self.stream, self.endpoint = stream, endpoint
        self.smtp = ClientConnection(lmtp)
        self.transcript = Transcript()
        self.stage = Stage.GREETING
        self.is_secret = False  # what is said now is not noted
        self._broken: StreamError | None = None

    async def event(self, until_ns: int) -> ClientEvent:
        """Send what may be sent and return the next event. Raises HopError."""
        smtp = self.smtp
        try:
            while True:
                output = smtp.data_to_send()
                if output and self._broken is None:
                    await self._say(output, until_ns)
                event = smtp.next_event()
                if event is ClientWait.NEED_DATA:
                    self._hear(await self.stream.read(until_ns))
                elif event is ClientWait.CLOSED:
                    raise HopError(self.stage, "the hop closed the session")
                else:
                    return event
        except (StreamError, RemoteProtocolError) as error:
            reason = str(self._broken or error)
            self.note(reason)
            raise HopError(self.stage, reason) from error

    async def write(self, data: bytes, until_ns: int) -> bool:
        """Write octets of a message; return False when the connection broke: the last words may still be there."""
        try:
            await self.stream.write(data, until_ns)
        except StreamError as error:
            self._broken = error
            return False
        return True

    def refused(self, event: ClientEvent) -> HopError:
        """Return the error for an event that ends the session."""
        reply = event.reply if isinstance(event, Greeting | Answer | Unasked | BodyAnswer) else None
        reason = reply.one_line() if reply is not None else "the hop answered out of order"
        return HopError(self.stage, reason, reply)

    def note(self, text: str) -> None:
        """Note something about the dialogue."""
        self.transcript.note(time.monotonic_ns(), "*", text.encode())

    def say(self, line: bytes) -> None:
        """Note a line of ours that is not noted as it goes out."""
        self.transcript.note(time.monotonic_ns(), "C", line)

    def abort(self) -> None:
        """Close at once."""
        self.smtp.eof()
        self.stream.abort()

    async def _say(self, output: bytes, until_ns: int) -> None:
        if not self.is_secret:
            self.transcript.note(time.monotonic_ns(), "C", output)
        await self.write(output, until_ns)

    def _hear(self, data: bytes) -> None:
        if not data:
            self.note("the hop closed the connection")
            raise HopError(self.stage, f"{self.endpoint.label} closed the connection")
        if not self.is_secret:
            self.transcript.note(time.monotonic_ns(), "S", data)
        self.smtp.receive(data)
