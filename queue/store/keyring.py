"""The keys that mail at rest is encrypted with: the lines of `queue_key_file`.

Pure: text goes in, a Ring comes out. A line is "TIME KEY": an ISO 8601 time in UTC from when on the key writes, and 32
octets in base64; empty lines and those that begin with # do not count. All keys read; of those whose time has
come, the latest writes, so that a new key can be brought to every node before any of them writes with it. A key is
known by the first octets of its hash.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from columba.common.errors import ConfigError

KEY_OCTETS: Final = 32
NAME_OCTETS: Final = 8


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """One key; name is what objects say that they were written with. since_s = wall clock."""

    name: bytes
    secret: bytes
    since_s: float


@dataclass(frozen=True, slots=True, repr=False)
class Ring:
    """All keys of a file."""

    keys: tuple[Key, ...]

    def writer(self, now_s: float) -> Key:
        """Return the key to write with."""
        come = [key for key in self.keys if key.since_s <= now_s]
        return max(come, key=_since) if come else min(self.keys, key=_since)

    def find(self, name: bytes) -> Key | None:
        """Return the key of this name."""
        return next((key for key in self.keys if key.name == name), None)


def parse_ring(text: str, file: str) -> Ring:
    """Return the keys in a file's text; ConfigError names the line, never the key."""
    keys: list[Key] = []
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare and not bare.startswith("#"):
            keys.append(_key(bare, file, number))
    if not keys:
        raise ConfigError("holds no key: columbadm queue key gen", file)
    if len({key.name for key in keys}) != len(keys):
        raise ConfigError("holds a key twice", file)
    return Ring(tuple(keys))


def key_line(secret: bytes, since_s: float) -> str:
    """Return the line of a key."""
    since = datetime.fromtimestamp(since_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{since} {base64.b64encode(secret).decode()}\n"


def key_name(secret: bytes) -> bytes:
    """Return what a key is known by."""
    return hashlib.sha256(b"columba queue key\0" + secret).digest()[:NAME_OCTETS]


def _key(line: str, file: str, number: int) -> Key:
    since, _, encoded = line.partition(" ")
    try:
        at = datetime.fromisoformat(since)
        secret = base64.b64decode(encoded.strip(), validate=True)
    except (ValueError, binascii.Error) as error:
        raise ConfigError('wants "TIME KEY", the key in base64', file, number) from error
    if at.tzinfo is None:
        raise ConfigError("the time wants a zone: 2026-01-31T12:00:00Z", file, number)
    if len(secret) != KEY_OCTETS:
        raise ConfigError(f"a key has {KEY_OCTETS} octets", file, number)
    return Key(key_name(secret), secret, at.timestamp())


def _since(key: Key) -> float:
    return key.since_s


def unreadable(error: OSError) -> str:
    """Return why a file of keys can't be read, and who must be able to."""
    if not isinstance(error, PermissionError):
        return error.strerror or str(error)
    return f"{error.strerror}: the group of the queue service must be able to read it (chgrp, chmod 640)"
