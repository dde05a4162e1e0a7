"""The notification method mailto (RFC 5436): read its URIs.

Pure. RFC 6068: mailto:ADDRESS,ADDRESS?FIELD=VALUE&FIELD=VALUE, with octets as %XX.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from columba.common.mail.addresses import parse_addresses
from columba.sieve.run.envelope import parse_path

_SCHEME: Final = re.compile(r"mailto:", re.IGNORECASE)
_ILLEGAL: Final = re.compile(r"[^!-~]|[\"#<>\\^`{|}]|%(?![0-9A-Fa-f]{2})")
_NAME: Final = re.compile(r"[!-$&-9;-~]+")
# RFC 5436 §2.7: fields that a URI must not set.
_FORBIDDEN: Final = frozenset(
    {"auto-submitted", "received", "message-id", "date", "from", "sender", "return-path"}
    | {"mime-version", "content-type", "content-transfer-encoding", "x-sieve"}
    | {"resent-date", "resent-from", "resent-sender", "resent-to", "resent-cc", "resent-bcc"}
    | {"resent-message-id", "importance", "x-priority", "precedence"}
)
RECIPIENTS: Final = 8
FIELDS: Final = 16


@dataclass(frozen=True, slots=True)
class Mailto:
    """What a URI says. to and cc are shown; body None: the URI has none. fields: further ones, name and text."""

    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    subject: str = ""
    body: str | None = None
    fields: tuple[tuple[str, str], ...] = ()


def is_mailto(uri: str) -> bool:
    """Tell whether a URI is of this method."""
    return _SCHEME.match(uri) is not None


def parse_mailto(uri: str) -> Mailto | None:
    """Return what the URI says, or None if it is none."""
    scheme = _SCHEME.match(uri)
    if scheme is None or _ILLEGAL.search(uri):
        return None
    path, _, query = uri[scheme.end() :].partition("?")
    to = _addresses([_decoded(part) for part in path.split(",")] if path else [])
    if to is None:
        return None
    found: dict[str, list[str]] = {"to": to, "cc": [], "bcc": []}
    single: dict[str, str] = {}
    fields: list[tuple[str, str]] = []
    for pair in query.replace("&amp;", "&").split("&") if query else []:
        name, equals, value = pair.partition("=")
        if not equals or not _NAME.fullmatch(_decoded(name)):
            return None
        name, text = _decoded(name).lower(), _decoded(value)
        if name in found:
            boxes = _listed(text)
            if boxes is None:
                return None
            found[name] += boxes
        elif name in {"subject", "body"}:
            single[name] = text
        elif name not in _FORBIDDEN and len(fields) < FIELDS:
            fields.append((_decoded(pair.partition("=")[0]), text))
    return Mailto(
        tuple(found["to"][:RECIPIENTS]),
        tuple(found["cc"][:RECIPIENTS]),
        tuple(found["bcc"][:RECIPIENTS]),
        single.get("subject", ""),
        single.get("body"),
        tuple(fields),
    )


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")


def _addresses(texts: list[str]) -> list[str] | None:
    """Return plain addresses; None if one is none."""
    paths = [parse_path(text) for text in texts]
    if any(path is None or not path.domain for path in paths):
        return None
    return [str(path) for path in paths]


def _listed(text: str) -> list[str] | None:
    """Return the addresses of a field's value; None if it is no list of addresses."""
    listed = parse_addresses(text.encode("utf-8"))
    if not listed.is_clean or not listed.mailboxes:
        return None
    return [box.address for box in listed.mailboxes]
