"""MIME structure, against the standard library and against nonsense."""

import email
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from columba.common.mail.header import Header, split_message
from columba.common.mail.mime import (
    ContentType,
    decode_content,
    leaves,
    parse_content_type,
    parse_parameters,
    walk,
)

MAIL = b"""From: a@example.org
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="o"

preamble
--o
Content-Type: multipart/alternative; boundary=i

--i

plain
--i
Content-Type: text/html; charset=ISO-8859-1
Content-Transfer-Encoding: quoted-printable

<p>gr=FCn=
</p>
--i--
--o
Content-Type: message/rfc822

Subject: inner
Content-Type: text/plain

inner text
--o
Content-Type: application/pdf; name="x.pdf"
Content-Transfer-Encoding: BASE64 (really)
Content-Disposition: attachment;
 filename*0*=utf-8''gr%C3%BC;
 filename*1=n.pdf

SGVs
bG8=
--o--
epilogue
""".replace(b"\n", b"\r\n")


def test_a_structure() -> None:
    header, body = split_message(MAIL)
    structure = walk(header, body)
    assert structure.is_complete
    assert [(p.number, p.content_type.name, p.depth) for p in structure.parts] == [
        ("", "multipart/mixed", 0),
        ("1", "multipart/alternative", 1),
        ("1.1", "text/plain", 2),
        ("1.2", "text/html", 2),
        ("2", "message/rfc822", 1),
        ("2.1", "text/plain", 2),
        ("3", "application/pdf", 1),
    ]
    plain, html, inner, pdf = leaves(structure)
    assert plain.content(body) == b"plain"
    assert html.text(body) == "<p>grün</p>"
    assert inner.header.text("Subject") == "inner"
    assert inner.content(body) == b"inner text"
    assert pdf.decoded(body) == b"Hello"
    assert (pdf.disposition, pdf.file_name, pdf.encoding) == (
        "attachment",
        "grün.pdf",
        ["base64", "(really)"][0],
    )
    for part in structure.parts[1:]:
        assert body[part.header_start : part.start].startswith(part.header.raw)


@pytest.mark.parametrize(
    ("value", "name", "parameters"),
    [
        (b"Text/HTML; CharSet=utf-8", "text/html", {"charset": "utf-8"}),
        (
            b'multipart/mixed; boundary="a;b\\"c"; x=y',
            "multipart/mixed",
            {"boundary": 'a;b"c', "x": "y"},
        ),
        (
            b"text/plain (a comment); charset=us-ascii (another)",
            "text/plain",
            {"charset": "us-ascii"},
        ),
        (b'a/b; n="=?utf-8?q?gr=C3=BCn?="', "a/b", {"n": "grün"}),
        (b"a/b; t*=us-ascii'en-us'This%20is%20fun; z=1", "a/b", {"t": "This is fun", "z": "1"}),
        (b"a/b; u*1=b; u*0=a; u*3=d", "a/b", {"u": "ab"}),
        (b"a/b;;; =; c=d", "a/b", {"c": "d"}),
        (b"nonsense", "text/plain", {}),
        (b"", "text/plain", {}),
    ],
)
def test_content_types(value: bytes, name: str, parameters: dict[str, str]) -> None:
    found = parse_content_type(value)
    assert (found.name, found.parameters) == (name, parameters)


@pytest.mark.parametrize(
    ("content", "encoding", "decoded"),
    [
        (b"SGVsbG8=", "base64", b"Hello"),
        (b"SGVs\r\n bG8", "base64", b"Hello"),
        (b"S!G?V=", "base64", b"He"),
        (b"S", "base64", b""),
        (b"a=3Db=\r\nc", "quoted-printable", b"a=bc"),
        (b"a=3D", "7bit", b"a=3D"),
        (b"a=3D", "x-unknown", b"a=3D"),
    ],
)
def test_decoding(content: bytes, encoding: str, decoded: bytes) -> None:
    assert decode_content(content, encoding) == decoded


def test_a_digest_holds_mails() -> None:
    header = Header(b"Content-Type: multipart/digest; boundary=x\r\n")
    structure = walk(header, b"--x\r\n\r\nSubject: a\r\n\r\nb\r\n--x--\r\n")
    assert [p.content_type.name for p in structure.parts] == [
        "multipart/digest",
        "message/rfc822",
        "text/plain",
    ]
    assert structure.parts[2].header.text("Subject") == "a"


def test_bounds() -> None:
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
        for n in range(2000)
    )
    header, body = split_message(deep)
    structure = walk(header, body)
    assert not structure.is_complete
    assert len(structure.parts) == 33
    wide = walk(Header(b"Content-Type: multipart/mixed; boundary=x\r\n"), b"--x\r\n\r\n\r\n" * 5000)
    assert not wide.is_complete
    assert len(wide.parts) == 1000


def test_long_bodies_take_linear_time() -> None:
    header = Header(b"Content-Type: multipart/mixed; boundary=x\r\n")
    start = time.perf_counter()
    for evil in (
        b"--x" * 300_000,
        b"\r\n--x \t" * 100_000,
        b"--x\r\nA" * 1000 + b":" * 500_000,
        b"\r\n" * 500_000,
    ):
        walk(header, evil)
    for value in (
        b"a/b" + b";a=" * 5000,
        b'a/b;a="' + b'\\"' * 8000,
        b"(" * 16000,
        b"a/b; " + b" " * 16000,
    ):
        parse_content_type(value)
    assert time.perf_counter() - start < 4


pieces = st.sampled_from(
    [b"--x\r\n", b"--x--\r\n", b"\r\n", b"--y\r\n", b"--y--", b"text", b"Content-Type: multipart/mixed; boundary=y\r\n",
     b"Content-Type: message/rfc822\r\n", b"Content-Transfer-Encoding: base64\r\n", b"\xff", b" "]
)  # fmt: skip


@given(st.lists(pieces, max_size=30).map(b"".join))
def test_any_body_is_walked(body: bytes) -> None:
    header = Header(b"Content-Type: multipart/mixed; boundary=x\r\n")
    for part in walk(header, body).parts:
        assert 0 <= part.start <= part.end <= len(body)
        assert part.header_start <= part.start
        assert isinstance(part.text(body), str)
        assert isinstance(part.file_name, str)


@given(st.binary(max_size=200))
def test_any_value_is_read(value: bytes) -> None:
    assert isinstance(parse_content_type(value), ContentType)
    assert isinstance(parse_parameters(value), dict)


texts = st.text("abc -\t", max_size=20).map(str.encode)


@given(st.lists(texts, min_size=1, max_size=5))
def test_parts_are_those_of_the_standard_library(contents: list[bytes]) -> None:
    body = b"".join(b"--Z\r\n\r\n" + content + b"\r\n" for content in contents) + b"--Z--\r\n"
    header = Header(b'Content-Type: multipart/mixed; boundary="Z"\r\n')
    known = email.message_from_bytes(header.raw + b"\r\n" + body)
    assert [p.content(body) for p in leaves(walk(header, body))] == contents
    assert len(known.get_payload()) == len(contents)
