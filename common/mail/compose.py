"""What the mails that we write ourselves are made of: replies of vacation, notices, reports.

Pure: id, host and time come as arguments. Fields are folded at 78 columns and in ASCII but for addresses; a text is of
seven bits and lines of at most 998 octets, so that any hop takes it.
Sources: RFC 5322 §3.6, RFC 2045 §6 (quoted-printable), RFC 3834, RFC 6532.
"""

import quopri
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from columba.common.limits import FIELD_LINE
from columba.common.mail.addresses import Mailbox, quote_phrase
from columba.common.mail.date import format_date
from columba.common.mail.header import Header, fold
from columba.common.mail.words import encode_words

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_ID: Final = re.compile(r"[^A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]")


class AutoSubmitted(Enum):
    """RFC 3834 §5: what made a mail."""

    GENERATED = "auto-generated"
    REPLIED = "auto-replied"
    NOTIFIED = "auto-notified"  # RFC 5436 §2.7.1


@dataclass(frozen=True, slots=True)
class Written:
    """A mail ready to be handed on. The body ends in CRLF or is empty."""

    header: Header
    body: bytes

    @property
    def is_8bit(self) -> bool:
        """Whether a hop needs 8BITMIME for it."""
        return not self.body.isascii()

    @property
    def is_utf8(self) -> bool:
        """Whether a hop needs SMTPUTF8 for it: its header has UTF-8."""
        return not self.header.raw.isascii()


def common_fields(id: str, host: str, wall_s: float, auto: AutoSubmitted) -> list[bytes]:
    """Return Date, Message-ID and Auto-Submitted."""
    return [
        fold("Date", format_date(wall_s).encode()),
        fold("Message-ID", message_id(id, host).encode()),
        fold("Auto-Submitted", auto.value.encode()),
    ]


def reply_fields(in_reply_to: str, references: str) -> list[bytes]:
    """Return In-Reply-To and References of an answer (RFC 5322 §3.6.4); none without an id.

    References is cut in its middle when it is long: the first and the last ids matter.
    """
    parent = _ids(in_reply_to)[:1]
    if not parent:
        return []
    chain = [known for known in _ids(references) if known != parent[0]]
    chain = [*chain[:1], *chain[1:][-9:], *parent]
    return [
        fold("In-Reply-To", parent[0].encode()),
        fold("References", " ".join(chain).encode()),
    ]


def message_id(id: str, host: str) -> str:
    """Return a Message-ID with its brackets."""
    return f"<{_ID.sub('', id)}@{_ID.sub('', host)}>"


def address_field(name: str, mailboxes: Sequence[Mailbox]) -> bytes:
    """Return a raw field of addresses; display names are encoded or quoted as they need."""
    return fold(name, ", ".join(mailbox_text(box) for box in mailboxes).encode("utf-8", "replace"))


def mailbox_text(box: Mailbox) -> str:
    """Return a mailbox as it stands in a field; only the address itself may be UTF-8."""
    display = _CONTROLS.sub(" ", box.display).strip()
    address = re.sub(r"[\x00-\x20<>\x7f]", "", box.address)
    if not display:
        return f"<{address}>" if not address or address[0] == '"' else address
    encoded = encode_words(display)
    shown = encoded if encoded != display else quote_phrase(display)
    return f"{shown} <{address}>"


def text_part(text: str) -> tuple[bytes, bytes]:
    """Return (raw Content fields, body) of text/plain in seven bits; lines end in CRLF."""
    lines = "\r\n".join(_LINE_END.split(text.rstrip("\r\n")))
    octets = (lines + "\r\n").encode("utf-8", "replace") if lines else b""
    is_short = all(len(line) <= FIELD_LINE for line in octets.split(b"\r\n"))
    if octets.isascii() and is_short and b"\x00" not in octets:
        return _content_fields("us-ascii", "7bit"), octets
    # quopri knows only LF as the end of a line.
    encoded = quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    return _content_fields("utf-8", "quoted-printable"), encoded


def _content_fields(charset: str, encoding: str) -> bytes:
    return (
        f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    ).encode()


def _ids(text: str) -> list[str]:
    return re.findall(r"<[!-;=?-~]{1,250}>", text[:20000])
