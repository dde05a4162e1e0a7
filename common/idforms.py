"""The forms of message ids (ULID) and recipient numbers.

Pure. Recipient numbers are "1", "2", …; what an alias or a redirect adds to recipient 3 is "3.1", "3.2", …
(promises: each (id, number) is stored once).
Source: the ULID specification (48 bits of milliseconds, 80 random bits, Crockford's base 32).
"""

import hashlib
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
ID_LENGTH: Final = 26


def derived_id(*parts: str) -> str:
    """Return an id that depends on the parts alone, with the time of the first part's id.

    Used for mail that must be made exactly once although its maker may crash (a DSN).
    """
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return parts[0][:10] + encode(int.from_bytes(digest[:10], "big"))[10:]


def is_id(text: str) -> bool:
    """Tell whether text has the form of an id (so that it may be part of a file name)."""
    return len(text) == ID_LENGTH and all(c in _ALPHABET for c in text)


def made_s(id: str) -> float:
    """Return when an id was made, in seconds since 1970; what stands behind its time does not count. 0: it is none."""
    digits = id[:10]
    if len(digits) < 10 or not all(c in _ALPHABET for c in digits):
        return 0.0
    milliseconds = 0
    for digit in digits:
        milliseconds = milliseconds * 32 + _ALPHABET.index(digit)
    return milliseconds / 1000


def is_number(text: str) -> bool:
    """Tell whether text has the form of a recipient number: "3", "3.1", "3.1.2"."""
    return 0 < len(text) <= 40 and all(p.isascii() and p.isdigit() for p in text.split("."))


def ancestors(number: str) -> tuple[str, ...]:
    """Return the numbers that this one was split from, the oldest first: "3.1.2" → ("3", "3.1")."""
    parts = number.split(".")
    return tuple(".".join(parts[:n]) for n in range(1, len(parts)))


def encode(value: int) -> str:
    """Return 130 bits in Crockford's base 32."""
    return "".join(_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10))
