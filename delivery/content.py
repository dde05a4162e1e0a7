"""A mail as delivery has it: the header block, and a body in memory or in an open spool file.

It is read in chunks, so that a large mail needs no memory of its size; a spool file is read by position, so
that several attempts may read it at the same time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from columba.common.errors import UnavailableError
from columba.common.ipc.spool import BodySource


@dataclass(frozen=True, slots=True)
class Content:
    """Header block (all fields, each with CRLF), and the body after the empty line."""

    header: bytes
    body: BodySource

    @property
    def size(self) -> int:
        """Return the octets of the whole message, before dots are stuffed."""
        return len(self.header) + 2 + self.body.size

    def with_header(self, header: bytes) -> "Content":
        """Return the same body under another header block."""
        return replace(self, header=header)

    def read_body(self, offset: int) -> bytes:
        """Return the next octets of the body, b"" at its end. Blocks for a spool file.

        A file that is shorter than it was said to be is an UnavailableError: a cut mail must never be sent as
        whole.
        """
        if offset >= self.body.size:
            return b""
        data = self.body.read_at(offset)
        if not data:
            raise UnavailableError(f"spool file ends after {offset} of {self.body.size} octets")
        return data

    def chunks(self) -> Iterator[bytes]:
        """Yield the whole message. Blocks for a spool file; raises UnavailableError."""
        yield self.header + b"\r\n"
        offset = 0
        while data := self.read_body(offset):
            yield data
            offset += len(data)
