"""The body of BDAT: chunks of known length in, one message out (RFC 3030 §2).

Pure. Chunks may be cut anywhere, also between CR and LF, and nothing in them ends the message but the count. A bare CR
or LF is noticed as in DATA (data.py). A message whose last line has no end gets one, so that the message is the same
however it came and leaves.
"""

import re
from typing import Final

from columba.common.smtp.data import BareNewline

_ANY_NEWLINE: Final = re.compile(rb"\r\n|\r|\n")


class ChunkReceiver:
    """Takes the chunks of one message.

    size is that of the message, chunk_size that of the present chunk. bare_newline and too_big tell why the message
    must be refused; once one of them is true, octets are counted and dropped.
    """

    __slots__ = (
        "_ends_line", "_held", "_is_last", "_left", "_mode", "bare_newline", "chunk_size", "max_size", "size",
        "too_big",
    )  # fmt: skip

    def __init__(self, max_size: int, mode: BareNewline = BareNewline.REJECT) -> None:
        self._left, self._is_last, self._held, self._mode = 0, False, b"", mode
        self._ends_line = True  # nothing yet: no line is open
        self.max_size, self.size, self.chunk_size = max_size, 0, 0
        self.bare_newline = self.too_big = False

    @property
    def left(self) -> int:
        """Return how many octets of this chunk are still to come."""
        return self._left

    @property
    def is_last(self) -> bool:
        """Tell whether the present chunk ends the message."""
        return self._is_last

    def begin(self, size: int, is_last: bool) -> None:
        """Expect a chunk of so many octets."""
        self._left, self._is_last, self.chunk_size = size, is_last, size

    def feed(self, data: bytes) -> bytes:
        """Take octets, at most `left`; return what the message gains."""
        self._left -= len(data)
        text = self._held + data
        self._held = b""
        ends = self._is_last and not self._left
        if text.endswith(b"\r") and not ends:
            text, self._held = text[:-1], b"\r"
        content = self._checked(text)
        if ends and not self._ends_line:
            content += b"\r\n"
            self._ends_line = True
            self.size += 2
        return b"" if self.bare_newline or self.too_big else content

    def _checked(self, text: bytes) -> bytes:
        pairs = text.count(b"\r\n")
        if text.count(b"\n") != pairs or text.count(b"\r") != pairs:
            self.bare_newline = self._mode is BareNewline.REJECT
            text = _ANY_NEWLINE.sub(b"\r\n", text)
        if text:
            self._ends_line = text.endswith(b"\r\n")
        self.size += len(text)
        self.too_big = self.too_big or self.size > self.max_size
        return text
