"""The SMTP envelope as scripts see it.

Pure. Paths are read as SMTP does, but mildly: RFC 5321 §4.1.2, with stray dots in local parts and odd
host names accepted, as they occur in real mail.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_ROUTE: Final = re.compile(r"@[^@,:<>\s]+(?:,@[^@,:<>\s]+)*:")
_QUOTED: Final = re.compile(r'"((?:[^"\\\r\n]|\\[^\r\n])*)"')
_ATOM: Final = re.compile(r"[^\s()<>\[\]:;@\\,\"\x00-\x1f\x7f]+")
_DOMAIN: Final = re.compile(r"[^\s()<>\[\]:;@\\,\"\x00-\x1f\x7f]+|\[[^\[\]\\\s\x00-\x1f\x7f]+\]")
_PLAIN_LOCAL: Final = re.compile(r"[^\s()<>\[\]:;@\\,.\"]+(?:\.[^\s()<>\[\]:;@\\,.\"]+)*")


@dataclass(frozen=True, slots=True)
class Path:
    """A mailbox of the envelope; both parts empty: the null path. The local part is without quotes."""

    local: str
    domain: str = ""

    @property
    def is_null(self) -> bool:
        """Whether this is `<>`."""
        return not self.local and not self.domain

    def __str__(self) -> str:
        """Return local@domain, quoted only where it must be; empty for the null path."""
        if self.is_null:
            return ""
        local = self.local
        if not _PLAIN_LOCAL.fullmatch(local):
            local = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f"{local}@{self.domain}" if self.domain else local


NULL_PATH: Final = Path("")


def parse_path(text: str) -> Path | None:
    """Return the path, or None if this is none. Brackets are optional; a domain too (a bare `postmaster`)."""
    text = text.strip()
    if text.startswith("<") or text.endswith(">"):
        if not (text.startswith("<") and text.endswith(">")):
            return None
        text = text[1:-1]
    if not text:
        return NULL_PATH
    if text.startswith("@"):
        route = _ROUTE.match(text)
        if route is None:
            return None
        text = text[route.end() :]
    if quoted := _QUOTED.match(text):
        local, end = re.sub(r"\\(.)", r"\1", quoted[1]), quoted.end()
    elif atom := _ATOM.match(text):
        local, end = atom[0], atom.end()
    else:
        return None
    if end == len(text):
        return Path(local) if local else None
    if text[end] != "@" or not _DOMAIN.fullmatch(text, end + 1):
        return None
    return Path(local, text[end + 1 :])


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends to whom. sender None: unknown at this stage, or unreadable; login "": not authenticated.

    An unreadable recipient is left out of recipients, so that tests on it have no value. dsn: what was said for
    reports (RFC 3461), by the names of RFC 6009 §2.
    """

    sender: Path | None = None
    recipients: tuple[Path, ...] = ()
    original: Path | None = None
    login: str = ""
    dsn: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
