"""Write the mail that notifies of a mail (RFC 5436 §2.7).

Pure. Nothing is sent about a mail that was itself made by a program.
"""

from dataclasses import dataclass
from typing import Final

from columba.common.mail.addresses import Mailbox, parse_mailboxes
from columba.common.mail.compose import AutoSubmitted, address_field, common_fields
from columba.common.mail.header import Header, field, fold
from columba.common.mail.words import decode_words
from columba.sieve.run.actions import Notify
from columba.sieve.run.message import Message
from columba.sieve.run.state import Run
from columba.sieve.run.values import clean

SUBJECT_LENGTH: Final = 256
_IMPORTANCE: Final = {
    "1": (b"X-Priority: 1 (Highest)\r\n", b"Importance: High\r\n"),
    "2": (b"X-Priority: 3 (Normal)\r\n", b"Importance: Normal\r\n"),
    "3": (b"X-Priority: 5 (Lowest)\r\n", b"Importance: Low\r\n"),
}
_DEFAULT_BODY: Final = "Notification of new message.\r\n"


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification, ready to be sent to each recipient of its action."""

    header: Header
    body: bytes


def notice_of(
    run: Run, message: Message, action: Notify, postmaster: str, host: str, id: str
) -> Notice | None:
    """Return the notification, or None if there must be none (RFC 5436 §2.7.1)."""
    for text in message.texts("auto-submitted"):
        if text.partition(";")[0].strip().lower() != "no":
            return None
    user = run.limits.options.get("sieve_user_email", "").strip(" <>")
    fields = [
        *common_fields(id, host, run.wall_s, AutoSubmitted.NOTIFIED),
        field("X-Sieve", "Columba Sieve"),
        address_field("From", (_author(action, user, postmaster),)),
    ]
    if owner := user or next((str(path) for path in run.envelope.recipients), ""):
        quoted = owner.replace("\\", "\\\\").replace('"', '\\"')
        said = f'{AutoSubmitted.NOTIFIED.value}; owner-email="{quoted}"'
        fields[2] = fold("Auto-Submitted", clean(said).encode())
    fields += [
        address_field(name, [_box(text) for text in shown])
        for name, shown in (("To", action.to), ("Cc", action.cc))
        if shown
    ]
    fields += [
        field("Subject", _subject(message, action)),
        *_IMPORTANCE.get(action.importance, _IMPORTANCE["2"]),
        *(field(name, text) for name, text in action.fields),
        b"MIME-Version: 1.0\r\n",
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
    ]
    text = _DEFAULT_BODY if action.body is None else action.body
    return Notice(Header(b"".join(fields)), _body(text))


def _author(action: Notify, user: str, postmaster: str) -> Mailbox:
    boxes = parse_mailboxes(action.sender.encode("utf-8", "replace")) if action.sender else ()
    if boxes:
        return boxes[0]
    return _box(user) if user else Mailbox("Postmaster", *postmaster.split("@", 1))


def _box(text: str) -> Mailbox:
    boxes = parse_mailboxes(text.encode("utf-8", "replace"))
    return boxes[0] if boxes else Mailbox("", text, "")


def _subject(message: Message, action: Notify) -> str:
    """RFC 5436 §2.6: :message, else what the URI says, else our own words."""
    if action.message:
        text = decode_words(clean(action.message).encode("utf-8"))
    elif action.subject:
        text = action.subject
    else:
        known = message.texts("subject")
        text = f"Notification: {known[0] if known else '(no subject)'}"
    return " ".join(text.split())[:SUBJECT_LENGTH]


def _body(text: str) -> bytes:
    lines = clean(text).replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    return ("\r\n".join(lines) + "\r\n").encode("utf-8")
