"""Write a report about a message: three parts for people, for programs, and the message (RFC 5965 §2).

Pure.
"""

from hashlib import sha256

from columba.common.mail.addresses import Mailbox
from columba.common.mail.compose import AutoSubmitted, address_field, common_fields
from columba.common.mail.date import format_date
from columba.common.mail.header import field, fold
from columba.sieve.run.actions import SendReport
from columba.sieve.run.envelope import NULL_PATH, parse_path
from columba.sieve.run.message import Message
from columba.sieve.run.state import Run


def report_of(
    run: Run, message: Message, action: SendReport, author: Mailbox, host: str, id: str
) -> bytes:
    """Return the report, header and body."""
    boundary = "report-" + sha256(f"{id}@{host}".encode()).hexdigest()[:32]
    to = parse_path(action.address) or NULL_PATH
    header = b"".join(
        [
            *common_fields(id, host, run.wall_s, AutoSubmitted.GENERATED),
            field("X-Sieve", "Columba Sieve"),
            address_field("From", (author,)),
            address_field("To", (Mailbox("", to.local, to.domain),)),
            field("Subject", f"Report: {_subject(message)}"),
            b"MIME-Version: 1.0\r\n",
            b"Content-Type: multipart/report; report-type=feedback-report;\r\n"
            b'\tboundary="' + boundary.encode() + b'"\r\n',
        ]
    )
    parts = [
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        + action.text.encode("utf-8"),
        b"Content-Type: message/feedback-report\r\n\r\n" + _facts(run, action),
        _returned(message, action),
    ]
    mark = b"--" + boundary.encode()
    body = b"".join(mark + b"\r\n" + part.removesuffix(b"\r\n") + b"\r\n" for part in parts)
    return header + b"\r\n" + body + mark + b"--\r\n"


def _subject(message: Message) -> str:
    known = message.texts("subject")
    return known[0] if known else "(no subject)"


def _facts(run: Run, action: SendReport) -> bytes:
    sender = run.envelope.sender or NULL_PATH
    fields = [
        b"Version: 1\r\n",
        fold("Feedback-Type", action.feedback.encode()),
        b"User-Agent: Columba Sieve\r\n",
        fold("Original-Mail-From", f"<{sender}>".encode()),
        *(fold("Original-Rcpt-To", f"<{to}>".encode()) for to in run.envelope.recipients),
        fold("Arrival-Date", format_date(run.wall_s).encode()),
    ]
    return b"".join(fields)


def _returned(message: Message, action: SendReport) -> bytes:
    header = message.header.raw
    if action.is_short:
        return b"Content-Type: text/rfc822-headers\r\n\r\n" + header
    return b"Content-Type: message/rfc822\r\n\r\n" + header + b"\r\n" + message.read_body()
