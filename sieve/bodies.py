"""Bodies for scripts: read what is spooled, spool what was changed. Off the loop."""

import asyncio
from itertools import count
from pathlib import Path
from typing import Final

from columba.common.clock import left_s
from columba.common.ipc import wire
from columba.common.ipc.spool import SpoolWriter, open_body, remove, spool_name
from columba.common.log.event import Event
from columba.common.mailauth.canonical import hash_body
from columba.common.mailauth.result import BodyForm
from columba.common.off_loop import OffLoop

INLINE_LIMIT: Final = 16 * 1024  # a larger changed body goes through the spool
KEPT_S: Final = 120.0  # how long the queue may take to read what a queue run changed
_REMOVE_S: Final = 10.0
_NUMBERS: Final = 1_000_000


class Bodies:
    """The spool as sieve-filter uses it."""

    def __init__(self, off_loop: OffLoop, folder: Path, process: str, event: Event) -> None:
        self.off_loop = off_loop
        self._folder, self._process = folder, process
        self._event, self._numbers = event, count(1)

    async def read(self, body: wire.Body, until_ns: int) -> bytes:
        """Return a spooled body. Raises StoreError, TimeoutError."""
        return await self.off_loop.run(left_s(until_ns), _read, self._folder, body)

    async def hashes(
        self, body: wire.Body, inline: bytes, forms: tuple[BodyForm, ...], until_ns: int
    ) -> tuple[str, ...]:
        """Return hashes of a body, in hexadecimal. Raises StoreError, TimeoutError."""
        left = left_s(until_ns)
        return await self.off_loop.run(left, _hashes, self._folder, body, inline, forms)

    async def as_frame(
        self, id: str, octets: bytes, until_ns: int, *, spools: bool = False
    ) -> tuple[wire.Body, bytes]:
        """Return a changed body as a handoff names it, and its frame. Raises StoreError, TimeoutError.

        spools: also a small one. What is spooled is to be forgotten by the caller.
        """
        if len(octets) <= INLINE_LIMIT and not spools:
            return wire.Body(size=len(octets)), octets
        name = spool_name(id, next(self._numbers) % _NUMBERS, self._process)
        writer = SpoolWriter(self.off_loop, self._folder, name)
        try:
            await writer.write(octets, left_s(until_ns))
        except BaseException:
            writer.abort()
            raise
        return writer.finish(), b""

    async def forget(self, body: wire.Body, after_s: float = 0.0) -> None:
        """Remove what as_frame spooled; what can't be removed the master sweeps."""
        if not body.spool:
            return
        await asyncio.sleep(after_s)
        try:
            await self.off_loop.run(_REMOVE_S, remove, self._folder, body.spool)
        except (OSError, TimeoutError) as error:
            self._event.warning("A spool file is not removed", error=str(error))


def _hashes(
    folder: Path, body: wire.Body, inline: bytes, forms: tuple[BodyForm, ...]
) -> tuple[str, ...]:
    found = []
    for form in forms:
        with open_body(folder, body, inline) as source:
            found.append(hash_body(form, source.chunks()).hex())
    return tuple(found)


def _read(folder: Path, body: wire.Body) -> bytes:
    with open_body(folder, body, b"") as source:
        return b"".join(source.chunks())
