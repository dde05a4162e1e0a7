"""The relaxed canonical form of header and body, by which signatures stand for mails.

Pure. Linear in time whatever the body holds, in memory of one chunk; no input raises.
Source: RFC 6376 §3.4.2, §3.4.4.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from columba.common.mail.header import Field
from columba.common.mailauth.result import BodyForm

# RFC 6376 §3.4.4. The lookbehind keeps it linear: without it, a run of blanks is tried from each of them.
_TRAILING: Final = re.compile(rb"(?<![\t ])[\t ]++\r\n")
_RUN: Final = re.compile(rb"[\t ]{2,}|\t")
_LINE_ENDS: Final = b"\r\n" * 512


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
        _flush_line_ends(self._hash, self._line_ends)
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


class SimpleBodyHash:
    """The SHA-256 of a body in simple canonicalisation (RFC 6376 §3.4.3), fed in chunks."""

    __slots__ = ("_hash", "_line_ends", "_rest")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._line_ends = 0
        self._rest = b""

    def update(self, chunk: bytes) -> None:
        """Take the next octets."""
        octets = self._rest + chunk
        end = len(octets) - octets.endswith(b"\r")
        text, line_ends = _cut_line_ends(octets, end)
        self._rest = octets[end:]
        if text:
            _flush_line_ends(self._hash, self._line_ends)
            self._hash.update(memoryview(octets)[:text])
            self._line_ends = 0
        self._line_ends += line_ends

    def digest(self) -> bytes:
        """Return the hash; an empty body is hashed as one line end."""
        if self._rest:
            self.update(b"\r\n")
        self._hash.update(b"\r\n")
        return self._hash.digest()


def hash_body(form: BodyForm, chunks: Iterable[bytes]) -> bytes:
    """Return the SHA-256 of a body in one of the two forms."""
    body_hash = BodyHash() if form == "relaxed" else SimpleBodyHash()
    for chunk in chunks:
        body_hash.update(chunk)
    return body_hash.digest()


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


def _flush_line_ends(digest: "hashlib._Hash", count: int) -> None:
    whole, rest = divmod(count, len(_LINE_ENDS) // 2)
    for _ in range(whole):
        digest.update(_LINE_ENDS)
    digest.update(_LINE_ENDS[: 2 * rest])


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
