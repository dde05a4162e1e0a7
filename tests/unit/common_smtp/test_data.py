"""Dots, bare newlines, and where the header ends."""

import pytest

from columba.common.errors import LocalProtocolError
from columba.common.smtp.data import BareNewline, DataReceiver, DataSender, HeaderCut


def receive(
    text: bytes, size: int, mode: BareNewline = BareNewline.REJECT
) -> tuple[bytes, bytes, DataReceiver]:
    receiver, out = DataReceiver(10_000, mode), b""
    for at in range(0, len(text), size):
        content, rest = receiver.feed(text[at : at + size])
        out += content
        if rest is not None:
            return out, rest + text[at + size :], receiver
    raise AssertionError("no end was found")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"...\r\n..a\r\n.b\r\n.\r\n", b"..\r\n.a\r\nb\r\n"),
        (b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
    ],
)
def test_dots(wire: bytes, message: bytes, size: int) -> None:
    out, rest, receiver = receive(wire + b"REST", size)
    assert (out, rest) == (message, b"REST")
    assert not receiver.bare_newline and receiver.size == len(message)


@pytest.mark.parametrize("size", [1, 2, 7, 100])
@pytest.mark.parametrize(
    "wire",
    [b"a\n.\r\nb", b"a\r\n.\nb", b"\n.\n", b"a\r.\rb", b"a\n\r.\r\nb", b"\r.\r\n", b"a\r", b"\n"],
)
def test_only_crlf_dot_crlf_ends(wire: bytes, size: int) -> None:
    _, rest, receiver = receive(wire + b"\r\n.\r\nREST", size)
    assert rest == b"REST" and receiver.bare_newline


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_normalize(size: int) -> None:
    out, _, receiver = receive(b"a\nb\rc\r\n.d\n.\n\r\n.\r\n", size, BareNewline.NORMALIZE)
    assert out == b"a\r\nb\r\nc\r\nd\r\n.\r\n\r\n" and not receiver.bare_newline


def test_past_the_limit_nothing_is_kept_but_the_end_is_found() -> None:
    receiver = DataReceiver(5)
    assert receiver.feed(b"abcdefgh") == (b"", None)
    assert receiver.feed(b"x\r\n.\r\nREST") == (b"", b"REST")
    assert receiver.too_big


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (b"", b".\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
        (b"a\r\n.b\r\n..\r\n", b"a\r\n..b\r\n...\r\n.\r\n"),
        (b"no end", b"no end\r\n.\r\n"),
    ],
)
def test_stuffing(message: bytes, wire: bytes, size: int) -> None:
    sender = DataSender()
    out = b"".join(sender.send(message[at : at + size]) for at in range(0, len(message), size))
    assert out + sender.finish() == wire


@pytest.mark.parametrize("message", [b"a\nb", b"a\rb", b"a\r", b"a\r\r\n"])
@pytest.mark.parametrize("size", [1, 100])
def test_no_bare_newline_leaves(message: bytes, size: int) -> None:
    sender = DataSender()
    with pytest.raises(LocalProtocolError):
        for at in range(0, len(message), size):
            sender.send(message[at : at + size])
        sender.finish()


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("message", "header", "body"),
    [
        (b"A: b\r\n\r\nbody\r\n", b"A: b\r\n", b"body\r\n"),
        (b"A: b\r\n c\r\nD: e\r\n\r\n\r\n", b"A: b\r\n c\r\nD: e\r\n", b"\r\n"),
        (b"\r\nbody", b"", b"body"),
        (b"", b"", b""),
        (b"A: b\r\n", b"A: b\r\n", b""),
        (b"no header\r\n\r\nA: b\r\n", b"", b"no header\r\n\r\nA: b\r\n"),
        (b"A: b\r\nno field\r\nC: d\r\n\r\nx", b"A: b\r\n", b"no field\r\nC: d\r\n\r\nx"),
        (b" A: b\r\n\r\nx", b"", b" A: b\r\n\r\nx"),
        (b"A : b\r\n\r\nx", b"A : b\r\n", b"x"),
        (b"Only a line\r\n", b"", b"Only a line\r\n"),
    ],
)
def test_header_cut(message: bytes, header: bytes, body: bytes, size: int) -> None:
    cut = HeaderCut()
    out = b"".join(cut.feed(message[at : at + size]) for at in range(0, len(message), size))
    out += cut.finish()
    assert (cut.header, out) == (header, body)


def test_header_past_the_limit() -> None:
    cut = HeaderCut(limit=100)
    for _ in range(20):
        assert cut.feed(b"Field: value\r\n") == b""
    assert cut.too_big and cut.finish() == b"" and cut.header == b""


def test_no_header_past_the_limit_is_body() -> None:
    cut, text = HeaderCut(limit=100), b"words and no field\r\n" * 20
    assert cut.feed(text) + cut.finish() == text
    assert not cut.too_big
