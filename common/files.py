"""Files that survive a power cut: whole or not at all.

A file is written under another name, fsynced, given its name, and the folder is fsynced; after a crash at
any byte a reader finds the old content, the new one, or nothing. All calls block: call them off the loop.
"""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

NO_SPACE: Final = (
    errno.ENOSPC,
    errno.EDQUOT,
)  # of an OSError: the disk, or the user's share of it, is full


def sync_folder(folder: Path) -> None:
    """Make names that were added to or removed from the folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_synced(path: Path, chunks: Iterable[bytes], mode: int = 0o600) -> None:
    """Create path, which must not exist, with this content, and fsync it; on failure it is removed.

    The name itself is durable only after sync_folder.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        for chunk in chunks:
            write_all(fd, chunk)
        os.fsync(fd)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
    finally:
        os.close(fd)


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Give path this content, durably and atomically."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    write_synced(temporary, (data,), mode)
    temporary.rename(path)
    sync_folder(path.parent)


def make_folders(folder: Path, mode: int = 0o750) -> None:
    """Make the folder and those above it, durably."""
    if folder.is_dir():
        return
    make_folders(folder.parent, mode)
    with suppress(FileExistsError):
        folder.mkdir(mode)
    sync_folder(folder.parent)


def write_all(fd: int, data: bytes) -> None:
    """Write all octets, however few the kernel takes at a time. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
