"""Comparators (RFC 4790, RFC 5051, RFC 5228 §2.7.3).

Pure. `fold` maps a text so that texts which are equal under the comparator become the same; `rank` gives
something ordered. A comparator with substrings folds each character by itself, to at least one: so places
in the folded text can be found again in the original.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_ASCII_LOWER: Final = {c: c + 32 for c in range(ord("A"), ord("Z") + 1)}
_NO_NUMBER: Final = 2**200  # RFC 4790 §9.1.1: what does not begin with a digit is positive infinity
_DIGITS: Final = 60  # more are as good as infinite

Rank = bytes | int


@dataclass(frozen=True, slots=True)
class Comparator:
    """has_substring: :contains and :matches may be used with it."""

    name: str
    fold: Callable[[str], str]
    rank: Callable[[str], Rank]
    has_substring: bool = True


def fold_ascii(text: str) -> str:
    """Return the text with ASCII letters in lower case and all others untouched."""
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)


def fold_unicode(text: str) -> str:
    """RFC 5051 §2: simple title case, then full decomposition, character by character."""
    if text.isascii():
        return text.upper()
    return "".join([_fold_character(character) for character in text])


@lru_cache(maxsize=4096)
def _fold_character(character: str) -> str:
    title = character.title()
    return unicodedata.normalize("NFKD", title if len(title) == 1 else character)


def _same(text: str) -> str:
    return text


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _upper_octets(text: str) -> bytes:
    # RFC 4790 §9.2.1: the order is that of upper-case letters.
    return _octets(text).upper()


def _unicode_octets(text: str) -> bytes:
    return _octets(fold_unicode(text))


def _number(text: str) -> int:
    end = 0
    while end < len(text) and "0" <= text[end] <= "9":
        end += 1
    return int(text[:end]) if 0 < end <= _DIGITS else _NO_NUMBER


def _number_text(text: str) -> str:
    return str(_number(text))


OCTET: Final = Comparator("i;octet", _same, _octets)
ASCII_CASEMAP: Final = Comparator("i;ascii-casemap", fold_ascii, _upper_octets)
UNICODE_CASEMAP: Final = Comparator("i;unicode-casemap", fold_unicode, _unicode_octets)
ASCII_NUMERIC: Final = Comparator("i;ascii-numeric", _number_text, _number, has_substring=False)
