"""Signatures as OpenDKIM sees them."""

import time
from pathlib import Path

import pytest

from columba.common.mail.header import split_message
from columba.common.mailauth.canonical import BodyHash
from columba.delivery.signer.keys import KeyType, SigningKey, generate
from columba.delivery.signer.sign import signature_field
from tests.peers.opendkim import verify

pytestmark = [pytest.mark.peer]
HEADER = (
    b"Received: from a by b; Thu, 1 Jan 1970 00:00:00 +0000\r\nFrom: Anna <a@example.org>\r\n"
    b"To: b@example.net,\r\n\tc@example.net\r\nSubject:   two  words\r\nMessage-ID: <1@example.org>\r\n"
    b"Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
)
MAILS = {
    "usual": HEADER + b"\r\nHello \t World  \r\n\r\n  two\t\r\n\r\n",
    "twice": HEADER + b"Subject: again\r\nCc: d@example.net\r\nSender: s@example.org\r\n\r\nx\r\n",
    "empty": HEADER + b"\r\n",
    "big": HEADER + b"\r\n" + b"A line of text. \r\n" * 50000,
}


def signed(message: bytes, key: SigningKey) -> bytes:
    header, body = split_message(message)
    body_hash = BodyHash()
    for at in range(0, len(body), 65536):
        body_hash.update(body[at : at + 65536])
    return signature_field(header, body_hash.digest(), key, time.time()) + message


def verdict(folder: Path, message: bytes, key: SigningKey) -> str:
    """Return what opendkim says about a mail, the key in a file instead of DNS."""
    return verify(folder, message, {key.record_name: key.txt_record()}).text


@pytest.mark.parametrize("kind", KeyType)
@pytest.mark.parametrize("name", MAILS)
def test_opendkim_accepts_it(tmp_path: Path, kind: KeyType, name: str) -> None:
    key = generate("example.org", "sel.a", kind)
    said = verdict(tmp_path, signed(MAILS[name], key), key)
    assert "succeeded" in said
    assert "fail" not in said


@pytest.mark.parametrize("kind", KeyType)
def test_opendkim_refuses_a_changed_one(tmp_path: Path, kind: KeyType) -> None:
    key = generate("example.org", "sel", kind)
    said = verdict(tmp_path, signed(MAILS["usual"], key).replace(b"Hello", b"Hallo"), key)
    assert "succeeded" not in said
