"""replace and enclose (RFC 5703 §5, §6): change what a message holds.

Pure. An edit makes another message. Octets outside of what is replaced stay as they are.
"""

from hashlib import sha256
from typing import Final

from columba.common.mail.addresses import parse_mailboxes
from columba.common.mail.compose import address_field
from columba.common.mail.header import Header, field, split_message
from columba.common.mail.words import decode_words
from columba.sieve.core.fields import current_parts
from columba.sieve.ext.rfc5230_vacation import is_mailbox
from columba.sieve.lang.binding import Bound, as_strings
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import CONTENT
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import GO, Code, plain
from columba.sieve.run.message import Message
from columba.sieve.run.state import Run
from columba.sieve.run.values import clean

_CONTENT: Final = "content-"
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
                header = _said(header, "Subject", subject_text.get(run))
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
        kept = [f.raw for f in message.header if not f.name.lower().startswith(_CONTENT)]
        header = Header(b"".join(kept)).remove("MIME-Version")
        if subject_text is not None:
            header = _said(header, "Subject", subject_text.get(run))
        for each in fields:
            name, _, value = clean(each.get(run)).partition(":")
            header = _said(header, name.strip(), value)
        kind = b'Content-Type: multipart/mixed; boundary="' + boundary + b'"\r\n'
        body = (
            b"--%s\r\n%s\r\n%s\r\n--%s\r\nContent-Type: message/rfc822\r\n\r\n%s\r\n--%s--\r\n"
            % (boundary, _TEXT, words.removesuffix(b"\r\n"), boundary, inner, boundary)
        )
        run.message = _made(message, header.append(b"MIME-Version: 1.0\r\n", kind), body)
        return GO

    return plain(run_enclose)


def _is_right(compiler: Compiler, bound: Bound) -> bool:
    node = bound.parameter("from")
    sender = compiler.text(node).constant if node is not None else None
    if node is not None and sender is not None and not is_mailbox(sender):
        compiler.error(node.at, f"the :from address '{sender[:100]}' is invalid")
        return False
    return True


def _made(message: Message, header: Header, body: bytes) -> Message:
    size = len(header.raw) + 2 + len(body)
    return Message(header, size, lambda: body, message.flags, is_rewritten=True)


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
    return header.remove("From").append(address_field("From", boxes)) if boxes else header


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
