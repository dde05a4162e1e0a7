"""Contents too large for a row: files of a member, written in pieces, whole and synced before they are named.

A file is `<name>.part` until its last piece came. What no row names is swept when it is old. A blob that is dropped
and named again in the same moment can't be: names are random and used once.
"""

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from columba.common.files import make_folders, sync_folder
from columba.queue.store.replica.words import Piece

_NAME: Final = re.compile(r"[0-9a-f]{32}")


class Blobs:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        """Make the folder if it is not there; OSError when that can't be."""
        make_folders(folder)
        self._folder = folder

    def write(self, piece: Piece, content: bytes) -> bool:
        """Write a part at its place; False if the parts before it are not there."""
        if not _NAME.fullmatch(piece.blob):
            return False
        path = self._folder / f"{piece.blob}.part"
        flags = os.O_WRONLY | os.O_CLOEXEC | (os.O_CREAT if piece.offset == 0 else 0)
        try:
            fd = os.open(path, flags, 0o600)
        except FileNotFoundError:
            return self.has(piece.blob, piece.offset + len(content))  # the last piece came twice
        try:
            if os.fstat(fd).st_size < piece.offset:
                return False
            os.pwrite(fd, content, piece.offset)
            if piece.is_last:
                os.ftruncate(fd, piece.offset + len(content))
                os.fsync(fd)
        finally:
            os.close(fd)
        if piece.is_last:
            path.rename(self._folder / piece.blob)
            sync_folder(self._folder)
        return True

    def has(self, name: str, size: int) -> bool:
        """Tell whether a content is there, whole."""
        try:
            return bool(_NAME.fullmatch(name)) and (self._folder / name).stat().st_size == size
        except FileNotFoundError:
            return False

    def part(self, name: str, offset: int, count: int) -> bytes:
        """Return some octets; OSError when the file can't be read."""
        with (self._folder / name).open("rb") as file:
            return os.pread(file.fileno(), count, offset)

    def drop(self, name: str) -> None:
        """Remove a content that nothing names any more; what can't be removed is swept later."""
        with suppress(OSError):
            (self._folder / name).unlink()

    def sweep(self, in_use: set[str], older_than_s: float) -> int:
        """Remove old files that nothing names; return how many."""
        before_s, count = time.time() - older_than_s, 0
        for path in list(self._folder.iterdir()):
            with suppress(OSError):
                if path.name not in in_use and path.stat().st_mtime < before_s:
                    path.unlink()
                    count += 1
        return count
