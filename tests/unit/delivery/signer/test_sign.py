"""Signatures: what dkimpy says of them, and canonicalisation against dkimpy's."""

import base64
import hashlib
import re
import time
from itertools import pairwise

import dkim
import pytest
from dkim.canonicalization import Relaxed
from hypothesis import given, settings
from hypothesis import strategies as st

from columba.common.mail.header import Header, split_message
from columba.common.mailauth.canonical import BodyHash, relaxed_field
from columba.delivery.signer.keys import KeyType, SigningKey, generate
from columba.delivery.signer.sign import signature_field, signed_names

KEYS = {kind: generate("example.org", "s1", kind) for kind in KeyType}
HEADER = (
    b"Received: from a by b; Thu, 1 Jan 1970 00:00:00 +0000\r\nFrom: Anna <a@example.org>\r\n"
    b"To: b@example.net\r\nSubject:  two\r\n\twords  \r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
    b"MIME-Version: 1.0\r\n"
)
BODY = b"Hello \t World  \r\n\r\n  two\t\r\n\r\n\r\n"
pieces = st.sampled_from(
    [b"\r\n", b" ", b"\t", b"a", b"b c", b"\r", b"\n", b"\xff", b"\r\n\r\n", b"  "]
)
bodies = st.lists(pieces, max_size=40).map(b"".join)


def hashed(*chunks: bytes) -> bytes:
    body = BodyHash()
    for chunk in chunks:
        body.update(chunk)
    return body.digest()


def signed(header: bytes, body: bytes, key: SigningKey) -> bytes:
    parsed = Header(header)
    field = signature_field(parsed, hashed(body), key, time.time())
    return field + header + b"\r\n" + body


def is_good(message: bytes, key: SigningKey) -> bool:
    def record(name: bytes, timeout: int = 5) -> bytes:
        assert name == b"s1._domainkey.example.org."
        return key.txt_record().encode()

    try:
        return bool(dkim.DKIM(message).verify(dnsfunc=record))
    except dkim.ValidationError:
        return False


@pytest.mark.parametrize("kind", KeyType)
@pytest.mark.parametrize(
    "body",
    [
        BODY,
        b"",
        b"\r\n",
        b"\r\n\r\n\r\n",
        b"x\r\n",
        b".\r\n..\r\n",
        b"a  \r\n" * 40000,
        b"\x00\xff\r\n",
    ],
    ids=["usual", "empty", "line", "lines", "x", "dots", "big", "binary"],
)
def test_dkimpy_accepts_it(kind: KeyType, body: bytes) -> None:
    assert is_good(signed(HEADER, body, KEYS[kind]), KEYS[kind])


@pytest.mark.parametrize(
    "header",
    [
        b"From: a@example.org\r\n",
        b"FROM:a@example.org\r\nsubject:\r\nTo:\r\n \tb@example.net\r\n",
        HEADER + b"Subject: a second one\r\nTo: a third\r\n",
        b"X: " + b"\r\n ".join([b"y"] * 300) + b"\r\nFrom: =?utf-8?q?=C3=BC?= <a@example.org>\r\n",
        "From: ü <ü@example.org>\r\nSubject: grün\r\n".encode(),
        b"From: a@example.org\r\nReferences: " + b"<a@b>\r\n " * 50 + b"<c@d>\r\n",
        b"List-Id: <a.example>\r\nSender: c@d\r\nResent-From: x@y\r\nFrom: a@example.org\r\n",
    ],
)
def test_odd_headers(header: bytes) -> None:
    for key in KEYS.values():
        message = signed(header, BODY, key)
        assert is_good(message, key)
        assert max(map(len, split_message(message)[0].fields[0].raw.split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Hello", b"Hallo"),
        (b"words", b"swords"),
        (b"MIME-Version: 1.0", b"MIME-Version: 1.1"),
        (b"Date:", b"Reply-To: evil@example.net\r\nDate:"),
        (b"Date:", b"Subject: evil\r\nDate:"),
        (b"Date:", b"From: evil@example.net\r\nDate:"),
        (b"Date:", b"Content-Type: text/html\r\nDate:"),
        (b"\tbh=", b"\ti=@example.org; bh="),
    ],
)
def test_changes_break_it(old: bytes, new: bytes) -> None:
    for key in KEYS.values():
        message = signed(HEADER, BODY, key)
        assert old in message
        assert not is_good(message.replace(old, new), key)


def test_relays_may_fold_anew_and_add_trace_fields() -> None:
    message = signed(HEADER, BODY, KEYS[KeyType.RSA_2048])
    changed = b"Received: from x by y\r\n" + message.replace(b"two\r\n\twords", b"two words")
    assert is_good(changed, KEYS[KeyType.RSA_2048])


def test_two_signatures_stand_side_by_side() -> None:
    digest = hashed(BODY)
    fields = [signature_field(Header(HEADER), digest, key, 0, 86400) for key in KEYS.values()]
    message = b"".join(fields) + HEADER + b"\r\n" + BODY
    for number, key in enumerate(KEYS.values()):
        text = key.txt_record().encode()
        parsed = dkim.DKIM(message)
        # The past expiry is seen, so it was read; the rest of the signature is not in doubt.
        with pytest.raises(dkim.ValidationError, match="past"):
            parsed.verify(idx=number, dnsfunc=lambda name, timeout=5, text=text: text)
    assert b" x=86400;" in fields[0]


def test_every_protected_field_is_signed_once_more_than_it_occurs() -> None:
    names = signed_names(Header(HEADER + b"To: c\r\nSender: d\r\n"))
    assert names.count("to") == 3
    assert names.count("reply-to") == 1
    assert names.count("sender") == 1
    assert "received" not in names


def reference(body: bytes) -> bytes:
    return hashlib.sha256(Relaxed.canonicalize_body(body)).digest()


@given(bodies)
def test_the_body_hash_is_dkimpys(body: bytes) -> None:
    # dkimpy does not know that SMTP ends the last line: give it what stands on the wire.
    on_the_wire = body if body.endswith(b"\r\n") or not body else body + b"\r\n"
    assert hashed(body) == reference(on_the_wire)


@given(bodies, st.lists(st.integers(0, 80), max_size=6))
def test_chunks_do_not_matter(body: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    chunks = [body[a:b] for a, b in pairwise(edges)]
    assert hashed(*chunks) == hashed(body)
    assert hashed(*[body[i : i + 1] for i in range(len(body))]) == hashed(body)


@given(
    st.lists(st.sampled_from([b" ", b"\t", b"\r\n ", b"a", b":", b"\xc3\xbc"]), max_size=20).map(
        b"".join
    )
)
def test_the_header_is_dkimpys(value: bytes) -> None:
    raw = b"SubJect \t:" + value + b"\r\n"
    ((name, text),) = Relaxed.canonicalize_headers([(b"SubJect \t", value + b"\r\n")])
    assert relaxed_field(Header(raw).fields[0]) == name + b":" + text


@settings(max_examples=30)
@given(
    bodies,
    st.lists(st.sampled_from([b"Subject: x\r\n", b"To:\r\n y\r\n", b"X: z\r\n", b"cc:\t\r\n"])),
)
def test_any_mail_is_signed_well(body: bytes, fields: list[bytes]) -> None:
    header = b"".join(fields) + b"From: a@example.org\r\n"
    body = re.sub(rb"\r(?!\n)|(?<!\r)\n", b"", body) + b"\r\n"
    key = KEYS[KeyType.ED25519]
    assert is_good(signed(header, body, key), key)


@pytest.mark.parametrize("evil", [b" ", b"\t \r\n", b"\r\n", b" x", b"\r", b"\n", b" \r"])
def test_a_megabyte_of_anything_takes_linear_time(evil: bytes) -> None:
    body = evil * (1_000_000 // len(evil))
    start = time.perf_counter()
    hashed(*[body[at : at + 65536] for at in range(0, len(body), 65536)])
    assert time.perf_counter() - start < 1


def test_speed_is_printed() -> None:
    header = Header(HEADER * 1 + b"X-A: some more\r\n" * 8)
    body = b"An ordinary line of text, as mail has them, of usual length.\r\n" * 160
    for kind, key in KEYS.items():
        start = time.perf_counter()
        for _ in range(50):
            signature_field(Header(header.raw), hashed(body), key, 0)
        print(
            f"sign {kind.value}, {len(body)} octets: {(time.perf_counter() - start) / 50 * 1e6:.0f} µs"
        )
    raw = base64.b64decode(b"".join(split_message(signed(HEADER, BODY, KEYS[KeyType.RSA_2048]))[0]
                                    .fields[0].raw.rpartition(b"b=")[2].split()))  # fmt: skip
    assert len(raw) == 256
