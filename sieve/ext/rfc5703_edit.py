"""replace and enclose (RFC 5703 §5, §6): change what a message holds.

Pure. An edit makes another message, which all later actions see, but for enclose: a redirect sends on what was
enclosed. Octets outside of what is replaced stay as they are.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from columba.common.mail.addresses import Mailbox, parse_mailboxes
from columba.common.mail.compose import address_field
from columba.common.mail.date import format_date
from columba.common.mail.header import Header, field, fold, split_message
from columba.common.mail.words import decode_words
from columba.sieve.core.fields import current_parts
from columba.sieve.ext.rfc5230_vacation import is_mailbox
from columba.sieve.lang.binding import Bound, as_strings
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import CONTENT
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import GO, Code, plain
from columba.sieve.run.envelope import parse_path
from columba.sieve.run.message import Message
from columba.sieve.run.state import Run
from columba.sieve.run.values import clean

_CONTENT: Final = "content-"
# What an enclosing message keeps unasked: where the mail has been, and its subject.
_KEPT: Final = frozenset({"return-path", "received", "delivered-to", "subject"})
_STRUCTURE: Final = frozenset({"mime-version", "content-type", "content-transfer-encoding"})
_TEXT: Final = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"


def build_replace(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5703 §5: the part of the loop gives way to a text; without a loop, the whole body."""
    if not _is_right(compiler, bound):
        return None
    text = compiler.text(bound.string(0))
    subject, sender = bound.parameter("subject"), bound.parameter("from")
    subject_text = compiler.text(subject) if subject is not None else None
    sender_text = compiler.text(sender) if sender is not None else None
    is_mime = bound.has("mime")

    def run_replace(run: Run) -> int:
        octets = clean(text.get(run)).encode("utf-8")
        head, content = _entity(octets) if is_mime else (_TEXT, octets)
        part = current_parts(run)[0]
        message = run.message
        if not part.number:
            header = _typed(message.header, head)
            if subject_text is not None:
                header = _said(_preserved(header, "Subject"), "Subject", subject_text.get(run))
            if sender_text is not None:
                header = _from(header, sender_text.get(run))
            run.message = _made(message, header, content)
        else:
            body = message.read_body()
            raw = _typed(part.header, head).raw + b"\r\n" + content.removesuffix(b"\r\n")
            body = body[: part.header_start] + raw + body[part.end :]
            run.message = _made(message, message.header, body)
        return GO

    return plain(run_replace)


def build_enclose(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5703 §6: the message becomes an attachment of a new one with a text."""
    if not _is_right(compiler, bound):
        return None
    text, subject = compiler.text(bound.string(0)), bound.parameter("subject")
    subject_text = compiler.text(subject) if subject is not None else None
    tag = bound.tags.get("headers")
    fields = compiler.texts(as_strings(tag.parameter)) if tag is not None else ()

    def run_enclose(run: Run) -> int:
        message = run.message
        inner = message.header.raw + b"\r\n" + message.read_body()
        words = clean(text.get(run)).encode("utf-8")
        boundary = b"enclosed-" + sha256(words + inner).hexdigest()[:32].encode()
        header = _outer(run, [clean(each.get(run)) for each in fields])
        if subject_text is not None:
            header = _said(header, "Subject", subject_text.get(run))
        kind = b'Content-Type: multipart/mixed; boundary="' + boundary + b'"\r\n'
        body = (
            b"--%s\r\n%s\r\n%s\r\n--%s\r\nContent-Type: message/rfc822\r\n\r\n%s\r\n--%s--\r\n"
            % (boundary, _TEXT, words.removesuffix(b"\r\n"), boundary, inner, boundary)
        )
        header = header.append(b"MIME-Version: 1.0\r\n", kind)
        run.message = _made(message, header, body, message.enclosed or message)
        return GO

    return plain(run_enclose)


def _outer(run: Run, wanted: Sequence[str]) -> Header:
    """Return the new message's fields: the trace, the subject, and what is asked for by name.

    Date and From are made when they aren't asked for: now, and the user (RFC 5703 §6). `Name: value` sets
    a field.
    """
    names = {word.strip().lower() for word in wanted if ":" not in word}
    old = run.message.header
    kept = [f.raw for f in old if f.name.lower() in (names | _KEPT) - _STRUCTURE]
    header = Header(b"".join(kept))
    if "date" not in names:
        header = header.append(fold("Date", format_date(run.wall_s).encode()))
    if "from" not in names:
        header = header.append(_user_field(run))
    for word in wanted:
        name, colon, value = word.partition(":")
        header = _said(header, name.strip(), value) if colon else header
    return header


def _user_field(run: Run) -> bytes:
    """The user runs the script; without one, who wrote the message stays its author."""
    user = parse_path(run.limits.options.get("sieve_user_email", ""))
    known = [path for path in (user, *run.envelope.recipients) if path and not path.is_null]
    if known:
        return address_field("From", (Mailbox("", known[0].local, known[0].domain),))
    return b"".join(f.raw for f in run.message.header.get_all("from"))


def _is_right(compiler: Compiler, bound: Bound) -> bool:
    node = bound.parameter("from")
    sender = compiler.text(node).constant if node is not None else None
    if node is not None and sender is not None and not is_mailbox(sender):
        compiler.error(node.at, f"the :from address '{sender[:100]}' is invalid")
        return False
    return True


def _made(
    message: Message, header: Header, body: bytes, enclosed: Message | None = None
) -> Message:
    size, enclosed = len(header.raw) + 2 + len(body), enclosed or message.enclosed
    return Message(header, size, lambda: body, message.flags, is_rewritten=True, enclosed=enclosed)


def _entity(octets: bytes) -> tuple[bytes, bytes]:
    header, content = split_message(octets)
    kept = [f.raw for f in header if f.name.lower().startswith(_CONTENT)]
    return b"".join(kept), content


def _typed(header: Header, content: bytes) -> Header:
    """Put the Content fields of a header in the place of those that are there."""
    kept = [f.raw for f in header if not f.name.lower().startswith(_CONTENT)]
    return Header(b"".join(kept)).append(content)


def _said(header: Header, name: str, text: str) -> Header:
    if not name.isascii() or not name.replace("-", "").isalnum():
        return header
    words = decode_words(clean(text).encode("utf-8"))
    return header.remove(name).append(field(name, words))


def _from(header: Header, text: str) -> Header:
    boxes = parse_mailboxes(clean(text).encode("utf-8"))
    if not boxes:
        return header
    return _preserved(header, "From").remove("From").append(address_field("From", boxes))


def _preserved(header: Header, name: str) -> Header:
    """RFC 5703 §5: the field that gives way stays under another name."""
    known = [b"Original-" + f.raw for f in header.get_all(name)]
    return header.append(*known)


_TEXT_ARGUMENT: Final = (Positional(Kind.STRING, "text"),)
REPLACE: Final = Extension(
    "replace",
    words=(
        Word(
            "replace",
            False,
            build_replace,
            _TEXT_ARGUMENT,
            (Tag("mime"), Tag("subject", takes=Kind.STRING), Tag("from", takes=Kind.STRING)),
        ),
    ),
    stages=CONTENT,
)
ENCLOSE: Final = Extension(
    "enclose",
    words=(
        Word(
            "enclose",
            False,
            build_enclose,
            _TEXT_ARGUMENT,
            (Tag("subject", takes=Kind.STRING), Tag("headers", takes=Kind.STRINGS)),
        ),
    ),
    stages=CONTENT,
)
