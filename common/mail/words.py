"""Encoded words of header text, and charsets.

Pure: RFC 2047 with RFC 2231 §5 (language tags), RFC 6532 (plain UTF-8). Decoding accepts any bytes and
never raises: what can't be decoded stays as it is written.
"""

import base64
import binascii
import codecs
import re
from typing import Final

from columba.common.limits import ENCODED_WORD

# RFC 2047 §2: "=?" charset ["*" language] "?" encoding "?" encoded-text "?="
_WORD: Final = re.compile(r"=\?([^?*\s]{1,60})(?:\*[^?\s]{0,60})?\?([BbQq])\?([^?\r\n]*)\?=")
_HEX: Final = re.compile(rb"=([0-9A-Fa-f]{2})")
_SAFE: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_NEEDS: Final = re.compile(r"[^\t -~]|=\?")
_BLANKS: Final = re.compile(r"([ \t]+)")
# Half a character beyond U+FFFF, which Python's UTF-7 lets through, and which no other charset can write again.
_HALF: Final = re.compile("[\ud800-\udfff]")
# Codecs of Python that are no charsets of text, or that cost more than they are worth.
_REFUSED: Final = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"}
)


def decode_bytes(octets: bytes, charset: str = "utf-8") -> str:
    """Return text in any charset; octets that do not fit become U+FFFD. Never raises.

    An unknown charset is read as UTF-8 if it is that, else as ISO 8859-1.
    """
    name = _codec(charset)
    if name is not None:
        try:
            text = octets.decode(name, "replace")
            return _HALF.sub("\N{REPLACEMENT CHARACTER}", text) if name == "utf-7" else text
        except (UnicodeError, LookupError, ValueError):
            pass
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def decode_words(value: bytes) -> str:
    """Return the text of an unfolded unstructured value, for people and for tests. Never raises."""
    text = value.decode("utf-8", "replace")
    if "=?" not in text:
        return text
    return _decode_runs(text)


def encode_words(text: str, first_column: int = 0) -> str:
    """Return text as ASCII, with encoded words in UTF-8 where it needs them, else unchanged.

    All from the first to the last word that needs it is encoded, so that no blank is lost. Words
    are at most 75 characters and never cut a character; blanks between them allow folding.
    """
    if not _NEEDS.search(text):
        return text
    parts = _BLANKS.split(text)
    needy = [i for i in range(0, len(parts), 2) if _NEEDS.search(parts[i])]
    first, last = needy[0], needy[-1]
    before, after = "".join(parts[:first]), "".join(parts[last + 1 :])
    room = max(30, 78 - first_column - len(before)) if first_column else ENCODED_WORD
    words = _encode("".join(parts[first : last + 1]), min(room, ENCODED_WORD))
    return before + " ".join(words) + after


def _codec(charset: str) -> str | None:
    try:
        info = codecs.lookup(charset.strip().strip('"'))
    except (LookupError, ValueError, TypeError):
        return None
    name = info.name.replace("-", "_")
    is_text = getattr(info, "_is_text_encoding", True)
    return info.name if is_text and name not in _REFUSED else None


def _decode_runs(text: str) -> str:
    """Decode words; neighbours of one charset are joined first, for senders that cut characters."""
    out: list[str] = []
    pending: list[bytes] = []
    charset, position, is_after_word = "", 0, False
    for match in _WORD.finditer(text):
        octets = _octets(match[2], match[3])
        between = text[position : match.start()]
        # RFC 2047 §6.2: white space between adjacent encoded words is not shown.
        if is_after_word and octets is not None and between.isspace():
            between = ""
        is_after_word = octets is not None
        if pending and (between or octets is None or match[1].lower() != charset):
            out.append(decode_bytes(b"".join(pending), charset))
            pending = []
        out.append(between)
        if octets is None:
            out.append(match[0])
        else:
            pending.append(octets)
            charset = match[1].lower()
        position = match.end()
    if pending:
        out.append(decode_bytes(b"".join(pending), charset))
    out.append(text[position:])
    # A decoded line end or NUL must not become one of ours.
    return re.sub(r"[\x00\r\n]", " ", "".join(out))


def _octets(encoding: str, text: str) -> bytes | None:
    raw = text.encode("utf-8")
    if encoding in "Qq":
        # RFC 2047 §4.2: "_" is a blank whatever the charset.
        return _HEX.sub(lambda m: bytes([int(m[1], 16)]), raw.replace(b"_", b" "))
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4))
    except (binascii.Error, ValueError):
        return None


def _encode(text: str, first_room: int) -> list[str]:
    """Return encoded words for the text, in Q or B, whichever is shorter."""
    octets = text.encode("utf-8", "replace")
    quoted = sum(1 if b in _SAFE or b == 32 else 3 for b in octets)
    as_q = quoted <= (len(octets) + 2) // 3 * 4
    words: list[str] = []
    chunk, size, room = b"", 0, first_room - len("=?utf-8?q??=")
    for character in text:
        piece = character.encode("utf-8", "replace")
        cost = sum(1 if b in _SAFE or b == 32 else 3 for b in piece)
        grown = size + cost if as_q else (len(chunk) + len(piece) + 2) // 3 * 4
        if chunk and grown > room:
            words.append(_word(chunk, as_q))
            chunk, size, room = b"", 0, ENCODED_WORD - len("=?utf-8?q??=")
        chunk += piece
        size += cost
    words.append(_word(chunk, as_q))
    return words


def _word(chunk: bytes, as_q: bool) -> str:
    if not as_q:
        return f"=?utf-8?b?{base64.b64encode(chunk).decode()}?="
    shown = "".join("_" if b == 32 else chr(b) if b in _SAFE else f"={b:02X}" for b in chunk)
    return f"=?utf-8?q?{shown}?="
