"""Mails in files: mbox (RFC 4155, with the quoting called mboxrd) and one mail a file, with their envelopes.

Pure: lines go in and out, nobody is asked. The envelope stands in fields before the mail's own: two that people read,
and one, in base64, that has all of it and is what an import goes by, if it stands before all others: further down it
came with the mail, from whoever wrote that. Without it the envelope is what X-Envelope fields, Return-Path and
Delivered-To say, or what the command line does.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from columba.common.mail.date import format_date

LINE_MAX: Final = 64 * 1024
HEADER_MAX: Final = 256 * 1024
CHUNK: Final = 256 * 1024
ENVELOPE: Final = b"X-Columba-Envelope"
_OURS: Final = (b"x-columba-envelope:", b"x-envelope-from:", b"x-envelope-to:")
_FROM: Final = re.compile(rb">*From ")


class MailFileError(ValueError):
    """A file that holds no mail; the text says why."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a mail's file says of its envelope. handoff is JSON, "" when there is none."""

    handoff: str = ""
    hold: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()


@dataclass(slots=True)
class Mail:
    """A mail being read: its header block with CRLF, and its body, to be read before the next mail."""

    envelope: Envelope
    header: bytes
    body: Iterator[bytes] = field(default_factory=lambda: iter(()))


def head(handoff: str, hold: str, sender: str, recipients: Iterable[str]) -> bytes:
    """Return the fields before a mail, lines ending in LF."""
    whole = json.dumps({"handoff": handoff, "hold": hold}).encode()
    code = base64.b64encode(whole)
    folded = b"\n\t".join(code[at : at + 72] for at in range(0, len(code), 72))
    lines = [b"X-Envelope-From: <%b>\n" % _line(sender)]
    lines += [b"X-Envelope-To: <%b>\n" % _line(recipient) for recipient in recipients]
    return b"".join(lines) + ENVELOPE + b":\n\t" + folded + b"\n"


def from_line(sender: str, at_s: float) -> bytes:
    """Return the line that begins a mail in an mbox."""
    day = format_date(at_s)  # "Sun, 22 Nov 2026 06:30:00 +0000"
    week, number, month, year, clock = day.replace(",", "").split()[:5]
    stamp = f"{week} {month} {int(number):2d} {clock} {year}"
    return b"From %b %b\n" % (_line(sender).replace(b" ", b"_") or b"MAILER-DAEMON", stamp.encode())


class Quoter:
    """Quotes the lines of a mail for an mbox, in pieces as they come."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, octets: bytes) -> bytes:
        """Return what can be written of these octets; the rest of a line is kept back."""
        lines = (self._held + octets).split(b"\n")
        self._held = lines.pop()
        if len(self._held) > LINE_MAX:  # no line that begins so long ago needs quotes later
            lines.append(self._held)
            self._held = b""
            return self._quoted(lines)[:-1]
        return self._quoted(lines)

    def end(self) -> bytes:
        """Return the rest, and the empty line between two mails."""
        rest = self._quoted([self._held]) if self._held else b""
        self._held = b""
        return rest + b"\n"

    def _quoted(self, lines: Iterable[bytes]) -> bytes:
        return b"".join((b">" if _FROM.match(line) else b"") + line + b"\n" for line in lines)


class Reader:
    """Reads the mails of a file one after the other."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._next = file.readline(LINE_MAX)
        self._is_mbox = self._next.startswith(b"From ")
        if self._is_mbox:
            self._next = file.readline(LINE_MAX)

    def __iter__(self) -> Iterator[Mail]:
        """Yield the mails; MailFileError when one has no header that could be a mail's."""
        while self._next:
            mail = self._head()
            mail.body = self._body()
            yield mail
            for _ in mail.body:
                continue

    def _head(self) -> Mail:
        fields: list[bytes] = []
        size = 0
        while self._next and self._next.strip(b"\r\n"):
            line = _crlf(self._next)
            size += len(line)
            if size > 2 * HEADER_MAX:
                raise MailFileError("a header is too long")
            if line[:1] in b" \t" and fields:
                fields[-1] += line
            elif b":" in line:
                fields.append(line)
            else:
                raise MailFileError(
                    f"this is no field of a header: {line[:60].decode('ascii', 'replace').rstrip()!r}"
                )
            self._next = self._file.readline(LINE_MAX)
        self._next = self._file.readline(LINE_MAX)
        own = b"".join(f for f in fields if not f.lower().startswith(_OURS))
        return Mail(_envelope(fields), own)

    def _body(self) -> Iterator[bytes]:
        held, is_after_blank = b"", True
        whole: list[bytes] = []
        size = 0
        while self._next:
            line, self._next = self._next, b""
            if self._is_mbox and is_after_blank and line.startswith(b"From "):
                self._next = self._file.readline(LINE_MAX)
                held = b""
                break
            is_blank = line in {b"\n", b"\r\n"}
            quoted = self._is_mbox and _FROM.match(line)
            whole += [held, _crlf(line[1:] if quoted else line)] if not is_blank else [held]
            held = b"\r\n" if is_blank else b""
            is_after_blank = is_blank
            size += len(line)
            if size >= CHUNK:
                yield b"".join(whole)
                whole, size = [], 0
            self._next = self._file.readline(LINE_MAX)
        else:
            whole.append(b"" if self._is_mbox else held)
        if any(whole):
            yield b"".join(whole)


def _envelope(fields: Iterable[bytes]) -> Envelope:
    values: dict[str, list[str]] = {}
    is_ours = True
    for raw in fields:
        name, _, value = raw.partition(b":")
        is_ours = is_ours and raw.lower().startswith(_OURS)
        if not is_ours and name.strip().lower() == ENVELOPE.lower():
            continue
        text = value.decode("utf-8", "replace").strip()
        values.setdefault(name.strip().decode("ascii", "replace").lower(), []).append(text)
    whole = values.get(ENVELOPE.decode().lower())
    if whole:
        try:
            found = json.loads(base64.b64decode("".join(whole[0].split()), validate=True))
            return Envelope(handoff=str(found["handoff"]), hold=str(found["hold"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise MailFileError(f"{ENVELOPE.decode()} can't be read: {error}") from error
    senders = values.get("x-envelope-from") or values.get("return-path") or [""]
    recipients = values.get("x-envelope-to") or values.get("delivered-to") or []
    return Envelope(
        sender=_address(senders[0]), recipients=tuple(_address(text) for text in recipients)
    )


def _address(text: str) -> str:
    return text.strip().removeprefix("<").removesuffix(">").strip()


def _crlf(line: bytes) -> bytes:
    if line.endswith(b"\r\n") or not line.endswith(b"\n"):
        return line
    return line[:-1] + b"\r\n"


def _line(text: str) -> bytes:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text).encode("utf-8", "replace")
