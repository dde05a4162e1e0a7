"""The MIME structure of a mail, within bounds.

Pure: a walk gives offsets into the body, nothing is copied or decoded until asked for. Depth and number of parts
are bounded; past a bound the walk stops and says so, and what is left is one opaque part. Never raises on any bytes.
Sources: RFC 2045 (fields, encodings), RFC 2046 (multiparts), RFC 2183 (disposition), RFC 2231 (parameters).
"""

import base64
import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from columba.common.limits import MIME_DEPTH, MIME_PARTS
from columba.common.mail.header import Header, split_message
from columba.common.mail.words import decode_bytes, decode_words

_VALUE_SIZE: Final = 16 * 1024
_BOUNDARY_SIZE: Final = 200  # RFC 2046 §5.1.1 says 70
_TYPE: Final = re.compile(
    r"\s*([!#$%&'*+.^_`{|}~0-9A-Za-z-]+)\s*/\s*([!#$%&'*+.^_`{|}~0-9A-Za-z-]+)"
)
_TOKEN: Final = re.compile(r"\s*([!#$%&'*+.^_`{|}~0-9A-Za-z-]+)")
_PARAMETER: Final = re.compile(
    r"""\s*+([^\s=;"*]++)(\*\d{1,3})?(\*)?\s*+=\s*+(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^;"\s]*+))[^;"]*+"""
)
_MARK: Final = re.compile(r'\\.|["()]', re.DOTALL)
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]")


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type, lower case; parameters are decoded, their names lower case."""

    type: str = "text"
    subtype: str = "plain"
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return "type/subtype"."""
        return f"{self.type}/{self.subtype}"

    @property
    def charset(self) -> str:
        """The charset of a text, lower case; us-ascii if it is not said."""
        return self.parameters.get("charset", "us-ascii").lower()


@dataclass(frozen=True, slots=True)
class Part:
    """One part; offsets count in the body of the whole mail.

    `header_start` is where its header begins (-1: the mail's own header), `start` and `end` bound its content.
    `number` is "1.2" as in IMAP, "" for the mail itself.
    """

    header: Header
    header_start: int
    start: int
    end: int
    depth: int
    number: str
    content_type: ContentType

    @property
    def is_multipart(self) -> bool:
        """Whether it holds parts of its own."""
        return self.content_type.type == "multipart"

    @property
    def is_message(self) -> bool:
        """Whether it holds a mail."""
        return self.content_type.name in {"message/rfc822", "message/global"}

    @property
    def encoding(self) -> str:
        """The Content-Transfer-Encoding, lower case; 7bit if it is not said."""
        found = self.header.get("Content-Transfer-Encoding")
        text = plain_value(found.unfolded) if found else ""
        return text.strip().lower() or "7bit"

    @property
    def disposition(self) -> str:
        """The Content-Disposition without its parameters, lower case; empty if it is not said."""
        found = self.header.get("Content-Disposition")
        match = _TOKEN.match(plain_value(found.unfolded)) if found else None
        return match[1].lower() if match else ""

    @property
    def file_name(self) -> str:
        """The suggested file name, decoded, empty if there is none. It may be any text."""
        found = self.header.get("Content-Disposition")
        said = parse_parameters(found.unfolded).get("filename", "") if found else ""
        return said or self.content_type.parameters.get("name", "")

    def content(self, body: bytes) -> bytes:
        """Return the content as it came."""
        return body[self.start : self.end]

    def decoded(self, body: bytes) -> bytes:
        """Return the content without its transfer encoding."""
        return decode_content(self.content(body), self.encoding)

    def text(self, body: bytes) -> str:
        """Return the content of a text as text."""
        return decode_bytes(self.decoded(body), self.content_type.charset)


@dataclass(frozen=True, slots=True)
class Structure:
    """All parts, each before its own parts, in the order of the mail; is_complete unless a bound was met."""

    parts: tuple[Part, ...]
    is_complete: bool


def walk(
    header: Header, body: bytes, max_depth: int = MIME_DEPTH, max_parts: int = MIME_PARTS
) -> Structure:
    """Return the structure of a mail; the first part is the mail itself."""
    found: list[Part] = []
    waiting = [_part(header, (-1, 0, len(body)), 0, "", _default_type(None))]
    is_complete = True
    while waiting:
        part = waiting.pop()
        found.append(part)
        if not (part.is_multipart or part.is_message):
            continue
        room = max_parts - len(found) - len(waiting)
        if part.depth >= max_depth or room <= 0:
            is_complete = False
            continue
        children = _children(part, body, room + 1)
        if len(children) > room:
            is_complete = False
        waiting.extend(reversed(children[:room]))
    return Structure(tuple(found), is_complete)


def parse_content_type(value: bytes, default: ContentType | None = None) -> ContentType:
    """Return the media type of a Content-Type field's value; what can't be read is text/plain (RFC 2045 §5.2)."""
    text = plain_value(value)
    match = _TYPE.match(text)
    if match is None:
        return default or ContentType()
    return ContentType(match[1].lower(), match[2].lower(), parse_parameters(value))


def parse_parameters(value: bytes) -> dict[str, str]:
    """Return the parameters behind the first semicolon, decoded (RFC 2231 §3, §4; RFC 2047 as many use it)."""
    text = plain_value(value)
    position = text.find(";")
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[bool, str]]] = {}
    while position >= 0:
        match = _PARAMETER.match(text, position + 1)
        if match is None:  # an empty or a broken one
            position = text.find(";", position + 1)
            continue
        name, number, is_extended, quoted, token = match.groups()
        said = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else token
        name = name.lower()
        if number is None and not is_extended:
            plain.setdefault(name, decode_words(said.encode("utf-8", "replace")))
        else:
            at = int(number[1:]) if number else 0
            pieces.setdefault(name, {}).setdefault(at, (bool(is_extended), said))
        position = text.find(";", match.end())
    return {**plain, **{name: _joined(found) for name, found in pieces.items()}}


def plain_value(value: bytes) -> str:
    """Return a structured value as text, without comments outside of quotes, in one pass: comments nest."""
    text = value[:_VALUE_SIZE].decode("utf-8", "replace")
    if "(" not in text:
        return text
    pieces: list[str] = []
    kept = began = depth = 0
    is_quoted = False
    for mark in _MARK.finditer(text):
        if mark[0] == '"' and not depth:
            is_quoted = not is_quoted
        elif mark[0] == "(" and not is_quoted:
            began = began if depth else mark.start()
            depth += 1
        elif mark[0] == ")" and depth:
            depth -= 1
            if not depth:
                pieces.append(text[kept:began])
                kept = mark.end()
    return " ".join((*pieces, text[kept:]))


def decode_content(content: bytes, encoding: str) -> bytes:
    """Return content without its transfer encoding; an unknown one changes nothing. Never raises."""
    if encoding == "quoted-printable":
        return quopri.decodestring(content)
    if encoding == "base64":
        clean = _NOT_BASE64.sub(b"", content.partition(b"=")[0] if b"=" in content else content)
        clean = clean[: len(clean) - 1] if len(clean) % 4 == 1 else clean
        try:
            return base64.b64decode(clean + b"=" * (-len(clean) % 4))
        except (binascii.Error, ValueError):
            return content
    return content


def leaves(structure: Structure) -> Iterator[Part]:
    """Yield the parts that hold no others."""
    for part in structure.parts:
        if not (part.is_multipart or part.is_message):
            yield part


def _part(
    header: Header, span: tuple[int, int, int], depth: int, number: str, default: ContentType
) -> Part:
    found = header.get("Content-Type")
    kind = parse_content_type(found.unfolded, default) if found else default
    return Part(header, *span, depth, number, kind)


def _default_type(parent: ContentType | None) -> ContentType:
    """RFC 2046 §5.1.5: the parts of a digest are mails unless they say otherwise."""
    if parent is not None and parent.name == "multipart/digest":
        return ContentType("message", "rfc822")
    return ContentType()


def _children(part: Part, body: bytes, limit: int) -> list[Part]:
    if part.is_message:
        if part.encoding in {"base64", "quoted-printable"}:
            return []  # not allowed (RFC 2046 §5.2.1), and its offsets would lead nowhere
        return [_at(body, part.start, part.end, part, part.number + ".1" if part.number else "1")]
    boundary = part.content_type.parameters.get("boundary", "")
    if not boundary or len(boundary) > _BOUNDARY_SIZE:
        return []
    spans = _spans(body, part.start, part.end, boundary.encode("utf-8", "replace"), limit)
    prefix = part.number + "." if part.number else ""
    return [
        _at(body, start, end, part, f"{prefix}{number}")
        for number, (start, end) in enumerate(spans, 1)
    ]


def _at(body: bytes, start: int, end: int, parent: Part, number: str) -> Part:
    raw = body[start:end]
    header, content = split_message(raw)
    default = _default_type(parent.content_type)
    return _part(header, (start, end - len(content), end), parent.depth + 1, number, default)


def _spans(body: bytes, start: int, end: int, boundary: bytes, limit: int) -> list[tuple[int, int]]:
    """Return where the parts of a multipart are (RFC 2046 §5.1.1: the CRLF before a delimiter is its own)."""
    delimiter = re.compile(rb"(?:\r\n|\A)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r\n|\Z)")
    spans: list[tuple[int, int]] = []
    opened = -1
    region = memoryview(body)[start:end]
    for match in delimiter.finditer(region):
        if opened >= 0:
            spans.append((start + opened, start + max(opened, match.start())))
        opened = -1 if match[1] else match.end() + 2
        if match[1] or len(spans) >= limit:
            return spans
    if opened >= 0:
        spans.append((min(start + opened, end), end))  # never closed: cut off, or sloppy
    return spans


def _joined(pieces: dict[int, tuple[bool, str]]) -> str:
    """Join the pieces of a parameter in order, up to the first gap."""
    octets, charset = [], "utf-8"
    for at in range(len(pieces)):
        if at not in pieces:
            break
        is_extended, said = pieces[at]
        if is_extended and at == 0 and said.count("'") >= 2:
            charset, _, said = said.split("'", 2)
        raw = said.encode("utf-8", "replace")
        octets.append(unquote_to_bytes(raw) if is_extended else raw)
    return re.sub(r"[\x00\r\n]", " ", decode_bytes(b"".join(octets), charset or "utf-8"))
