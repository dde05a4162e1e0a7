"""Stored passwords: what is made checks, what is foreign checks, what is no hash is an error."""

import base64
import hashlib

import argon2
import bcrypt
import pytest
from passlib.hash import sha256_crypt, sha512_crypt

from columba.master.auth.schemes import SchemeError, make, schemes, scram_keys, verify

ROUNDS = {"SHA512-CRYPT": 1000, "SHA256-CRYPT": 1000, "BLF-CRYPT": 4, "ARGON2ID": 1}


@pytest.mark.parametrize(
    "stored",
    [
        "{PLAIN}pa:ss",
        "{ARGON2ID}" + argon2.PasswordHasher(1, 8, 1).hash("pa:ss"),
        argon2.PasswordHasher(1, 8, 1).hash("pa:ss"),
        "{BLF-CRYPT}" + bcrypt.hashpw(b"pa:ss", bcrypt.gensalt(4)).decode(),
        "{SHA512-CRYPT}" + sha512_crypt.using(rounds=1000).hash("pa:ss"),
        "{CRYPT}" + sha256_crypt.using(rounds=1000).hash("pa:ss"),
        "{SSHA256}" + base64.b64encode(hashlib.sha256(b"pa:sssalt").digest() + b"salt").decode(),
    ],
    ids=["plain", "argon2id", "argon2 alone", "bcrypt", "sha512", "sha256", "ssha256"],
)
def test_foreign_hashes(stored: str) -> None:
    assert verify(stored, b"pa:ss")
    assert not verify(stored, b"pa:st")


@pytest.mark.parametrize("scheme", schemes())
def test_what_is_made_checks(scheme: str) -> None:
    stored = make(scheme, "pä:ss".encode(), ROUNDS.get(scheme, 0))
    assert stored.startswith("{" + scheme + "}")
    assert verify(stored, "pä:ss".encode())
    assert not verify(stored, b"pa:ss")


@pytest.mark.parametrize(
    "stored",
    ["{NOPE}x", "{SSHA}!", "{SSHA}eA==", "x", "{ARGON2ID}x", "{BLF-CRYPT}x", "", "{SCRAM-SHA-256}x",
     "{SCRAM-SHA-256}4096,AA==,AA==,AA=="],
)  # fmt: skip
def test_what_is_no_hash_is_an_error(stored: str) -> None:
    with pytest.raises(SchemeError):
        verify(stored, b"x")


@pytest.mark.parametrize(("scheme", "password"), [("NOPE", b"x"), ("BLF-CRYPT", b"x" * 73)])
def test_what_is_not_made(scheme: str, password: bytes) -> None:
    with pytest.raises(SchemeError):
        make(scheme, password)


def test_keys_for_scram() -> None:
    stored = make("SCRAM-SHA-256", b"secret")
    keys = scram_keys(stored, "sha256", b"x")
    assert keys is not None and keys.iterations == 4096 and len(keys.stored) == 32
    assert scram_keys(stored, "sha1", b"x") is None
    assert scram_keys("{ARGON2ID}x", "sha256", b"x") is None
    plain = scram_keys("{PLAIN}secret", "sha1", b"salt")
    assert plain is not None and plain.salt == b"salt"
