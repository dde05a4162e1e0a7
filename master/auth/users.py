"""The users of a passwd-file, read again when the file changes.

Reading blocks: call lookup() in a thread. Names are compared without regard to case; the canonical name is in
lower case.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from columba.common.errors import ConfigError, UnavailableError

FILE_MAX: Final = 64 * 1024 * 1024
_NAMES: Final = ("uid", "gid", "gecos", "home")


@dataclass(frozen=True, slots=True)
class User:
    """One line: the canonical name, the stored password, what a user look-up tells."""

    name: str
    stored: str
    fields: Mapping[str, str]


class UserFile:
    """One passwd-file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen = (0, 0, 0)
        self._users: Mapping[str, User] = {}

    def lookup(self, name: str) -> User | None:
        """Return a user. Raises UnavailableError if the file can't be read, ConfigError if it is wrong."""
        try:
            stat = os.stat(self._path)
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                with open(self._path, "rb") as file:
                    text = file.read(FILE_MAX).decode("utf-8", "replace")
                self._users = parse_users(text, self._path)
                self._seen = seen
        except OSError as error:
            raise UnavailableError(f"{self._path}: {error.strerror}") from error
        return self._users.get(name.lower())


def parse_users(text: str, file: str) -> dict[str, User]:
    """Return the users of a passwd-file's text. Raises ConfigError with file and line."""
    users: dict[str, User] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, *rest = line.split(":")
        if not name or not rest:
            raise ConfigError("A user needs a name and a password", file, number)
        if name.lower() in users:
            raise ConfigError(f"The user {name} is given twice", file, number)
        fields = {k: v for k, v in zip(_NAMES, rest[1:5], strict=False) if v and k != "gecos"}
        users[name.lower()] = User(name.lower(), rest[0], fields)
    return users
