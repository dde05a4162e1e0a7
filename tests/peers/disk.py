"""A small disk of a test's own, that it can fill."""

import os
import subprocess
from pathlib import Path

from tests.peers.process import lacking


class Disk:
    """A file system in memory, mounted on a folder."""

    def __init__(self, folder: Path, size: str) -> None:
        """Mount it; size as mount(8) has it."""
        if os.geteuid() != 0:
            lacking("only root can mount")
        self.folder, self._filler = folder, folder / "filler"
        folder.mkdir(exist_ok=True)
        options = f"size={size},mode=0777"
        argv = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        subprocess.run(argv, check=True, timeout=10)

    def fill(self) -> None:
        """Leave no room."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12):
                self._write_all(file.fileno(), bytes(size))

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink()

    def freeze(self) -> None:
        """Let nobody write."""
        argv = ["mount", "-o", "remount,ro", str(self.folder)]
        subprocess.run(argv, check=True, timeout=10)

    def stop(self) -> None:
        """Unmount it, whoever still uses it."""
        subprocess.run(["umount", "-l", str(self.folder)], check=False, timeout=10)

    def _write_all(self, fd: int, data: bytes) -> None:
        try:
            while True:
                os.write(fd, data)
        except OSError:
            return
