"""The header of a mail as a sequence of fields, true to the byte.

Pure: a Header is an immutable view of a header block (the bytes of all fields, each ending in CRLF,
without the empty line). Nothing is decoded until it is asked for; what nobody touches comes out as it
came in. Any bytes are accepted: what is no field is kept as a Field whose name is empty. Which fields
a mail must have is not decided here.
Sources: RFC 5322 §2.2 and §4.5 (obsolete blanks before the colon), RFC 6532 (UTF-8), RFC 2047.
"""

import re
from collections.abc import Iterator
from typing import Final

from columba.common.limits import FIELD_LINE, FOLD_COLUMN
from columba.common.mail.words import decode_words, encode_words

# RFC 5322 §2.2.3: a CRLF before a blank or tab continues the field.
_FIELD_END: Final = re.compile(rb"\r\n(?![ \t])")
# RFC 5322 §3.6.8 and §4.5: ftext is any printable ASCII but colon; blanks may stand before the colon.
_NAME: Final = re.compile(rb"([!-9;-~]+)[ \t]*:")
# Where a line begins that is neither a field nor the continuation of one, behind the first line.
_NO_FIELD: Final = re.compile(rb"\r\n(?![ \t]|[!-9;-~]+[ \t]*:)")
_FOLD: Final = re.compile(rb"\r\n(?=[ \t])")
_FOLD_BLANK: Final = re.compile(rb"\r\n[ \t]")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]+")
_BLANKS: Final = re.compile(r"([ \t]+)")


class Field:
    """One field: `raw` is all of it, with its last CRLF."""

    __slots__ = ("_name", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw: Final = raw
        self._name: str | None = None

    @property
    def name(self) -> str:
        """The name as it is written, without blanks and colon; empty if this is no field."""
        if self._name is None:
            match = _NAME.match(self.raw)
            self._name = match[1].decode("ascii") if match else ""
        return self._name

    @property
    def value(self) -> bytes:
        """All after the colon, as it came, without the last CRLF."""
        return self.raw[self.raw.find(b":") + 1 : -2] if self.name else self.raw[:-2]

    @property
    def unfolded(self) -> bytes:
        """The value on one line, without blanks at both ends (RFC 5322 §2.2.3)."""
        return _FOLD.sub(b"", self.value).strip(b" \t")

    @property
    def text(self) -> str:
        """The value as people read it: unfolded, encoded words and UTF-8 decoded. Never raises.

        A fold is one blank here, also where the line goes on with a tab.
        """
        value = self.value
        if b"\r\n" in value:
            value = _FOLD_BLANK.sub(b" ", value)
        return decode_words(value.strip(b" \t"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Field) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"Field({self.raw!r})"


class Header:
    """An immutable header. Names of fields are str and compared without case.

    `raw` always ends in CRLF or is empty: a missing last CRLF is added, nothing else is changed.
    """

    __slots__ = ("_fields", "_index", "raw")

    def __init__(self, raw: bytes) -> None:
        if raw and not raw.endswith(b"\r\n"):
            raw += b"\r\n"
        self.raw: Final = raw
        self._fields: tuple[Field, ...] | None = None
        self._index: dict[str, list[Field]] | None = None

    @property
    def fields(self) -> tuple[Field, ...]:
        """All fields in their order; their raw bytes joined are `raw`."""
        if self._fields is None:
            parts = _FIELD_END.split(self.raw)
            parts.pop()  # what stands after the last CRLF: nothing
            self._fields = tuple([Field(part + b"\r\n") for part in parts])
        return self._fields

    def get(self, name: str) -> Field | None:
        """Return the first field of that name."""
        found = self._by_name().get(name.lower())
        return found[0] if found else None

    def get_all(self, name: str) -> tuple[Field, ...]:
        """Return all fields of that name in their order."""
        return tuple(self._by_name().get(name.lower(), ()))

    def text(self, name: str) -> str:
        """Return the decoded text of the first field of that name, or an empty string."""
        field = self.get(name)
        return field.text if field is not None else ""

    def count(self, name: str) -> int:
        """Return how many fields have that name."""
        return len(self._by_name().get(name.lower(), ()))

    def prepend(self, *fields: bytes) -> "Header":
        """Return a header with these raw fields (each ending in CRLF) before all others."""
        return Header(b"".join(fields) + self.raw)

    def append(self, *fields: bytes) -> "Header":
        """Return a header with these raw fields (each ending in CRLF) after all others."""
        return Header(self.raw + b"".join(fields))

    def insert(self, index: int, field: bytes) -> "Header":
        """Return a header with the raw field before the one that has this index (from 0)."""
        raws = [f.raw for f in self.fields]
        raws.insert(index, field)
        return Header(b"".join(raws))

    def remove(self, name: str, occurrence: int | None = None) -> "Header":
        """Return a header without the fields of that name.

        occurrence counts from 0, from the end if negative; None means all. One that is not there
        changes nothing.
        """
        return self._without(self._chosen(name, occurrence), b"")

    def replace(self, name: str, field: bytes, occurrence: int = 0) -> "Header":
        """Return a header with the raw field in the place of that occurrence, if it is there."""
        return self._without(self._chosen(name, occurrence), field)

    def without(self, *fields: Field) -> "Header":
        """Return a header without exactly these fields (objects of this header)."""
        return self._without([id(f) for f in fields], b"")

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._by_name()

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Header) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"Header({self.raw!r})"

    def _by_name(self) -> dict[str, list[Field]]:
        if self._index is None:
            index: dict[str, list[Field]] = {}
            name_of = _NAME.match
            for field in self.fields:
                match = name_of(field.raw)
                if match is None:
                    continue
                name = match[1].lower().decode("ascii")
                known = index.get(name)
                if known is None:
                    index[name] = [field]
                else:
                    known.append(field)
            self._index = index
        return self._index

    def _chosen(self, name: str, occurrence: int | None) -> list[int]:
        found = self._by_name().get(name.lower(), [])
        if occurrence is None:
            return [id(field) for field in found]
        if -len(found) <= occurrence < len(found):
            return [id(found[occurrence])]
        return []

    def _without(self, ids: list[int], instead: bytes) -> "Header":
        if not ids:
            return self
        chosen = frozenset(ids)
        return Header(b"".join([instead if id(f) in chosen else f.raw for f in self.fields]))


def split_message(message: bytes) -> tuple[Header, bytes]:
    """Return the header of a mail and its body (the empty line between them belongs to neither).

    The header ends at the first empty line, or before the first line that is neither a field nor a
    continuation: that line is the first of the body, as every mail reader shows it, so that no text
    can hide among the fields.
    """
    end = header_end(message)
    body = message[end + 2 :] if message.startswith(b"\r\n", end) else message[end:]
    return Header(message[:end]), body


def header_end(message: bytes) -> int:
    """Return the number of octets of a mail's header block (see split_message)."""
    if not _NAME.match(message):
        return 0
    match = _NO_FIELD.search(message)
    return match.end() if match else len(message)


def field(name: str, text: str, *, utf8: bool = False) -> bytes:
    """Return a raw unstructured field: encoded words where needed (none with utf8), folded.

    Controls in text, line ends too, become a blank: no text can add a field.
    """
    clean = _CONTROLS.sub(" ", text).strip(" \t")
    value = clean if utf8 else encode_words(clean, first_column=len(name) + 2)
    return fold(name, value.encode("utf-8", "replace"))


def fold(name: str, value: bytes) -> bytes:
    """Return a raw field, folded at the blanks that value has, at 78 columns where possible.

    No octet but line ends is changed: CR, LF and NUL in value become a blank. A word without
    blanks stays whole up to 998 octets (RFC 5322 §2.1.1), where it is cut, for lack of a better.
    """
    lines: list[str] = []
    line = f"{name}:"
    text = value.decode("latin-1")
    clean = " " + re.sub(r"[\r\n\x00]+", " ", text).strip(" \t")
    parts = _BLANKS.split(clean)  # "", blank, word, blank, word, …
    for blank, word in zip(parts[1::2], parts[2::2], strict=True):
        if len(line) + len(blank) + len(word) > FOLD_COLUMN and len(line) > len(name) + 1:
            lines.append(line)
            line = ""
        line += blank + word
        while len(line) > FIELD_LINE:
            lines.append(line[:FIELD_LINE])
            line = " " + line[FIELD_LINE:]
    lines.append(line)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n"
