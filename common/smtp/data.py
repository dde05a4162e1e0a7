r"""The body of DATA on the wire: dots off, dots on, and the cut between header and body.

Pure. Only CRLF "." CRLF ends a message (RFC 5321 §4.1.1.4). A bare CR or LF is noticed, and the input is
still read to its true end, so that nothing behind it can pass for a command. All work is done on big
chunks with find, replace and count, never octet by octet.
"""

import re
from enum import Enum
from typing import Final

from columba.common import limits
from columba.common.errors import LocalProtocolError
from columba.common.mail.header import header_end

_END: Final = b"\r\n.\r\n"
_HELD: Final = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")
_ANY_NEWLINE: Final = re.compile(rb"\r\n|\r|\n")


class BareNewline(Enum):
    """What is done with a CR or LF that stands alone (promises §12)."""

    REJECT = "reject"
    NORMALIZE = "normalize"


class DataReceiver:
    """Takes the octets after 354 and gives the message without dots.

    bare_newline and too_big tell, once finished, why the message must be refused. Past max_size the
    octets are counted and dropped.
    """

    __slots__ = ("_carry", "_first", "_mode", "bare_newline", "max_size", "size", "too_big")

    def __init__(self, max_size: int, mode: BareNewline = BareNewline.REJECT) -> None:
        # The text begins at the start of a line: a CRLF that nobody sent stands before it.
        self._carry, self._first, self._mode = b"\r\n", True, mode
        self.max_size, self.size = max_size, 0
        self.bare_newline = self.too_big = False

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Return what the message gains, and the octets after its end (None while it goes on)."""
        text = self._carry + data
        end = text.find(_END)
        if end >= 0:
            self._carry = b""
            return self._content(text[: end + 2]), text[end + 5 :]
        keep = _held_back(text)
        self._carry = text[len(text) - keep :]
        return self._content(text[: len(text) - keep]), None

    def _content(self, text: bytes) -> bytes:
        if not text:
            return b""
        pairs = text.count(b"\r\n")
        bare = text.count(b"\n") != pairs or text.count(b"\r") != pairs
        # RFC 5321 §4.5.2: a leading dot is removed. No CRLF is ever split between two calls.
        if b"\r\n." in text:
            text = text.replace(b"\r\n.", b"\r\n")
        if bare and self._mode is BareNewline.NORMALIZE:
            text = _ANY_NEWLINE.sub(b"\r\n", text)
        elif bare:
            self.bare_newline = True
        if self._first:
            self._first, text = False, text[2:]
        self.size += len(text)
        if self.size > self.max_size:
            self.too_big = True
        return b"" if self.too_big or self.bare_newline else text


def _held_back(text: bytes) -> int:
    """Return how many octets at the end may be the head of the end of data."""
    for head in _HELD:
        if text.endswith(head):
            return len(head)
    return 0


class _Sender:
    """Lets a message out in chunks, and no bare CR or LF with it."""

    __slots__ = ("_held", "_last")

    def __init__(self) -> None:
        self._last = (
            b"\r\n"  # the last two octets that left; a message begins at the start of a line
        )
        self._held = b""

    def _checked(self, chunk: bytes) -> bytes:
        """Return what may leave now of a chunk; its last CR waits for what follows it.

        Raises LocalProtocolError for a bare CR or LF: the caller must close without an end of data, so
        that nothing is handed over.
        """
        text = self._held + chunk
        self._held = b""
        if text.endswith(b"\r"):
            text, self._held = text[:-1], b"\r"
        pairs = text.count(b"\r\n")
        if text.count(b"\n") != pairs or text.count(b"\r") != pairs:
            raise LocalProtocolError("a bare CR or LF in a message that goes out")
        self._last = (self._last + text)[-2:]
        return text

    def _missing_line_end(self) -> bytes:
        """Return the line end that a message needs which has none. Raises LocalProtocolError for a bare CR."""
        if self._held:
            raise LocalProtocolError("a bare CR at the end of a message that goes out")
        return b"" if self._last == b"\r\n" else b"\r\n"


class DataSender(_Sender):
    """Stuffs dots into a message that goes out in chunks."""

    __slots__ = ()

    def send(self, chunk: bytes) -> bytes:
        """Return the wire form of a chunk. Raises LocalProtocolError for a bare CR or LF."""
        starts_line = self._last == b"\r\n"
        text = self._checked(chunk)
        if b"\r\n." in text:
            text = text.replace(b"\r\n.", b"\r\n..")
        return b"." + text if starts_line and text.startswith(b".") else text

    def finish(self) -> bytes:
        """Return the end of data; a line end is added to a message that has none."""
        return self._missing_line_end() + b".\r\n"


class ChunkSender(_Sender):
    """Lets a message out as one BDAT chunk of a size that was said before (RFC 3030 §2)."""

    __slots__ = ("_left",)

    def __init__(self, size: int) -> None:
        super().__init__()
        self._left = size

    def send(self, chunk: bytes) -> bytes:
        """Return the wire form of a chunk. Raises LocalProtocolError for a bare CR or LF, or past the size."""
        text = self._checked(chunk)
        self._left -= len(text)
        if self._left < 0:
            raise LocalProtocolError("a message is greater than was said")
        return text

    def finish(self) -> bytes:
        """Return the line end of a message that has none; the size has counted it."""
        end = self._missing_line_end()
        if self._left != len(end):
            raise LocalProtocolError("a message has not the size that was said")
        return end


class HeaderCut:
    """Cuts a message into its header block and its body while it comes in.

    The block is all fields, each ending with CRLF, without the empty line. The first line that is no
    field ends the header, and is the body's first line: no line is lost or added.
    """

    __slots__ = ("_head", "_searched", "complete", "limit", "too_big")

    def __init__(self, limit: int = limits.HEADER_SIZE) -> None:
        self._head, self._searched, self.limit = bytearray(), 0, limit
        self.complete = self.too_big = False

    def feed(self, chunk: bytes) -> bytes:
        """Take octets of the message; return those of the body."""
        if self.complete:
            return chunk
        if self.too_big:
            return b""
        self._head += chunk
        if self._head.startswith(b"\r\n"):
            return self._cut(0, 2)
        at = self._head.find(b"\r\n\r\n", self._searched)
        if at >= 0 and at + 2 <= self.limit:
            return self._cut(at + 2, at + 4)
        if len(self._head) > self.limit:
            return self._overflow()
        self._searched = max(0, len(self._head) - 3)
        return b""

    def finish(self) -> bytes:
        """Say that the message ended; return octets of the body that were taken for header."""
        if self.complete or self.too_big:
            return b""
        return self._cut(len(self._head), len(self._head))

    @property
    def header(self) -> bytes:
        """Return the header block; whole once complete."""
        return bytes(self._head)

    def _overflow(self) -> bytes:
        """Decide whether a text without an empty line is a header past the limit or has none."""
        lines = bytes(self._head[: self._head.rfind(b"\n") + 1])
        if header_end(lines) < len(lines):
            return self._cut(len(self._head), len(self._head))
        self.too_big = True
        self._head.clear()
        return b""

    def _cut(self, end: int, start: int) -> bytes:
        head, body = bytes(self._head[:end]), bytes(self._head[start:])
        true_end = header_end(head)
        if true_end < len(head):
            body = bytes(self._head[true_end:])
            head = head[:true_end]
        if head and not head.endswith(b"\r\n"):
            head += b"\r\n"
        self._head, self.complete = bytearray(head), True
        return body
