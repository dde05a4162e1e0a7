"""Bodies by reference: files in spool_dir that are written once and never changed.

A name is `<id>.<n>@<service>.<slot>.<generation>`; the creator unlinks it after the final answer, whoever needs it
longer opens it first, and the master sweeps what dead generations left. No fsync: a spooled body is nobody's promise.
Files are read and written off the loop.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from columba.common.errors import FullError, NotFoundError, StoreError, UnavailableError
from columba.common.files import NO_SPACE, write_all
from columba.common.ipc import wire
from columba.common.off_loop import OffLoop

_NAME: Final = re.compile(r"[0-9A-Z]{26}\.[0-9]{1,6}@[a-z]{1,16}\.[0-9]{1,6}\.[0-9]{1,12}")
CHUNK: Final = 256 * 1024


class SpoolWriter:
    """One file being written; finish() makes it a Body, abort() removes it."""

    def __init__(self, off_loop: OffLoop, folder: Path, name: str) -> None:
        self._off_loop, self._path, self._name = off_loop, folder / name, name
        self._fd = -1
        self.size = 0

    async def write(self, data: bytes, timeout_s: float) -> None:
        """Append; raise FullError or UnavailableError."""
        self.size += len(data)
        try:
            await self._off_loop.run(timeout_s, self._write, data)
        except TimeoutError as error:
            raise UnavailableError(f"{self._path} can't be written in time") from error

    def finish(self) -> wire.Body:
        """Close the file and return the reference to it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        return wire.Body(size=self.size, spool=self._name)

    def abort(self) -> None:
        """Close and remove the file."""
        self.finish()
        remove(self._path.parent, self._name)

    def _write(self, data: bytes) -> None:
        try:
            if self._fd < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o640)
            write_all(self._fd, data)
        except OSError as error:
            raise _ours(error, self._path) from error


class BodySource:
    """A body to read: bytes in memory, or an open spool file that nobody can take away any more."""

    def __init__(self, size: int, inline: bytes = b"", fd: int = -1) -> None:
        self.size = size
        self._inline, self._fd = inline, fd

    def __enter__(self) -> "BodySource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_inline(self) -> bool:
        """Tell whether the body is in memory."""
        return self._fd < 0

    @property
    def inline(self) -> bytes:
        """Return the body that is in memory."""
        return self._inline

    def read_at(self, offset: int, count: int = CHUNK) -> bytes:
        """Return up to count octets from offset; b"" at the end. Reads the disk: call it off the loop."""
        if self._fd < 0:
            return self._inline[offset : offset + count]
        try:
            return os.pread(self._fd, count, offset)
        except OSError as error:
            raise UnavailableError(f"a spool file can't be read: {error}") from error

    def chunks(self, count: int = CHUNK) -> Iterator[bytes]:
        """Yield the body in pieces. Reads the disk: call it off the loop."""
        offset = 0
        while chunk := self.read_at(offset, count):
            offset += len(chunk)
            yield chunk

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_body(folder: Path, body: wire.Body, inline: bytes) -> BodySource:
    """Return the body of a call; open a spool file at once, so that its creator may unlink it.

    Raises NotFoundError, UnavailableError.
    """
    if not body.spool:
        return BodySource(len(inline), inline)
    if _NAME.fullmatch(body.spool) is None:
        raise NotFoundError("not the name of a spool file")
    try:
        fd = os.open(folder / body.spool, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        size = os.fstat(fd).st_size
    except OSError as error:
        raise _ours(error, folder / body.spool) from error
    if size != body.size:
        os.close(fd)
        raise UnavailableError(f"a spool file has {size} octets instead of {body.size}")
    return BodySource(size, fd=fd)


def spool_name(id: str, number: int, process: str) -> str:
    """Return the name of the number-th file that a process ("smtpd.0.17") makes for a mail."""
    return f"{id}.{number}@{process}"


def remove(folder: Path, name: str) -> None:
    """Unlink a spool file; one that is not there is fine."""
    if _NAME.fullmatch(name):
        (folder / name).unlink(missing_ok=True)


def _ours(error: OSError, path: Path) -> StoreError:
    if isinstance(error, FileNotFoundError):
        return NotFoundError(f"{path} is not there")
    if error.errno in NO_SPACE:
        return FullError(f"no space for {path}")
    return UnavailableError(f"{path}: {error}")
