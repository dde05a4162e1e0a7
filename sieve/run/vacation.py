"""Decide whether an out-of-office reply is sent, and write it (RFC 5230 §4 and §5).

Pure. Whether this sender was answered lately is not decided here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from columba.common.mail.addresses import Mailbox, parse_mailboxes
from columba.common.mail.compose import AutoSubmitted, address_field, common_fields
from columba.common.mail.header import Header, field, fold, split_message
from columba.common.mail.words import decode_words
from columba.sieve.run.actions import Vacation
from columba.sieve.run.envelope import NULL_PATH, Path, parse_path
from columba.sieve.run.message import Message
from columba.sieve.run.options import is_yes
from columba.sieve.run.state import Run
from columba.sieve.run.values import clean

SUBJECT_LENGTH: Final = 256
# RFC 5230 §4.5: only who is addressed in one of these gets a reply sent.
_ADDRESSED: Final = ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")
# RFC 5230 §4.6: never answer lists; RFC 2369, RFC 2919.
_LIST_FIELDS: Final = (
    "list-id", "list-owner", "list-subscribe", "list-post", "list-unsubscribe", "list-help",
    "list-archive",
)  # fmt: skip
_ROBOT: Final = re.compile(
    r"mailer-daemon|listserv|majordomo|postmaster-noreply|owner-.*|.*-request|.*-relay|.*-owner"
)
_ID: Final = re.compile(r"<[^<>\s]+>")


@dataclass(frozen=True, slots=True)
class ReplyMail:
    """A reply and its envelope."""

    header: Header
    body: bytes
    sender: Path
    to: Path


def reply_to(run: Run, message: Message, action: Vacation, host: str, id: str) -> ReplyMail | None:
    """Return the reply to a message, or None if it must not be answered."""
    options = run.limits.options
    to = run.envelope.sender or NULL_PATH
    if to.is_null or not to.domain or _ROBOT.fullmatch(to.local.lower()):
        return None
    if not _may_be_answered(message):
        return None
    own = own_addresses(run, action)
    if str(to).lower() in (str(path).lower() for path in own):
        return None  # one's own mail
    addressed = _addressed(message, own)
    if addressed is None and _checks_recipient(options):
        return None
    me = addressed or Mailbox("", own[0].local, own[0].domain) if own else Mailbox("", "", "")
    author = _author(action, me)
    is_named = is_yes(options, "sieve_vacation_send_from_recipient")
    sender = Path(me.local, me.domain) if is_named else NULL_PATH
    raw, body = _content(action)
    version = b"" if "MIME-Version" in Header(raw) else b"MIME-Version: 1.0\r\n"
    fields = [
        *common_fields(id, host, run.wall_s, AutoSubmitted.REPLIED),
        field("X-Sieve", "Columba Sieve"),
        address_field("From", (author,)),
        address_field("To", (_addressee(message, to, options),)),
        field("Subject", _subject(message, action, options)),
        *_references(message),
        b"Precedence: bulk\r\n",
        version,
        raw,
    ]
    return ReplyMail(Header(b"".join(fields)), body, sender, to)


def _checks_recipient(options: Mapping[str, str]) -> bool:
    if is_yes(options, "sieve_vacation_dont_check_recipient"):
        return False
    return is_yes(options, "sieve_vacation_check_recipient", default=True)


def own_addresses(run: Run, action: Vacation) -> list[Path]:
    """RFC 5230 §4.5: the addresses that are known to be the user's."""
    options = run.limits.options
    own = list(run.envelope.recipients[:1])
    if is_yes(options, "sieve_vacation_use_original_recipient") and run.envelope.original:
        own.append(run.envelope.original)
    user = options.get("sieve_user_email", "").strip(" <>")
    own += [path for text in (user, *action.addresses) if text and (path := _path(text))]
    return own


def _path(text: str) -> Path | None:
    boxes = parse_mailboxes(text.encode("utf-8", "replace"))
    return Path(boxes[0].local, boxes[0].domain) if boxes else parse_path(text)


def _may_be_answered(message: Message) -> bool:
    """RFC 5230 §4.6, RFC 3834 §2: no lists, no robots."""
    if any(message.has(name) for name in _LIST_FIELDS):
        return False
    for text in message.texts("auto-submitted"):
        if text.partition(";")[0].strip().lower() != "no":
            return False
    for text in message.texts("precedence"):
        if text.strip().lower() in {"bulk", "junk", "list"}:
            return False
    for text in message.texts("x-auto-response-suppress"):
        if {word.strip().lower() for word in text.split(",")} & {"all", "oof"}:
            return False
    return True


def _addressed(message: Message, own: list[Path]) -> Mailbox | None:
    """Return the first mailbox of the message that is one of the user's."""
    boxes = [box for name in _ADDRESSED for box in message.addresses(name)]
    for path in own:
        wanted = (path.local.lower(), path.domain.lower())
        for box in boxes:
            if (box.local.lower(), box.domain.lower()) == wanted:
                return Mailbox("", box.local, box.domain)
    return None


def _author(action: Vacation, me: Mailbox) -> Mailbox:
    boxes = parse_mailboxes(action.sender.encode("utf-8", "replace")) if action.sender else ()
    return boxes[0] if boxes else me


def _addressee(message: Message, to: Path, options: Mapping[str, str]) -> Mailbox:
    """Return the sender with the name that the message gives."""
    ignores = is_yes(options, "sieve_vacation_to_header_ignore_envelope")
    for name in ("sender", "resent-from", "from"):
        for box in message.addresses(name):
            same = (box.local, box.domain.lower()) == (to.local, to.domain.lower())
            if ignores or same:
                return box
    return Mailbox("", to.local, to.domain)


def _subject(message: Message, action: Vacation, options: Mapping[str, str]) -> str:
    if action.subject:
        text = decode_words(clean(action.subject).encode("utf-8"))
    elif message.has("subject"):
        template = options.get("sieve_vacation_default_subject_template", "") or "Auto: %{subject}"
        known = message.texts("subject")[0]
        text = re.sub(r"%\{subject\}|%\$", lambda match: known, template)
    else:
        text = options.get("sieve_vacation_default_subject", "") or "Automated reply"
    return text if len(text) <= SUBJECT_LENGTH else text[: SUBJECT_LENGTH - 1] + "\u2026"


def _references(message: Message) -> list[bytes]:
    """RFC 5322 §3.6.4; every id is kept, however many there are."""
    parent = message.header.get("message-id")
    ids = _ID.findall(parent.unfolded.decode("utf-8", "replace")) if parent else []
    if not ids:
        return []
    before = message.header.get("references") or message.header.get("in-reply-to")
    chain = _ID.findall(before.unfolded.decode("utf-8", "replace")) if before else []
    return [
        fold("In-Reply-To", ids[0].encode()),
        fold("References", " ".join([*chain, ids[0]]).encode()),
    ]


def _content(action: Vacation) -> tuple[bytes, bytes]:
    """Return (raw Content fields, body)."""
    octets = clean(action.reason).encode("utf-8")
    if action.is_mime:
        header, body = split_message(octets)
        return header.raw, body
    if octets and not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    raw = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    return raw, octets
