"""A store in a folder of one machine: objects are files, written durably.

A put writes a temporary file, fsyncs it, gives it its name with link (key absent) or rename, and fsyncs the
folder. Conditions are checked under an exclusive lock on one of 64 lock files, which holds between threads and
between processes. The etag is the MD5 of the content, as on S3. Keys are paths below the root; names that
begin with a dot are the store's own.
"""

import errno
import fcntl
import hashlib
import heapq
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final
from zlib import crc32

from columba.common.errors import (
    ConditionError,
    FullError,
    NotFoundError,
    StoreError,
    UnavailableError,
)
from columba.common.faultpoint import reached
from columba.common.files import make_folders, sync_folder, write_synced
from columba.queue.store.base import (
    OBJECT_LIMIT,
    Chunks,
    Condition,
    Guarantees,
    Object,
    Page,
    check_key,
)

_CHUNK: Final = 1 << 18
_LOCKS: Final = 64
_STALE_S: Final = 3600.0  # a temporary file this old belongs to nobody
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FileStore:
    """The `file:` store."""

    def __init__(self, root: Path) -> None:
        """Open the folder, making it if it is not there; UnavailableError when that can't be."""
        self._root, self._temporary = root, root / ".tmp"
        with _as_store_errors(str(root)):
            for folder in (root, self._temporary, root / ".lock"):
                make_folders(folder)
        self._sweep()

    @property
    def guarantees(self) -> Guarantees:
        """Return that one node alone has it."""
        return Guarantees(shared=False, page_keys=100_000)

    def get(self, key: str) -> Object:
        """Return the content of a file."""
        with _as_store_errors(key), self._path(key).open("rb") as file:
            data = file.read(OBJECT_LIMIT + 1)
        if len(data) > OBJECT_LIMIT:
            raise StoreError(f"{key}: larger than {OBJECT_LIMIT} octets")
        return Object(data, _etag((data,)))

    def get_file(self, key: str, target: Path) -> int:
        """Copy an object to a new file."""
        with _as_store_errors(key), self._path(key).open("rb") as file, target.open("xb") as copy:
            shutil.copyfileobj(file, copy, _CHUNK)
            return copy.tell()

    def put(self, key: str, data: bytes, condition: Condition) -> str:
        """Write a file."""
        return self._put(key, (data,), condition)

    def put_chunks(self, key: str, chunks: Chunks, size: int, condition: Condition) -> str:
        """Write a file in pieces."""
        return self._put(key, chunks(), condition)

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        """Return keys in order; each page reads the folder's names once."""
        limit = min(limit, self.guarantees.page_keys)
        with _as_store_errors(prefix):
            names = (k for k in self._keys(prefix) if k > after and k.startswith(prefix))
            keys = heapq.nsmallest(limit + 1, names)
        return Page(tuple(keys[:limit]), len(keys) > limit)

    def delete(self, key: str) -> None:
        """Remove a file."""
        path = self._path(key)
        with _as_store_errors(key), self._locked(key), suppress(FileNotFoundError):
            path.unlink()

    def close(self) -> None:
        """Nothing is held between calls."""

    def _put(self, key: str, chunks: Iterable[bytes], condition: Condition) -> str:
        target = self._path(key)
        temporary = self._temporary / f"{os.getpid()}.{secrets.token_hex(8)}"
        digest = hashlib.md5(usedforsecurity=False)
        with _as_store_errors(key):
            write_synced(temporary, _digested(chunks, digest.update))
            reached("file.written")
            try:
                self._name(key, temporary, target, condition)
            finally:
                temporary.unlink(missing_ok=True)
            reached("file.named")
            sync_folder(target.parent)
        reached("file.synced")
        return digest.hexdigest()

    def _name(self, key: str, temporary: Path, target: Path, condition: Condition) -> None:
        if not target.parent.is_dir():
            make_folders(target.parent)
        if condition.absent:
            try:
                os.link(temporary, target)
            except FileExistsError as error:
                raise ConditionError(f"{key}: exists") from error
            return
        with self._locked(key):
            if condition.etag and self._present(target) != condition.etag:
                raise ConditionError(f"{key}: has changed")
            temporary.rename(target)

    def _present(self, path: Path) -> str:
        with suppress(FileNotFoundError), path.open("rb") as file:
            return _etag(_chunks(file))
        return ""

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        path = self._root / ".lock" / str(crc32(key.encode()) % _LOCKS)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _keys(self, prefix: str) -> Iterator[str]:
        top = self._root / prefix.rpartition("/")[0]
        for folder, folders, names in os.walk(top, onerror=_unless_absent):
            folders[:] = [name for name in folders if not name.startswith(".")]
            above = os.path.relpath(folder, self._root)
            lead = "" if above == "." else above + "/"
            yield from (lead + name for name in names if not name.startswith("."))

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _sweep(self) -> None:
        oldest_s = time.time() - _STALE_S
        with suppress(OSError):
            for path in self._temporary.iterdir():
                if path.stat().st_mtime < oldest_s:
                    path.unlink(missing_ok=True)


def _unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _digested(chunks: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk


def _etag(chunks: Iterable[bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


@contextmanager
def _as_store_errors(what: str) -> Iterator[None]:
    """Make an OSError one of ours: no such object, no space, or not available."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError(f"{what}: no such object") from error
    except OSError as error:
        kind = FullError if error.errno in _FULL else UnavailableError
        raise kind(f"{what}: {error.strerror or error}") from error
