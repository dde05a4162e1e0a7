"""The tables that need no server: inline text and files.

A file is read off the loop, at first use and again when its time of change or size differs, looked at once a second
at most. A file that became unreadable or wrong makes the table unavailable: mail waits, nothing is taken for unknown.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from columba.common.errors import ConfigError, UnavailableError
from columba.common.lookup.aliases import parse_aliases
from columba.common.lookup.base import UNSURE, Peeked
from columba.common.lookup.cidr import parse_networks
from columba.common.lookup.lines import logical_lines, parse_lines, parse_passwd
from columba.common.lookup.regexp import parse_patterns
from columba.common.off_loop import OffLoop

CHECK_S: Final = 1.0
FILE_MAX: Final = 256 * 1024 * 1024
Stamp = tuple[int, int, int]
Include = Callable[[str], str]


class Entries(Protocol):
    """What a file says."""

    def find(self, key: str) -> str | None:
        """Return the value of a key, None when there is none; raises UnavailableError."""
        ...


@dataclass(frozen=True, slots=True)
class Mapped:
    """Keys in lower case, and their values."""

    entries: Mapping[str, str]

    def find(self, key: str) -> str | None:
        """Return the value of a key."""
        return self.entries.get(key.lower())


Parse = Callable[[str, str, Include], Entries]
KINDS: Final[Mapping[str, Parse]] = {
    "file": lambda text, file, include: Mapped(parse_lines(text, file)),
    "passwd-file": lambda text, file, include: Mapped(parse_passwd(text, file)),
    "cidr": lambda text, file, include: parse_networks(logical_lines(text), file),
    "regexp": lambda text, file, include: parse_patterns(logical_lines(text), file),
    "pcre": lambda text, file, include: parse_patterns(logical_lines(text), file),
    "aliases": lambda text, file, include: parse_aliases(logical_lines(text), file, include),
}


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
        self._entries: Entries = Mapped({})
        self._stamps: dict[Path, Stamp] = {}  # of the file and of what it includes
        self._checked_s = -CHECK_S
        self._lock = threading.Lock()

    def peek(self, key: str) -> Peeked:
        """Return the value of a key while the file was looked at within CHECK_S, else UNSURE."""
        if time.monotonic() - self._checked_s >= CHECK_S:
            return UNSURE
        return self._entries.find(key)

    async def get(self, key: str, timeout_s: float) -> str | None:
        """Return the value of a key, None when there is none; raises UnavailableError."""
        if time.monotonic() - self._checked_s >= CHECK_S:
            try:
                await self._off_loop.run(timeout_s, self._refresh)
            except TimeoutError as error:
                raise UnavailableError(f"{self._path} can't be read in time") from error
        return self._entries.find(key)

    def close(self) -> None:
        """Hold nothing."""

    def _refresh(self) -> None:
        """Look at the file unless another thread has just done so: a large one is read once for all who wait."""
        with self._lock:
            if time.monotonic() - self._checked_s < CHECK_S:
                return
            try:
                if not self._stamps or any(stamp(p) != s for p, s in self._stamps.items()):
                    self._entries, self._stamps = load_entries(self._path, self._parse)
            except (OSError, ConfigError, UnicodeDecodeError) as error:
                self._stamps = {}
                raise UnavailableError(f"{self._path}: {error}") from error
            self._checked_s = time.monotonic()


def stamp(path: Path) -> Stamp:
    """Return what changes when a file does. Raises OSError."""
    info = path.stat()
    return info.st_mtime_ns, info.st_size, info.st_ino


def load_entries(path: Path, parse: Parse) -> tuple[Entries, dict[Path, Stamp]]:
    """Return what a file says, and the stamps of all files that say it.

    Raises ConfigError, OSError, UnicodeDecodeError. Blocks.
    """
    stamps: dict[Path, Stamp] = {}

    def read(name: str) -> str:
        file = Path(name)
        stamps[file] = stamp(file)
        if stamps[file][1] > FILE_MAX:
            raise ConfigError(f"{file} is larger than {FILE_MAX} octets")
        return file.read_text("utf-8")

    return parse(read(str(path)), str(path), read), stamps
