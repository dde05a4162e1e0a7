"""The users of a passwd-file, read again when the file changes.

Reading blocks: call lookup() in a thread. Names are compared without regard to case; the canonical name is in
lower case. Of Dovecot's extra fields (the eighth) `nologin`, `reason=` and `allow_nets=` mean something here.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from columba.common.errors import ConfigError, UnavailableError

FILE_MAX: Final = 64 * 1024 * 1024
_NAMES: Final = ("uid", "gid", "gecos", "home")


@dataclass(frozen=True, slots=True)
class User:
    """One line: the canonical name, the stored password, what a user look-up tells, extra fields."""

    name: str
    stored: str
    fields: Mapping[str, str]
    extra: Mapping[str, str]

    def is_welcome(self, ip: str) -> bool:
        """Tell whether the user may log in from this address ("" = a unix socket)."""
        if "nologin" in self.extra:
            return False
        nets = self.extra.get("allow_nets", "")
        if not nets or not ip:
            return not nets
        words = nets.replace(",", " ").split()
        address = ipaddress.ip_address(ip)
        return any(address in ipaddress.ip_network(word, strict=False) for word in words)


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
        # The file's separator may stand inside an IPv6 network of the extra fields.
        extra = _extra(":".join(rest[6:]), file, number)
        users[name.lower()] = User(name.lower(), rest[0], fields, extra)
    return users


def _extra(text: str, file: str, line: int) -> dict[str, str]:
    extra = dict(word.partition("=")[::2] for word in text.split())
    try:
        for word in extra.get("allow_nets", "").replace(",", " ").split():
            ipaddress.ip_network(word, strict=False)
    except ValueError as error:
        raise ConfigError(f"allow_nets: {error}", file, line) from error
    return extra
