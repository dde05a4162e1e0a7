"""A store whose objects are encrypted at rest; the store below sees nothing of the mail (promises §7).

Leases and the probe's objects stay as they are: they hold no mail, and who looks after a cluster must be able to read
them. What stands there unencrypted is refused unless `reads_plain` says otherwise, for the days after a change.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from columba.common.errors import FullError
from columba.queue.lease import LEASES
from columba.queue.store.base import (
    Chunks,
    Condition,
    Direct,
    Guarantees,
    HasDirect,
    Object,
    ObjectStore,
    Page,
)
from columba.queue.store.keyring import Ring
from columba.queue.store.probe import PROBE
from columba.queue.store.seal import HEADER, SALT, SealError, is_sealed, seal, sealed_size, unseal

_OPEN: Final = (LEASES, PROBE)
_CHUNK: Final = 1 << 18


class SealedStore:
    """Another store with encryption before it."""

    def __init__(
        self,
        inner: ObjectStore,
        ring: Ring,
        *,
        reads_plain: bool = False,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._inner, self._ring, self._reads_plain = inner, ring, reads_plain
        self._wall_s = wall_s

    @property
    def guarantees(self) -> Guarantees:
        """Return what the inner store promises."""
        return self._inner.guarantees

    def get(self, key: str) -> Object:
        """Return an object's text; SealError when it has been changed."""
        return self.opened(key, self._inner.get(key))

    def get_file(self, key: str, target: Path) -> int:
        """Write an object's text to a new file, which is there only when all of it is right."""
        sealed = target.with_name(f"{target.name}.{secrets.token_hex(4)}.sealed")
        try:
            self._inner.get_file(key, sealed)
            with sealed.open("rb") as source:
                is_plain = self._is_plain(source.read(HEADER))
                source.seek(0)
                text = _chunks(source)
                return _write(target, text if is_plain else unseal(text, key, self._ring))
        finally:
            sealed.unlink(missing_ok=True)

    def put(self, key: str, data: bytes, condition: Condition) -> str:
        """Write an object."""
        return self._inner.put(key, self.sealed(key, data), condition)

    def put_chunks(self, key: str, chunks: Chunks, size: int, condition: Condition) -> str:
        """Write an object in pieces. Another try encrypts the same text to the same octets."""
        writer, salt = self._ring.writer(self._wall_s()), secrets.token_bytes(SALT)
        return self._inner.put_chunks(
            key, lambda: seal(chunks(), key, writer, salt), sealed_size(size), condition
        )

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        """Return keys in order; they are not encrypted."""
        return self._inner.list(prefix, after, limit)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._inner.delete(key)

    def direct(self) -> Direct | None:
        """Return the same on the loop, where the inner store can."""
        inner = self._inner.direct() if isinstance(self._inner, HasDirect) else None
        return SealedDirect(self, inner) if inner is not None else None

    def sealed(self, key: str, data: bytes) -> bytes:
        """Return what is written for a text."""
        if key.startswith(_OPEN):
            return data
        whole = seal((data,), key, self._ring.writer(self._wall_s()), secrets.token_bytes(SALT))
        return b"".join(whole)

    def opened(self, key: str, found: Object) -> Object:
        """Return the text of what was read; SealError when it has been changed."""
        if key.startswith(_OPEN) or self._is_plain(found.data):
            return found
        return Object(b"".join(unseal((found.data,), key, self._ring)), found.etag)

    def close(self) -> None:
        """Close the inner store."""
        self._inner.close()

    def _is_plain(self, data: bytes) -> bool:
        return self._reads_plain and not is_sealed(data)


def _write(target: Path, text: Iterable[bytes]) -> int:
    try:
        with target.open("xb") as file:
            for piece in text:
                file.write(piece)
            return file.tell()
    except (SealError, OSError) as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise FullError(f"{target.name}: {error.strerror}") from error
        raise


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


class SealedDirect:
    """A sealed store's calls on the loop."""

    def __init__(self, store: SealedStore, inner: Direct) -> None:
        self._store, self._inner = store, inner

    async def get(self, key: str) -> Object:
        """Return an object's text; SealError when it has been changed."""
        return self._store.opened(key, await self._inner.get(key))

    async def put(self, key: str, data: bytes, condition: Condition) -> str:
        """Write an object."""
        return await self._inner.put(key, self._store.sealed(key, data), condition)

    def close(self) -> None:
        """Close the inner calls."""
        self._inner.close()
