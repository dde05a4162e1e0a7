"""Signatures as OpenDKIM sees them, and those of OpenDKIM as we see them."""

import time
from pathlib import Path

import pytest

from columba.common.mail.header import split_message
from columba.common.mailauth.canonical import BodyHash
from columba.common.mailauth.dkim import check_dkim
from columba.common.mailauth.result import Verdict
from columba.delivery.signer.keys import KeyType, SigningKey, generate, save
from columba.delivery.signer.sign import signature_field
from tests.fakes.zone import Zone, bodies
from tests.peers.opendkim import sign, verify

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


def checked(message: bytes, key: SigningKey) -> tuple[Verdict, str]:
    """Return what our own check says of the only signature."""
    header, body = split_message(message)
    zone = Zone({(key.record_name, "txt"): (key.txt_record(),)}, body=bodies([body]))
    (found,) = zone.drive(check_dkim(header))
    return found.verdict, found.domain


@pytest.mark.parametrize("kind", KeyType)
@pytest.mark.parametrize("name", MAILS)
def test_our_own_check_accepts_what_we_sign(kind: KeyType, name: str) -> None:
    key = generate("example.org", "sel.a", kind)
    assert checked(signed(MAILS[name], key), key) == (Verdict.PASS, "example.org")


@pytest.mark.parametrize("form", ["relaxed/relaxed", "relaxed/simple"])
@pytest.mark.parametrize("name", MAILS)
def test_what_opendkim_signs_is_accepted(tmp_path: Path, form: str, name: str) -> None:
    key = generate("example.org", "sel", KeyType.RSA_2048)
    message = sign(tmp_path, MAILS[name], "example.org", save(tmp_path, key), form)
    assert checked(message, key) == (Verdict.PASS, "example.org")
    forged = message.replace(b"From: Anna", b"From: Anne")
    assert checked(forged, key) == (Verdict.FAIL, "example.org")
