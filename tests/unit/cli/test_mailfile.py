"""Mails go into files and come back octet for octet, with their envelopes."""

import base64
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from columba.master.cli.cmd_queue_orders import clock_s
from columba.master.cli.mailfile import Mail, MailFileError, Quoter, Reader, from_line, head
from columba.master.cli.output import Row, render, render_pages


def read(data: bytes) -> list[tuple[Mail, bytes]]:
    return [(mail, b"".join(mail.body)) for mail in Reader(io.BytesIO(data))]


def mbox(*bodies: bytes) -> bytes:
    out = b""
    for number, body in enumerate(bodies):
        quoter = Quoter()
        out += from_line("a@example.org", 0.0) + head(
            f'{{"n":{number}}}', "", "a@example.org", ["b@x"]
        )
        out += quoter.feed(b"Subject: hello\n\n")
        for at in range(0, len(body), 3):
            out += quoter.feed(body[at : at + 3])
        out += quoter.end()
    return out


lines = st.sampled_from([b"From me\n", b">From you\n", b"\n", b"text\n", b"From: x\n", b">>From\n"])


@given(st.lists(st.lists(lines, max_size=8), min_size=1, max_size=3))
def test_what_goes_into_an_mbox_comes_out_of_it(bodies: list[list[bytes]]) -> None:
    texts = [b"".join(body) for body in bodies]
    found = read(mbox(*texts))
    assert [mail.envelope.handoff for mail, _ in found] == [
        f'{{"n":{n}}}' for n in range(len(texts))
    ]
    assert [body for _, body in found] == [text.replace(b"\n", b"\r\n") for text in texts]
    assert {mail.header for mail, _ in found} == {b"Subject: hello\r\n"}


def test_a_line_of_an_mbox_begins_as_it_should() -> None:
    assert from_line("a b@x", 0.0) == b"From a_b@x Thu Jan  1 00:00:00 1970\n"
    assert from_line("", 0.0).startswith(b"From MAILER-DAEMON ")


def test_a_single_mail_of_others_says_its_envelope_in_its_own_fields() -> None:
    data = b"Return-Path: <a@x>\nDelivered-To: b@y\nSubject: hi\n there\n\nbody\r\nFrom here\n\n"
    ((mail, body),) = read(data)
    assert (mail.envelope.sender, mail.envelope.recipients) == ("a@x", ("b@y",))
    assert mail.header.endswith(b"Subject: hi\r\n there\r\n")
    assert body == b"body\r\nFrom here\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff garbage\n",
        b"X-Columba-Envelope: !!\n\nx",
        b"X-Columba-Envelope: " + base64.b64encode(b"[" * 3000) + b"\n\nx",
        b"a: " + b"b" * 600_000,
    ],
)
def test_what_is_no_mail_is_an_error(data: bytes) -> None:
    with pytest.raises(MailFileError):
        read(data)


def test_an_envelope_that_came_with_the_mail_is_none() -> None:
    """Whoever writes a mail can write our field into it; what passed a server has others before it."""
    whole = head('{"id": 1}', "", "a@example.org", ("b@example.org",))
    hostile = b"Return-Path: <c@example.org>\nDelivered-To: d@example.org\n" + whole + b"\nbody\n"
    (mail,) = list(Reader(io.BytesIO(hostile)))
    assert (mail.envelope.handoff, mail.envelope.hold) == ("", "")
    assert b"X-Columba-Envelope" not in mail.header
    (mail,) = list(Reader(io.BytesIO(whole + b"Subject: x\n\nbody\n")))
    assert mail.envelope.handoff == '{"id": 1}'


def test_a_time_is_the_next_one_or_a_date() -> None:
    now = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
    assert clock_s("18:30", now) - now.timestamp() == 1800
    assert clock_s("17:30", now) - now.timestamp() == 84_600
    assert clock_s("2026-11-23T18:00", now) - now.timestamp() == 86_400
    assert clock_s("2h", now) - now.timestamp() == 7200
    for wrong in ("25:00", "soon", "90", "2026-11-31", "2 moons", ""):
        with pytest.raises(ValueError, match=r"no time such as 2h \(from now\), 18:30 or 2026"):
            clock_s(wrong, now)
    with pytest.raises(ValueError, match="2026-11-22T17:59 is past"):
        clock_s("2026-11-22T17:59", now)


ROWS: list[Row] = [{"id": "A", "size": 1}, {"id": "BBBB", "size": None}, {"id": "C", "size": 33}]


@pytest.mark.parametrize("form", ["table", "flow", "tab", "json"])
def test_pages_are_shown_as_one_answer(form: str) -> None:
    whole = render(ROWS, form)
    assert "".join(render_pages([ROWS], form)) == whole
    assert "".join(render_pages([ROWS[:2], [], ROWS[2:]], form)).split() == whole.split()
    assert "".join(render_pages([], "json")) == "[]\n"
