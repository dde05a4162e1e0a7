"""Mails of our own."""

import email
import email.policy

from hypothesis import given
from hypothesis import strategies as st

from columba.common.mail.addresses import Mailbox, parse_mailboxes
from columba.common.mail.compose import (
    AutoSubmitted,
    Written,
    address_field,
    common_fields,
    message_id,
    reply_fields,
    text_part,
)
from columba.common.mail.header import Header, field
from tests.fakes.headers import is_well_formed


def letter(text: str, subject: str = "Away") -> Written:
    anna = Mailbox("Anna, the first", "anna", "example.org")
    to = (Mailbox("Jürgen", "j", "example.net"), Mailbox("", "k", "example.net"))
    content, body = text_part(text)
    fields = [
        *common_fields("01ABC", "mail.example.org", 0.0, AutoSubmitted.REPLIED),
        address_field("From", (anna,)),
        address_field("To", to),
        field("Subject", subject),
        *reply_fields("<1@example.net>", "<0@example.net>"),
        content,
    ]
    return Written(Header(b"".join(fields)), body)


def test_a_letter() -> None:
    written = letter("I am away.\nBack soon.")
    assert written.header.raw == (
        b"Date: Thu, 1 Jan 1970 00:00:00 +0000\r\nMessage-ID: <01ABC@mail.example.org>\r\n"
        b"Auto-Submitted: auto-replied\r\n"
        b'From: "Anna, the first" <anna@example.org>\r\n'
        b"To: =?utf-8?q?J=C3=BCrgen?= <j@example.net>, k@example.net\r\nSubject: Away\r\n"
        b"In-Reply-To: <1@example.net>\r\nReferences: <0@example.net> <1@example.net>\r\n"
        b"Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n"
    )
    assert written.body == b"I am away.\r\nBack soon.\r\n"
    assert not written.is_8bit
    assert not written.is_utf8


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=3000), st.text(max_size=100))
def test_text_arrives_as_it_was_written(text: str, subject: str) -> None:
    written = letter(text, subject)
    assert is_well_formed(written.header)
    assert not written.is_8bit
    assert all(len(line) <= 998 for line in written.body.split(b"\r\n"))
    assert b"\r" not in written.body.replace(b"\r\n", b"")
    mail = email.message_from_bytes(written.header.raw + b"\r\n" + written.body)
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    got = payload.decode("utf-8").replace("\r\n", "\n").rstrip("\n")
    assert got == text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


@given(st.text(max_size=80), st.text(max_size=20))
def test_no_display_name_adds_an_address(display: str, local: str) -> None:
    raw = address_field("From", [Mailbox(display, local, "example.org")])
    header = Header(raw)
    assert len(header) == 1
    assert is_well_formed(header)
    assert len(parse_mailboxes(header.fields[0].unfolded)) <= 1


def test_parts() -> None:
    assert text_part("") == (text_part("a")[0], b"")
    assert b"quoted-printable" in text_part("x" * 2000)[0]
    assert b"quoted-printable" in text_part("ü")[0]
    assert message_id("a b>\r\n", "h") == "<ab@h>"
    assert reply_fields("no id", "<a@b>") == []
    many = " ".join(f"<{n}@x>" for n in range(50))
    assert reply_fields("<p@x>", many)[1].count(b"@x>") == 11
