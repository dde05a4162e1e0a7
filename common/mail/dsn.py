"""Delivery status notifications.

Pure: composes the multipart/report of one mail: words for people, the status for programs, and the mail or
its header. Who gets one, and when, is decided by the queue.
Sources: RFC 3464 (delivery-status), RFC 6522 (multipart/report), RFC 3461 §6 (what to return), RFC 3834
(Auto-Submitted), RFC 6533 (UTF-8 addresses), RFC 8689 §5 (REQUIRETLS: the header alone).
"""

import hashlib
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from columba.common.mail.addresses import Mailbox, parse_mailboxes
from columba.common.mail.compose import (
    AutoSubmitted,
    Written,
    address_field,
    common_fields,
    reply_fields,
    text_part,
)
from columba.common.mail.date import format_date
from columba.common.mail.dsn_words import ENGLISH, Words, fill
from columba.common.mail.header import Header, field, fold

_STATUS: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_MAX_TEXT: Final = 4000


class Action(Enum):
    """RFC 3464 §2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


@dataclass(frozen=True, slots=True)
class Fate:
    """What is reported of one recipient. Times are seconds since 1970, 0 = not said."""

    address: str
    action: Action
    status: str  # "5.1.1"
    reply: str = ""  # the hop's own words with the code: "550 5.1.1 no such user"
    hop: str = ""  # host name of the hop that said so
    original: str = ""  # ORCPT: "rfc822;user@example"
    last_attempt_s: float = 0.0
    retry_until_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """A DSN to be. id is its own; body is None if only the header goes back."""

    id: str
    host: str  # our host name
    wall_s: float
    to: str  # the envelope sender of the mail
    fates: tuple[Fate, ...]
    header: Header
    body: bytes | None = None
    arrived_s: float = 0.0
    envid: str = ""  # RFC 3461, decoded
    sender: Mailbox | None = None
    subject: str = ""
    text: str = ""  # policy's own words, instead of the first paragraph
    words: Words = ENGLISH


def write_dsn(report: Report) -> Written:
    """Return the notification. The same report gives the same octets, so that a crash makes no second."""
    is_global = not all((fate.address + fate.original).isascii() for fate in report.fates)
    parts = [_human(report), _status(report, is_global), _returned(report)]
    boundary = _boundary(report.id, parts)
    dash = f"--{boundary}".encode()
    body = b"".join(dash + b"\r\n" + part for part in parts) + dash + b"--\r\n"
    return Written(Header(b"".join(_fields(report, boundary, body))), body)


def subject_of(actions: set[Action], words: Words = ENGLISH) -> str:
    """Return our own subject for these actions; the worst leads."""
    if Action.FAILED in actions:
        return words.subject_failed
    return words.subject_delayed if Action.DELAYED in actions else words.subject_delivered


def _fields(report: Report, boundary: str, body: bytes) -> list[bytes]:
    sender = report.sender or Mailbox("Mail Delivery System", "MAILER-DAEMON", report.host)
    to = parse_mailboxes(f"<{report.to}>".encode("utf-8", "replace"))
    subject = report.subject or subject_of({fate.action for fate in report.fates}, report.words)
    encoding = "7bit" if body.isascii() else "8bit"
    return [
        *common_fields(report.id, report.host, report.wall_s, AutoSubmitted.REPLIED),
        address_field("From", (sender,)),
        address_field("To", to),
        field("Subject", subject),
        *reply_fields(report.header.text("Message-ID"), report.header.text("References")),
        b"MIME-Version: 1.0\r\n",
        b"Content-Type: multipart/report; report-type=delivery-status;\r\n"
        b'\tboundary="%b"\r\n' % boundary.encode(),
        b"Content-Transfer-Encoding: %b\r\n" % encoding.encode(),
    ]


def _human(report: Report) -> bytes:
    fields, body = text_part(_text(report))
    language = f"Content-Language: {report.words.language}\r\n".encode()
    return b"Content-Description: Notification\r\n" + fields + language + b"\r\n" + body + b"\r\n"


def _text(report: Report) -> str:
    words = report.words
    paragraphs = [report.text.strip("\r\n") or fill(words.greeting, host=report.host)]
    for action, said in (
        (Action.FAILED, words.failed),
        (Action.DELAYED, words.delayed),
        (Action.DELIVERED, words.delivered),
        (Action.RELAYED, words.relayed),
        (Action.EXPANDED, words.expanded),
    ):
        fates = [fate for fate in report.fates if fate.action is action]
        if fates:
            paragraphs.append(fill(said, host=report.host))
            paragraphs.extend(_fate_words(fate, words) for fate in fates)
    paragraphs.append(fill(words.closing, host=report.host))
    return "\n\n".join(paragraphs)


def _fate_words(fate: Fate, words: Words) -> str:
    lines = [f"<{_line(fate.address)}>"]
    if fate.reply and fate.hop:
        lines.append("    " + fill(words.said, host=_line(fate.hop), reply=_line(fate.reply)))
    elif fate.reply:
        lines.append(f"    {_line(fate.reply)}")
    if fate.retry_until_s:
        lines.append("    " + fill(words.until, time=format_date(fate.retry_until_s)))
    return "\n".join(lines)


def _status(report: Report, is_global: bool) -> bytes:
    """RFC 3464 §2: groups of fields, the first for the mail, then one for each recipient."""
    kind = "message/global-delivery-status" if is_global else "message/delivery-status"
    encoding = "Content-Transfer-Encoding: 8bit\r\n" if is_global else ""
    head = f"Content-Description: Delivery report\r\nContent-Type: {kind}\r\n{encoding}\r\n"
    groups = [_message_group(report)] + [_group(fate) for fate in report.fates]
    return head.encode() + b"\r\n".join(groups) + b"\r\n"


def _message_group(report: Report) -> bytes:
    lines = [_field("Reporting-MTA", f"dns; {report.host}")]
    if report.envid:
        lines.insert(0, _field("Original-Envelope-Id", report.envid))
    if report.arrived_s:
        lines.append(_field("Arrival-Date", format_date(report.arrived_s)))
    return b"".join(lines)


def _group(fate: Fate) -> bytes:
    lines = []
    if fate.original:
        lines.append(_field("Original-Recipient", fate.original.replace(";", "; ", 1)))
    # RFC 6533 §4: the address type of an address in UTF-8.
    kind = "rfc822" if fate.address.isascii() else "utf-8"
    lines.append(_field("Final-Recipient", f"{kind}; {fate.address}"))
    lines.append(_field("Action", fate.action.value))
    lines.append(_field("Status", _status_code(fate)))
    if fate.hop:
        lines.append(_field("Remote-MTA", f"dns; {fate.hop}"))
    if fate.reply:
        # RFC 3464 §2.3.6: ASCII, whatever the hop said.
        reply = fate.reply.encode("ascii", "replace").decode()
        lines.append(_field("Diagnostic-Code", f"smtp; {reply}"))
    if fate.last_attempt_s:
        lines.append(_field("Last-Attempt-Date", format_date(fate.last_attempt_s)))
    if fate.retry_until_s and fate.action is Action.DELAYED:
        lines.append(_field("Will-Retry-Until", format_date(fate.retry_until_s)))
    return b"".join(lines)


def _status_code(fate: Fate) -> str:
    """The status must agree with the action (RFC 3464 §2.3.4)."""
    first = {Action.FAILED: "5", Action.DELAYED: "4"}.get(fate.action, "2")
    if _STATUS.fullmatch(fate.status) and fate.status[0] == first:
        return fate.status
    if _STATUS.fullmatch(fate.status) and first == "5":
        return first + fate.status[1:]  # a temporary failure that lasted too long
    return f"{first}.0.0"


def _returned(report: Report) -> bytes:
    is_ascii = report.header.raw.isascii()
    if report.body is None:
        kind = "text/rfc822-headers" if is_ascii else "message/global-headers"
        head = f"Content-Description: Header of the mail\r\nContent-Type: {kind}\r\n"
        content = report.header.raw
    else:
        kind = "message/rfc822" if is_ascii else "message/global"
        head = f"Content-Description: The mail\r\nContent-Type: {kind}\r\n"
        content = report.header.raw + b"\r\n" + report.body
        content += b"" if content.endswith(b"\r\n") else b"\r\n"
    encoding = "7bit" if content.isascii() else "8bit"
    head += f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + content + b"\r\n"


def _boundary(id: str, parts: list[bytes]) -> str:
    """Return a boundary that no part has; it depends on the id and the parts alone."""
    number = 0
    while True:
        digest = hashlib.sha256(f"{id}/{number}".encode()).hexdigest()
        boundary = f"=_{digest[:24]}"
        if not any(boundary.encode() in part for part in parts):
            return boundary
        number += 1


def _field(name: str, value: str) -> bytes:
    return fold(name, _line(value).encode("utf-8", "replace"))


def _line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text[:_MAX_TEXT])
