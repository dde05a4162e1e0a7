"""DKIM signatures, relaxed/relaxed.

Pure: header, hash of the body, key and time go in, a raw DKIM-Signature field comes out. Which key signs is
choose.py's decision, who keeps keys is keys.py's. There is no l= tag: it lets anyone add text
(RFC 6376 §8.2).
Sources: RFC 6376 §3.4, §3.5, §3.7, §5.4; RFC 8463 (Ed25519); RFC 8301 (SHA-256, RSA of 1024 bits and more).
"""

import base64
import hashlib
from typing import Final, Protocol

from columba.common.mail.header import Field, Header
from columba.common.mailauth.canonical import relaxed_field

# Signed as often as they occur and once more, so that no one can add another (RFC 6376 §8.15).
OVERSIGNED: Final = (
    "from", "to", "cc", "subject", "date", "message-id", "reply-to", "in-reply-to", "references",
    "mime-version", "content-type", "content-transfer-encoding",
)  # fmt: skip
# Signed if they are there: lists, forwarders and readers may add their own (RFC 6376 §5.4.1).
SIGNED: Final = (
    "sender", "resent-from", "resent-to", "resent-cc", "resent-date", "resent-message-id",
    "resent-sender", "list-id", "list-help", "list-unsubscribe", "list-unsubscribe-post",
    "list-subscribe", "list-post", "list-owner", "list-archive", "content-id",
    "content-description", "content-disposition", "auto-submitted", "feedback-id", "expires",
    "tls-required",
)  # fmt: skip


class Signer(Protocol):
    """A private key with its names."""

    @property
    def domain(self) -> str:
        """The signing domain, an A-label name in lower case."""
        ...

    @property
    def selector(self) -> str:
        """The selector."""
        ...

    @property
    def algorithm(self) -> str:
        """rsa-sha256 or ed25519-sha256."""
        ...

    @property
    def record_name(self) -> str:
        """The name of the TXT record, without the last dot."""
        ...

    def sign(self, digest: bytes) -> bytes:
        """Return the signature of a SHA-256 digest."""
        ...


def signed_names(header: Header) -> tuple[str, ...]:
    """Return the names for h=, in order, each as often as it is signed."""
    names: list[str] = []
    for name in OVERSIGNED:
        names.extend([name] * (header.count(name) + 1))
    for name in SIGNED:
        names.extend([name] * header.count(name))
    return tuple(names)


def signature_field(
    header: Header, body_digest: bytes, key: Signer, wall_s: float, lifetime_s: int = 0
) -> bytes:
    """Return the raw DKIM-Signature field, folded, to be put before all others.

    body_digest is BodyHash's; lifetime_s = 0 writes no x=. The mail must have a From field
    (RFC 6376 §5.4 asks for it); the caller has looked.
    """
    names = signed_names(header)
    expiry = f" x={int(wall_s) + lifetime_s};" if lifetime_s else ""
    body_hash = base64.b64encode(body_digest).decode()
    unsigned = (
        f"DKIM-Signature: v=1; a={key.algorithm}; c=relaxed/relaxed; d={key.domain};\r\n"
        f"\ts={key.selector}; t={int(wall_s)};{expiry}\r\n"
        f"\th={_folded_names(names)};\r\n"
        f"\tbh={body_hash};\r\n\tb="
    ).encode("ascii")
    digest = _header_digest(header, names, unsigned)
    signature = base64.b64encode(key.sign(digest))
    lines = [signature[at : at + 72] for at in range(0, len(signature), 72)]
    return unsigned + b"\r\n\t".join(lines) + b"\r\n"


def _header_digest(header: Header, names: tuple[str, ...], unsigned: bytes) -> bytes:
    """Hash the fields from the last to the first of each name, then our own (RFC 6376 §3.7, §5.4.2)."""
    digest = hashlib.sha256()
    left: dict[str, list[Field]] = {name: list(header.get_all(name)) for name in set(names)}
    for name in names:
        if left[name]:
            digest.update(relaxed_field(left[name].pop()))
    digest.update(relaxed_field(Field(unsigned + b"\r\n"))[:-2])
    return digest.digest()


def _folded_names(names: tuple[str, ...]) -> str:
    """Return the names joined by colons, folded at 76 columns (RFC 6376 §3.5: FWS may stand there)."""
    lines, line = [], ""
    for number, name in enumerate(names):
        piece = name if number == len(names) - 1 else name + ":"
        if line and len(line) + len(piece) > 72:
            lines.append(line)
            line = ""
        line += piece
    lines.append(line)
    return "\r\n\t ".join(lines)
