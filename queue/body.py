"""Bodies on their way out of the store and back into it.

A body of up to 64 KiB is in its record; a larger one is an object, which becomes a spool file for the time of a
try. What a step changed comes back as a spool file of its own.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

from columba.common.errors import StoreError
from columba.common.ipc import wire
from columba.common.ipc.spool import open_body, remove, spool_name
from columba.common.log.event import Event
from columba.common.off_loop import OffLoop
from columba.queue.outcome import Variant
from columba.queue.record import INLINE_LIMIT, Record
from columba.queue.shelf import Shelf, new_body_key
from columba.queue.store.base import ABSENT

_LOCAL_S: Final = 10.0


class Bodies:
    """Moves bodies between store and spool for one process."""

    def __init__(
        self, shelf: Shelf, off_loop: OffLoop, folder: Path, process: str, event: Event
    ) -> None:
        self.folder = folder
        self._shelf, self._off_loop = shelf, off_loop
        self._process, self._event = process, event
        self._numbers = count(1)

    @asynccontextmanager
    async def as_frame(self, record: Record) -> AsyncIterator[tuple[wire.Body, bytes]]:
        """Yield the body as a handoff names it, and its frame; a spool file goes away at the end."""
        if not record.body_key:
            yield wire.Body(size=len(record.body)), record.body
            return
        name = spool_name(record.id, next(self._numbers) % 1_000_000, self._process)
        try:
            path = self.folder / name
            size = await self._shelf.store.get_file(record.body_key, path, record.body_size)
            await self._off_loop.run(_LOCAL_S, path.chmod, 0o640)
            yield wire.Body(size=size, spool=name), b""
        finally:
            with suppress(TimeoutError):
                await self._off_loop.run(_LOCAL_S, remove, self.folder, name)

    async def variants(
        self, record: Record, variants: Sequence[wire.Variant], headers: Sequence[bytes]
    ) -> list[Variant]:
        """Return the changed messages of a run, their bodies durable where they are large."""
        if len(headers) < len(variants):
            raise StoreError("an answer lacks the header blocks of its variants")
        return [
            await self._variant(record, variant, header)
            for variant, header in zip(variants, headers, strict=False)
        ]

    async def remove(self, record: Record) -> None:
        """Remove the body beside a record that is done; a failure is made good by the sweep."""
        if not record.body_key:
            return
        try:
            await self._shelf.store.delete(record.body_key)
        except StoreError as error:
            self._event.warning("A body can't be removed", id=record.id, error=str(error))

    async def _variant(self, record: Record, variant: wire.Variant, header: bytes) -> Variant:
        if variant.body is None:
            return Variant(header, selectors=variant.sign_selectors)
        try:
            source = await self._off_loop.run(_LOCAL_S, open_body, self.folder, variant.body, b"")
            with source:
                if source.size > INLINE_LIMIT:
                    key = new_body_key(record.name)
                    await self._shelf.store.put_chunks(key, source.chunks, source.size, ABSENT)
                    return Variant(
                        header,
                        body_key=key,
                        body_size=source.size,
                        has_body=True,
                        selectors=variant.sign_selectors,
                    )
                body = await self._off_loop.run(_LOCAL_S, b"".join, source.chunks())
        except TimeoutError as error:
            raise StoreError("the spool is too slow") from error
        return Variant(
            header,
            body=body,
            body_size=len(body),
            has_body=True,
            selectors=variant.sign_selectors,
        )
