"""Eight bits to seven: the same mail for a reader."""

import email
import email.message
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from columba.common.mail.header import Header, split_message
from columba.delivery.signer.sevenbit import to_seven_bits
from tests.fakes.headers import is_well_formed

MIXED = (
    b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n%b\r\n"
    b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\xff\xfe\r\n\x80\r\n"
    b"--b\r\n\r\nplain  text \r\n"
    b"--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"Subject: in\r\n\r\n\xfc\r\n--b--\r\n"
)


def contents(message: bytes) -> list[bytes]:
    found = []
    for part in email.message_from_bytes(message).walk():
        if not part.is_multipart():
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            found.append(payload)
    return found


def rewritten(message: bytes) -> bytes:
    result = to_seven_bits(*split_message(message))
    assert result is not None
    header, body = result
    assert is_well_formed(header)
    return header.raw + b"\r\n" + body


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=300),
    st.integers(0, 3),
)
def test_every_part_reads_the_same(line: str, count: int) -> None:
    text = "\r\n".join([line + "ü"] + [line] * count).encode()
    message = MIXED.replace(b"%b", text)
    after = rewritten(message)
    assert after.isascii()
    assert all(len(row) <= 998 for row in after.split(b"\r\n"))
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", after)
    assert contents(after)[0].replace(b"\r\n", b"\n") == text.replace(b"\r\n", b"\n")
    assert contents(after)[1] == b"\xff\xfe\r\n\x80"
    assert b"--b\r\n\r\nplain  text \r\n--b" in after
    assert "8bit" in line or b"8bit" not in after


def test_a_mail_of_one_part() -> None:
    after = rewritten(b"From: a@example.org\r\n\r\ngr\xc3\xbcn = x \r\n")
    assert after == (
        b"From: a@example.org\r\nContent-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n\r\n"
        b"gr=C3=BCn =3D x=20\r\n"
    )
    assert rewritten(b"A: b\r\n\r\nascii\r\n") == b"A: b\r\n\r\nascii\r\n"


@pytest.mark.parametrize(
    "message",
    [
        "Subject: grün\r\n\r\nx".encode(),
        b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xff\r\n--b--\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\npre\xff\r\n--b\r\n\r\nx\r\n--b--\r\n",
        b"Content-Transfer-Encoding: base64\r\n\r\n\xff\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: \xff\r\n\r\n\xff\r\n--b--\r\n",
    ],
)
def test_what_would_break_is_left(message: bytes) -> None:
    assert to_seven_bits(*split_message(message)) is None


@given(st.binary(max_size=300))
def test_any_body(body: bytes) -> None:
    result = to_seven_bits(
        Header(b"Content-Type: multipart/mixed; boundary=b\r\n"), b"--b\r\n" + body
    )
    assert result is None or result[1].isascii()
