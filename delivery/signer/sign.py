"""DKIM signatures, relaxed/relaxed.

Pure: header, body chunks, key and time go in, a raw DKIM-Signature field comes out. Which key signs is
choose.py's decision, who keeps keys is keys.py's. There is no l= tag: it lets anyone add text
(RFC 6376 §8.2). Canonicalisation is linear whatever the body holds, in memory of one chunk.
Sources: RFC 6376 §3.4, §3.5, §3.7, §5.4; RFC 8463 (Ed25519); RFC 8301 (SHA-256, RSA of 1024 bits and more).
"""

import base64
import hashlib
import re
from typing import Final, Protocol

from columba.common.mail.header import Field, Header

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
# RFC 6376 §3.4.4. The lookbehind keeps it linear: without it, a run of blanks is tried from each of them.
_TRAILING: Final = re.compile(rb"(?<![\t ])[\t ]++\r\n")
_RUN: Final = re.compile(rb"[\t ]{2,}|\t")
_LINE_ENDS: Final = b"\r\n" * 512


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

    def sign(self, digest: bytes) -> bytes:
        """Return the signature of a SHA-256 digest."""
        ...


class BodyHash:
    """The SHA-256 of a body in relaxed canonicalisation, fed in chunks of any size.

    A body that does not end in CRLF is hashed as if it did: so it will stand on the wire.
    """

    __slots__ = ("_has_text", "_hash", "_line_ends", "_rest")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._line_ends = 0  # line ends seen after the last text; they count only if text follows
        self._rest = b""  # a blank, a CR, or both: what follows decides on them
        self._has_text = False

    def update(self, chunk: bytes) -> None:
        """Take the next octets."""
        octets = relaxed_blanks(self._rest + chunk)
        end = len(octets)
        end -= octets.endswith(b"\r")
        end -= octets.endswith(b" ", 0, end)
        text, line_ends = _cut_line_ends(octets, end)
        self._rest = octets[end:]
        if text == 0:
            self._line_ends += line_ends
            return
        self._flush_line_ends()
        self._hash.update(memoryview(octets)[:text])
        self._line_ends, self._has_text = line_ends, True

    def digest(self) -> bytes:
        """Return the hash; nothing may be fed after it."""
        if self._rest:
            self.update(b"\r\n")
        if self._has_text:
            # RFC 6376 §3.4.4: empty lines at the end are ignored, the last line ends in CRLF.
            self._hash.update(b"\r\n")
        return self._hash.digest()

    def _flush_line_ends(self) -> None:
        while self._line_ends:
            count = min(self._line_ends, len(_LINE_ENDS) // 2)
            self._hash.update(_LINE_ENDS[: 2 * count])
            self._line_ends -= count


def relaxed_blanks(octets: bytes) -> bytes:
    """Return octets with blanks reduced: none before CRLF, one instead of several (RFC 6376 §3.4.4)."""
    if b"\t" in octets or b"  " in octets:
        octets = _TRAILING.sub(b"\r\n", octets)
        return _RUN.sub(b" ", octets)
    if b" \r\n" in octets:
        return octets.replace(b" \r\n", b"\r\n")
    return octets


def relaxed_field(field: Field) -> bytes:
    """Return a field in relaxed canonicalisation, with its CRLF (RFC 6376 §3.4.2)."""
    value = field.value.replace(b"\r\n", b"")
    if b"\t" in value or b"  " in value:
        value = _RUN.sub(b" ", value)
    return b"%b:%b\r\n" % (field.name.lower().encode("ascii"), value.strip(b" "))


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


def _cut_line_ends(octets: bytes, end: int) -> tuple[int, int]:
    """Return (length of the text, CRLFs after it) of octets[:end]."""
    if not octets.endswith(b"\r\n", 0, end):
        return end, 0
    text = len(octets[:end].rstrip(b"\r\n"))
    if octets.count(b"\r\n", text, end) * 2 == end - text:
        return text, (end - text) // 2
    text = end  # bare CR or LF are text
    while octets.endswith(b"\r\n", 0, text):
        text -= 2
    return text, (end - text) // 2
