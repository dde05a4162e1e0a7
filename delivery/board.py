"""Which hosts are down, as all delivery processes of this machine know it: a small table in shared memory.

The table is a file in the run directory that every process maps. Each host has one place in it, by a hash of its
address; two hosts with the same place push each other out, and a torn write is an unknown host: a mistake costs one try
of a host that is down, never a mail. Instants are CLOCK_MONOTONIC, which all processes of a machine share; what lies
too far ahead is from before a reboot.
"""

import hashlib
import mmap
import os
import struct
from pathlib import Path
from typing import Final

PLACES: Final = 4096
_PLACE: Final = struct.Struct("=QQ")  # hash of the host, instant in ns
_AHEAD_NS: Final = 3_600_000_000_000


class Board:
    """The table; get() and put() are quick and never wait."""

    def __init__(self, path: Path) -> None:
        """Map the file, made if need be. Blocks; raises OSError."""
        size = PLACES * _PLACE.size
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.fstat(fd).st_size != size:
                os.ftruncate(fd, size)
            self._map = mmap.mmap(fd, size)
        finally:
            os.close(fd)

    def get(self, address: str, port: int, now_ns: int) -> int:
        """Return until when a host is left alone, 0 when nothing is known of it."""
        name, at = _place(address, port)
        known, until_ns = _PLACE.unpack_from(self._map, at)
        is_current = known == name and now_ns < until_ns < now_ns + _AHEAD_NS
        return until_ns if is_current else 0

    def put(self, address: str, port: int, until_ns: int) -> None:
        """Note until when a host is left alone; 0 = it works."""
        name, at = _place(address, port)
        _PLACE.pack_into(self._map, at, name, until_ns)

    def close(self) -> None:
        """Let go of the table."""
        self._map.close()


def _place(address: str, port: int) -> tuple[int, int]:
    digest = hashlib.blake2b(f"{address} {port}".encode(), digest_size=8).digest()
    name = int.from_bytes(digest, "big") | 1  # 0 is an empty place
    return name, (name >> 1) % PLACES * _PLACE.size
