"""Rewrite a mail of our own in seven bits, for a hop without 8BITMIME (RFC 6152 §3).

Pure. Parts with octets above 127 become quoted-printable (texts) or base64 (others); all other parts keep their
bytes. What can't be rewritten without breaking something gives None: signed or encrypted parts,
a header in UTF-8 (that needs SMTPUTF8), a structure past our bounds, parts that lie about their encoding.
"""

import base64
import quopri
from collections.abc import Iterable
from typing import Final

from columba.common.mail.header import Header
from columba.common.mail.mime import Part, Structure, walk

_SEALED: Final = frozenset({"multipart/signed", "multipart/encrypted"})
_CTE: Final = "Content-Transfer-Encoding"
Change = tuple[int, int, bytes]  # body[start:end] becomes these octets


def to_seven_bits(header: Header, body: bytes) -> tuple[Header, bytes] | None:
    """Return header and body in seven bits, or None if that can't be done."""
    if not header.raw.isascii():
        return None
    if body.isascii():
        return _labelled(header, "7bit"), body
    structure = walk(header, body)
    if not structure.is_complete or _has_sealed(structure, body):
        return None
    changes: list[Change] = []
    top = header
    for part in structure.parts:
        if _is_ascii(part, body) and part.header.raw.isascii():
            continue
        change = _changed(part, body)
        if change is None:
            return None
        part_header, content = change
        if part.header_start < 0:
            top = part_header
        else:
            changes.append((part.header_start, part.start, part_header.raw + b"\r\n"))
        if content is not None:
            changes.append((part.start, part.end, content))
    changed = _apply(body, changes)
    return (_as_mime(top), changed) if changed.isascii() else None


def _has_sealed(structure: Structure, body: bytes) -> bool:
    return any(
        part.content_type.name in _SEALED and not _is_ascii(part, body) for part in structure.parts
    )


def _is_ascii(part: Part, body: bytes) -> bool:
    return body[part.start : part.end].isascii()


def _changed(part: Part, body: bytes) -> tuple[Header, bytes | None] | None:
    """Return a part's header and, unless its own parts hold it, its content."""
    if not part.header.raw.isascii():
        return None
    if part.is_multipart or part.is_message:
        return _labelled(part.header, "7bit"), None
    if part.encoding not in {"7bit", "8bit", "binary"}:
        return None
    content = part.content(body)
    if part.content_type.type == "text":
        return _labelled(part.header, "quoted-printable"), _quoted_printable(content)
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n").removesuffix(b"\r\n")
    return _labelled(part.header, "base64"), encoded


def _quoted_printable(content: bytes) -> bytes:
    # quopri takes LF for the end of a line: here that is CRLF alone, and a bare LF is an octet to encode.
    return b"\r\n".join(
        b"=0A=\r\n".join(
            quopri.encodestring(piece).replace(b"\n", b"\r\n") for piece in line.split(b"\n")
        )
        for line in content.split(b"\r\n")
    )


def _labelled(header: Header, encoding: str) -> Header:
    """Return the header with this transfer encoding; nothing changes if it said 7bit by saying nothing."""
    raw = f"{_CTE}: {encoding}\r\n".encode()
    if _CTE in header:
        return header.replace(_CTE, raw)
    return header if encoding == "7bit" else header.append(raw)


def _as_mime(header: Header) -> Header:
    return header if "MIME-Version" in header else header.append(b"MIME-Version: 1.0\r\n")


def _apply(body: bytes, changes: Iterable[Change]) -> bytes:
    pieces, position = [], 0
    for start, end, octets in sorted(changes, key=lambda change: change[0]):
        pieces += [body[position:start], octets]
        position = end
    return b"".join([*pieces, body[position:]])
