"""The tables that need no server: inline text and files.

A file is read off the loop, at first use and again when its time of change or size differs, looked at once a second
at most. A file that became unreadable or wrong makes the table unavailable: mail waits, nothing is taken for unknown.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from columba.common.errors import ConfigError, UnavailableError
from columba.common.lookup.base import UNSURE, Peeked
from columba.common.off_loop import OffLoop

CHECK_S: Final = 1.0
FILE_MAX: Final = 256 * 1024 * 1024
Parse = Callable[[str, str], Mapping[str, str]]
Stamp = tuple[int, int, int]


class InlineTable:
    """Entries written in the configuration."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._entries = entries

    def peek(self, key: str) -> Peeked:
        """Return the value of a key, None when there is none."""
        return self._entries.get(key.lower())

    async def get(self, key: str, timeout_s: float) -> str | None:
        """Return the value of a key, None when there is none."""
        return self._entries.get(key.lower())

    def close(self) -> None:
        """Hold nothing."""


class FileTable:
    """Entries of a file."""

    def __init__(self, path: Path, parse: Parse, off_loop: OffLoop) -> None:
        self._path, self._parse, self._off_loop = path, parse, off_loop
        self._entries: Mapping[str, str] = {}
        self._stamp: Stamp | None = None
        self._checked_s = -CHECK_S

    def peek(self, key: str) -> Peeked:
        """Return the value of a key while the file was looked at within CHECK_S, else UNSURE."""
        if time.monotonic() - self._checked_s >= CHECK_S:
            return UNSURE
        return self._entries.get(key.lower())

    async def get(self, key: str, timeout_s: float) -> str | None:
        """Return the value of a key, None when there is none; raises UnavailableError."""
        if time.monotonic() - self._checked_s >= CHECK_S:
            try:
                await self._off_loop.run(timeout_s, self._refresh)
            except TimeoutError as error:
                raise UnavailableError(f"{self._path} can't be read in time") from error
        return self._entries.get(key.lower())

    def close(self) -> None:
        """Hold nothing."""

    def _refresh(self) -> None:
        try:
            info = self._path.stat()
            stamp = (info.st_mtime_ns, info.st_size, info.st_ino)
            if stamp != self._stamp:
                self._entries = self._read(info.st_size)
                self._stamp = stamp
        except (OSError, ConfigError, UnicodeDecodeError) as error:
            self._stamp = None
            raise UnavailableError(f"{self._path}: {error}") from error
        self._checked_s = time.monotonic()

    def _read(self, size: int) -> Mapping[str, str]:
        if size > FILE_MAX:
            raise UnavailableError(f"{self._path} is larger than {FILE_MAX} octets")
        return self._parse(self._path.read_text("utf-8"), str(self._path))
