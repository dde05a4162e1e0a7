"""Rewrite envelope senders, so that forwarded mail passes SPF and bounces find their way back (SRS).

Pure. The forms are those of libsrs2, Mail::SRS and postsrsd, so that a server may change from one to the other with
its secret:

    SRS0=HHHH=TT=domain=local@ours          of a sender local@domain
    SRS1=HHHH=first==HHHH=TT=domain=local@ours   of a sender that the forwarder `first` rewrote before

HHHH is a keyed hash, TT the day modulo 1024. The first secret signs, all of them are accepted, so that a secret can be
replaced. Hashes are compared without regard to case, as servers on the way back change the case of local parts.
Source: Meng Weng Wong, Shevek: The Sender Rewriting Scheme (2004).
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HASH_LENGTH: Final = 4
MAX_AGE_DAYS: Final = 21
_DAYS: Final = 1024  # after which a timestamp means another day
_DAY_S: Final = 86400
_BASE32: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_SEPARATORS: Final = "=+-"
_ADDRESS_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class Srs:
    """Rewrites with these secrets; the first one signs. separator stands behind "SRS0" and "SRS1"."""

    secrets: tuple[bytes, ...]
    hash_length: int = HASH_LENGTH
    max_age_days: int = MAX_AGE_DAYS
    separator: str = "="

    def forward(self, address: str, domain: str, now_s: float) -> str | None:
        """Return the sender to forward with, in our domain; None if there is nothing to rewrite or no secret.

        None for a quoted local part too: within another one it is no address, and no other server knows it so.
        """
        local, at, host = address.rpartition("@")
        if not at or not local or not host or not self.secrets or local.startswith('"'):
            return None
        if host.lower() == domain.lower():
            return None
        kind, rest = local[:4].upper(), local[4:]
        if kind == "SRS0" and rest[:1] in _SEPARATORS and rest:
            return f"SRS1{self.separator}{self._sign(host, rest)}={host}={rest}@{domain}"
        _, first, inner = (*rest[1:].split("=", 2), "", "")[:3]
        is_second = kind == "SRS1" and rest[:1] in _SEPARATORS
        if is_second and first and inner and inner[0] in _SEPARATORS:
            return f"SRS1{self.separator}{self._sign(first, inner)}={first}={inner}@{domain}"
        stamp = timestamp(now_s)
        signed = self._sign(stamp, host, local)
        return f"SRS0{self.separator}{signed}={stamp}={host}={local}@{domain}"

    def reverse(self, address: str, now_s: float) -> str | None:
        """Return who a rewritten address stands for; None if it is none, forged or too old."""
        local, at, _ = address.rpartition("@")
        kind, separator, rest = local[:4].upper(), local[4:5], local[5:]
        if not at or not separator or separator not in _SEPARATORS or len(address) > _ADDRESS_MAX:
            return None
        parts = rest.split("=", 3) if kind == "SRS0" else rest.split("=", 2)
        if kind == "SRS0" and len(parts) == 4:
            signed, stamp, host, user = parts
            is_right = self._is_signed(signed, stamp, host, user) and self._is_fresh(stamp, now_s)
            return f"{user}@{host}" if is_right and host and user else None
        if kind == "SRS1" and len(parts) == 3:
            signed, first, inner = parts
            is_right = self._is_signed(signed, first, inner) and inner[:1] in _SEPARATORS
            return f"SRS0{inner}@{first}" if is_right and first and inner else None
        return None

    def _sign(self, *parts: str) -> str:
        return _hash(self.secrets[0], parts)[: self.hash_length]

    def _is_signed(self, said: str, *parts: str) -> bool:
        if len(said) < self.hash_length:
            return False
        right = [_hash(secret, parts)[: len(said)].lower() for secret in self.secrets]
        return any(hmac.compare_digest(said.lower().encode(), each.encode()) for each in right)

    def _is_fresh(self, stamp: str, now_s: float) -> bool:
        if len(stamp) != 2 or any(c not in _BASE32 for c in stamp.upper()):
            return False
        day = _BASE32.index(stamp[0].upper()) * 32 + _BASE32.index(stamp[1].upper())
        age = (int(now_s // _DAY_S) - day) % _DAYS
        return age <= self.max_age_days or age == _DAYS - 1  # a clock that is a day ahead


def timestamp(now_s: float) -> str:
    """Return the two characters of a day."""
    day = int(now_s // _DAY_S) % _DAYS
    return _BASE32[day >> 5] + _BASE32[day & 31]


def is_rewritten(address: str) -> bool:
    """Tell whether an address looks rewritten, by whomever."""
    return address[:4].upper() in ("SRS0", "SRS1") and address[4:5] in tuple(_SEPARATORS)


def _hash(secret: bytes, parts: Sequence[str]) -> str:
    text = "".join(parts).lower().encode("utf-8", "surrogateescape")
    return base64.b64encode(hmac.new(secret, text, hashlib.sha1).digest()).decode()
