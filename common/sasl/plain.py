"""The PLAIN mechanism.

Pure. Source: RFC 4616 §2 (message = [authzid] NUL authcid NUL passwd).
"""

from dataclasses import dataclass

from columba.common.errors import RemoteProtocolError


@dataclass(frozen=True, slots=True)
class PlainMessage:
    """What a client says: who it wants to act as ("" = itself), who it is, its password."""

    authzid: str
    authcid: str
    password: bytes


def parse_plain(message: bytes) -> PlainMessage:
    """Return the parts of a PLAIN message. Raises RemoteProtocolError."""
    parts = message.split(b"\0")
    if len(parts) != 3 or not parts[1] or not parts[2] or max(map(len, parts)) > 255:
        raise RemoteProtocolError("malformed PLAIN message")
    try:
        return PlainMessage(parts[0].decode(), parts[1].decode(), parts[2])
    except UnicodeDecodeError as problem:
        raise RemoteProtocolError("PLAIN message is no UTF-8") from problem


def format_plain(authcid: str, password: str, authzid: str = "") -> bytes:
    """Return a PLAIN message."""
    return f"{authzid}\0{authcid}\0{password}".encode()
