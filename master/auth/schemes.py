"""Check a password against what a passwd-file says, in Dovecot's notation `{SCHEME}hash`, and make such hashes.

It blocks for as long as the hash was made to take: call it in a thread. Without a scheme the prefix of the
hash decides, as for crypt(3); a plain password needs `{PLAIN}` before it.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from typing import Final

import argon2
import bcrypt
from passlib.hash import md5_crypt, sha256_crypt, sha512_crypt

from columba.common.errors import ColumbaError, RemoteProtocolError
from columba.common.sasl import scram
from columba.common.sasl.dovecot import decode64
from columba.common.sasl.scram import Keys

BCRYPT_MAX: Final = 72  # bcrypt looks at no more octets, and the library refuses more
SCRAM_ITERATIONS_MAX: Final = 10_000_000
Check = Callable[[str, bytes], bool]
Make = Callable[[bytes, int], str]  # of a password, with rounds (0 = the scheme's default)


class SchemeError(ColumbaError):
    """The stored password is in no form that is known here: a mistake in the file."""


def verify(stored: str, password: bytes) -> bool:
    """Tell whether this is the password. Raises SchemeError."""
    scheme, text = split(stored)
    check = _CHECKS.get(scheme)
    if check is None:
        raise SchemeError(f"unknown password scheme {{{scheme}}}")
    try:
        return check(text, password)
    except (ValueError, TypeError, binascii.Error, argon2.exceptions.InvalidHashError) as error:
        raise SchemeError(f"malformed {{{scheme}}} password") from error


def split(stored: str) -> tuple[str, str]:
    """Return scheme in capitals and hash; CRYPT if no scheme is named."""
    if stored.startswith("{") and "}" in stored:
        scheme, _, text = stored[1:].partition("}")
        return scheme.upper(), text
    return "CRYPT", stored


def make(scheme: str, password: bytes, rounds: int = 0) -> str:
    """Return a password as it is stored, with its scheme. Raises SchemeError.

    rounds is the scheme's measure of work: iterations, or bcrypt's and argon2's cost; 0 is a sound default.
    """
    maker = _MAKERS.get(scheme.upper())
    if maker is None:
        raise SchemeError(f"no hashes are made of scheme {scheme.upper()}")
    try:
        return f"{{{scheme.upper()}}}{maker(password, rounds)}"
    except (ValueError, RemoteProtocolError, argon2.exceptions.HashingError) as error:
        raise SchemeError(str(error)) from error


def schemes() -> list[str]:
    """Return the schemes that hashes can be made of, the best first."""
    return list(_MAKERS)


def scram_keys(stored: str, hash_name: str, salt: bytes) -> Keys | None:
    """Return the keys for SCRAM; None where the stored password allows none. Raises SchemeError.

    salt is used where the password itself is stored.
    """
    scheme, text = split(stored)
    if scheme in _PLAIN:
        return scram.derive(hash_name, text, salt, scram.ITERATIONS)
    if scram.HASHES.get(scheme) == hash_name:
        return _parse_keys(scheme, text)
    return None


def keeps_plain(stored: str) -> bool:
    """Tell whether the password itself is stored. Raises SchemeError."""
    return split(stored)[0] in _PLAIN


def _parse_keys(scheme: str, text: str) -> Keys:
    """Return keys written as Dovecot does: iterations,salt,stored key,server key."""
    parts = text.split(",")
    try:
        count, (salt, stored, server) = int(parts[0]), map(decode64, parts[1:])
    except (ValueError, RemoteProtocolError) as error:
        raise SchemeError(f"malformed {{{scheme}}} password") from error
    size = hashlib.new(scram.HASHES[scheme]).digest_size
    if not 1 <= count <= SCRAM_ITERATIONS_MAX or (len(stored), len(server)) != (size, size):
        raise SchemeError(f"malformed {{{scheme}}} password")
    return Keys(salt, count, stored, server)


def _plain(text: str, password: bytes) -> bool:
    return hmac.compare_digest(text.encode(), password)


def _argon2(text: str, password: bytes) -> bool:
    try:
        return argon2.PasswordHasher().verify(text, password)
    except argon2.exceptions.VerifyMismatchError:
        return False


def _bcrypt(text: str, password: bytes) -> bool:
    return bcrypt.checkpw(password[:BCRYPT_MAX], text.encode())


def _crypt(text: str, password: bytes) -> bool:
    for prefix, check in _PREFIXES.items():
        if text.startswith(prefix):
            return check(text, password)
    raise ValueError("unknown crypt prefix")


def _sha512_crypt(text: str, password: bytes) -> bool:
    return bool(sha512_crypt.verify(password, text))


def _sha256_crypt(text: str, password: bytes) -> bool:
    return bool(sha256_crypt.verify(password, text))


def _md5_crypt(text: str, password: bytes) -> bool:
    return bool(md5_crypt.verify(password, text))


def _salted(name: str) -> Check:
    """Return the check of base64(digest + salt), as LDAP servers write it."""

    def check(text: str, password: bytes) -> bool:
        raw = base64.b64decode(text, validate=True)
        size = hashlib.new(name).digest_size
        if len(raw) < size:
            raise ValueError("too short")
        return hmac.compare_digest(hashlib.new(name, password + raw[size:]).digest(), raw[:size])

    return check


def _scram(scheme: str) -> Check:
    """Return the check of a password against SCRAM's keys."""

    def check(text: str, password: bytes) -> bool:
        keys = _parse_keys(scheme, text)
        try:
            found = scram.derive(
                scram.HASHES[scheme], password.decode(), keys.salt, keys.iterations
            )
        except (UnicodeDecodeError, RemoteProtocolError):
            return False
        return hmac.compare_digest(found.stored, keys.stored)

    return check


def _make_argon2(password: bytes, rounds: int) -> str:
    cost = rounds or argon2.DEFAULT_TIME_COST
    return argon2.PasswordHasher(time_cost=cost).hash(password)


def _make_bcrypt(password: bytes, rounds: int) -> str:
    if len(password) > BCRYPT_MAX:
        raise ValueError(f"bcrypt takes no password longer than {BCRYPT_MAX} octets")
    return bcrypt.hashpw(password, bcrypt.gensalt(rounds or 12)).decode()


def _make_crypt512(password: bytes, rounds: int) -> str:
    return str(sha512_crypt.using(rounds=rounds or 100_000).hash(password))


def _make_crypt256(password: bytes, rounds: int) -> str:
    return str(sha256_crypt.using(rounds=rounds or 100_000).hash(password))


def _make_scram(scheme: str) -> Make:
    def made(password: bytes, rounds: int) -> str:
        count = rounds or scram.ITERATIONS
        keys = scram.derive(scram.HASHES[scheme], password.decode(), os.urandom(16), count)
        parts = (keys.salt, keys.stored, keys.server)
        return ",".join([str(count), *(base64.b64encode(part).decode() for part in parts)])

    return made


def _make_salted(name: str) -> Make:
    def made(password: bytes, _rounds: int) -> str:
        salt = os.urandom(8)
        return base64.b64encode(hashlib.new(name, password + salt).digest() + salt).decode()

    return made


_PREFIXES: Final[Mapping[str, Check]] = {
    "$2": _bcrypt,
    "$6$": _sha512_crypt,
    "$5$": _sha256_crypt,
    "$1$": _md5_crypt,
    "$argon2": _argon2,
}
_PLAIN: Final = ("PLAIN", "CLEAR", "CLEARTEXT")
_CHECKS: Final[Mapping[str, Check]] = {
    **dict.fromkeys(_PLAIN, _plain),
    "ARGON2ID": _argon2,
    "ARGON2I": _argon2,
    "BLF-CRYPT": _bcrypt,
    "BCRYPT": _bcrypt,
    "CRYPT": _crypt,
    "SHA512-CRYPT": _sha512_crypt,
    "SHA256-CRYPT": _sha256_crypt,
    "MD5-CRYPT": _md5_crypt,
    "SHA256": _salted("sha256"),
    "SHA512": _salted("sha512"),
    "SSHA": _salted("sha1"),
    "SSHA256": _salted("sha256"),
    "SSHA512": _salted("sha512"),
    **{scheme: _scram(scheme) for scheme in scram.HASHES},
}
_MAKERS: Final[Mapping[str, Make]] = {
    "ARGON2ID": _make_argon2,
    "SCRAM-SHA-256": _make_scram("SCRAM-SHA-256"),
    "SCRAM-SHA-1": _make_scram("SCRAM-SHA-1"),
    "BLF-CRYPT": _make_bcrypt,
    "SHA512-CRYPT": _make_crypt512,
    "SHA256-CRYPT": _make_crypt256,
    "SSHA512": _make_salted("sha512"),
    "SSHA256": _make_salted("sha256"),
    "SSHA": _make_salted("sha1"),
    "PLAIN": lambda password, _rounds: password.decode(),
}
