"""Check a password against what a passwd-file says, in Dovecot's notation `{SCHEME}hash`.

It blocks for as long as the hash was made to take: call it in a thread. Without a scheme the prefix of the
hash decides, as for crypt(3); a plain password needs `{PLAIN}` before it.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final

import argon2
import bcrypt
from passlib.hash import md5_crypt, sha256_crypt, sha512_crypt

from columba.common.errors import ColumbaError

BCRYPT_MAX: Final = 72  # bcrypt looks at no more octets, and the library refuses more
Check = Callable[[str, bytes], bool]


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


_PREFIXES: Final[Mapping[str, Check]] = {
    "$2": _bcrypt,
    "$6$": _sha512_crypt,
    "$5$": _sha256_crypt,
    "$1$": _md5_crypt,
    "$argon2": _argon2,
}
_CHECKS: Final[Mapping[str, Check]] = {
    "PLAIN": _plain,
    "CLEAR": _plain,
    "CLEARTEXT": _plain,
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
}
