"""A mail as delivery has it: the header block, and a body in memory or in an open spool file.

It is read in chunks, so that a large mail needs no memory of its size; a spool file is read by position, so
that several attempts may read it at the same time.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

CHUNK: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Content:
    """Header block (all fields, each with CRLF), and the body after the empty line.

    `fd` is an open spool file of `body_size` octets, or -1 when `body` holds them.
    """

    header: bytes
    body: bytes = b""
    fd: int = -1
    body_size: int = 0

    @property
    def size(self) -> int:
        """Return the octets of the whole message, before dots are stuffed."""
        return len(self.header) + 2 + (self.body_size if self.fd >= 0 else len(self.body))

    @property
    def is_in_memory(self) -> bool:
        """Tell whether reading it never waits for a disk."""
        return self.fd < 0

    def with_header(self, header: bytes) -> "Content":
        """Return the same body under another header block."""
        return Content(header, self.body, self.fd, self.body_size)

    def read_body(self, offset: int) -> bytes:
        """Return the next octets of the body, b"" at its end. Blocks for a spool file; raises OSError.

        A file that is shorter than it was said to be is an OSError: a cut mail must never be sent as whole.
        """
        if self.fd < 0:
            return self.body[offset : offset + CHUNK] if offset else self.body
        wanted = min(CHUNK, self.body_size - offset)
        if wanted <= 0:
            return b""
        data = os.pread(self.fd, wanted, offset)
        if not data:
            raise OSError(f"spool file ends after {offset} of {self.body_size} octets")
        return data

    def chunks(self) -> Iterator[bytes]:
        """Yield the whole message. Blocks for a spool file; raises OSError."""
        yield self.header + b"\r\n"
        offset = 0
        while data := self.read_body(offset):
            yield data
            offset += len(data)
