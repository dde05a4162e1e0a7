"""Take a message in: header cut off, body to memory or, past inline_body_limit, to a spool file.

add() is called for every piece and never waits; when it says that a flush is due, the caller awaits flush()
before it reads on. Hashing and writing of big bodies go off the loop.
"""

import hashlib
from pathlib import Path
from typing import Final

from columba.common import limits
from columba.common.ipc import wire
from columba.common.ipc.spool import SpoolWriter, remove, spool_name
from columba.common.off_loop import OffLoop
from columba.common.smtp.data import HeaderCut

FLUSH_AT: Final = 256 * 1024
FLUSH_TIGHT: Final = 4096  # where memory is tight
WRITE_S: Final = 30.0


class Spool:
    """The spool folder as one process uses it, with the room that it may take, there and in memory."""

    def __init__(
        self, folder: Path, process: str, off_loop: OffLoop, limit: int, memory: int = 1 << 62
    ) -> None:
        self.folder, self.process, self.off_loop = folder, process, off_loop
        self._limit, self.used = limit, 0
        self._memory, self.held = memory, 0  # octets of messages in memory

    @property
    def is_tight(self) -> bool:
        """Tell whether half of the memory is used: messages go to the spool early."""
        return self.held > self._memory // 2

    @property
    def is_out_of_memory(self) -> bool:
        """Tell whether all of it is used."""
        return self.held > self._memory

    def take(self, octets: int) -> bool:
        """Take room; return False, and take none, when there is not so much."""
        if self.used + octets > self._limit:
            return False
        self.used += octets
        return True

    def give_back(self, octets: int) -> None:
        """Give room back."""
        self.used -= octets


class Receiver:
    """One message coming in, in room that was reserved at MAIL. `is_full` tells that there is no more for it."""

    def __init__(self, id: str, spool: Spool, inline: int, reserved: int = 0) -> None:
        self._cut = HeaderCut()
        self._chunks: list[bytes] = []
        self._waiting = 0  # octets in _chunks
        self._taken = reserved  # octets of spool room
        self._written = 0
        self._held = 0  # octets in memory, header and all
        self._spool, self._inline = spool, inline
        self._name = spool_name(id, 1, spool.process)
        self._writer: SpoolWriter | None = None
        self._hash = hashlib.sha256()
        self.is_full = False

    @property
    def header(self) -> bytes:
        """Return the header block, whole after finish()."""
        return self._cut.header

    @property
    def header_too_big(self) -> bool:
        """Tell whether the header is past its limits: octets and fields."""
        header = self._cut.header
        continued = header.count(b"\r\n ") + header.count(b"\r\n\t")
        return self._cut.too_big or header.count(b"\r\n") - continued > limits.HEADER_FIELDS

    @property
    def body_hash(self) -> bytes:
        """Return the SHA-256 of the body as received."""
        return self._hash.digest()

    def add(self, data: bytes) -> bool:
        """Take octets of the message; return True when flush() is due."""
        if self._spool.is_out_of_memory and not self.is_full:
            self.is_full = True
            self._chunks, self._waiting = [], 0
            self._release(self._held)
        if not self.is_full:
            self._held += len(data)
            self._spool.held += len(data)
        return self._add_body(self._cut.feed(data))

    async def flush(self) -> None:
        """Write what is in memory to the spool. Raises StoreError."""
        data = b"".join(self._chunks)
        self._chunks, self._waiting = [], 0
        self._release(len(data))
        more = max(0, self._written + len(data) - self._taken)
        if not self._spool.take(more):
            self.is_full = True
            return
        self._taken += more
        self._written += len(data)
        if self._writer is None:
            self._writer = SpoolWriter(self._spool.off_loop, self._spool.folder, self._name)
        await self._spool.off_loop.run(WRITE_S, self._hash.update, data)
        await self._writer.write(data, WRITE_S)

    async def finish(self) -> tuple[wire.Body, bytes]:
        """Return the reference to the body, and the body itself if it is in memory. Raises StoreError."""
        self._add_body(self._cut.finish())
        if self._writer is None and self._waiting <= self._inline:
            body = b"".join(self._chunks)
            self._hash.update(body)
            return wire.Body(size=len(body)), body
        await self.flush()
        assert self._writer is not None or self.is_full
        return self._writer.finish() if self._writer else wire.Body(), b""

    def close(self) -> None:
        """Remove the spool file; whoever needs it longer has it open."""
        if self._writer is not None:
            self._writer.finish()
            remove(self._spool.folder, self._name)
            self._writer = None
        self._spool.give_back(self._taken)
        self._taken = 0
        self._chunks.clear()
        self._release(self._held)

    def _release(self, octets: int) -> None:
        self._held -= octets
        self._spool.held -= octets

    def _add_body(self, body: bytes) -> bool:
        if not body or self.is_full or self._cut.too_big:
            return False
        self._chunks.append(body)
        self._waiting += len(body)
        return self._waiting >= (FLUSH_TIGHT if self._spool.is_tight else FLUSH_AT)
