"""Cut the source of a script into tokens.

Pure. RFC 5228 §8.1. A mistake in a token is noted once, here; the token is then BROKEN, over which the
parser stays silent. Only characters that begin no token at all come out as GARBAGE, which the parser
reports in its own words too. Line ends in strings become CRLF, as in a message.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from columba.sieve.lang.errors import ErrorLog
from columba.sieve.lang.limits import IDENTIFIER, NUMBER, NUMBER_DIGITS, Limits

BROKEN: Final = "BROKEN"
GARBAGE: Final = "GARBAGE"
END: Final = "$END"

_TOKEN: Final = re.compile(
    r"""
    (?P<SPACE>     (?:[ \t\r\n]+ | \#[^\n]* )+ )
  | (?P<COMMENT>   /\* )
  | (?P<TEXT>      [tT][eE][xX][tT]: (?=[ \t]*(?:\#[^\n]*)?\r?\n) )
  | (?P<UNTEXT>    [tT][eE][xX][tT]:[ \t]* )
  | (?P<IDENTIFIER>[A-Za-z_][A-Za-z0-9_]* )
  | (?P<TAG>       :[A-Za-z_][A-Za-z0-9_]* )
  | (?P<NUMBER>    [0-9]+[KkMmGg]? )
  | (?P<QUOTED>    " )
  | (?P<SEMICOLON> ; ) | (?P<COMMA> , )
  | (?P<LBRACE>   \{ ) | (?P<RBRACE>   \} )
  | (?P<LBRACKET> \[ ) | (?P<RBRACKET> \] )
  | (?P<LPAREN>   \( ) | (?P<RPAREN>   \) )
  | (?P<GARBAGE>  [^ \t\r\n\#/A-Za-z0-9_:";,{}\[\]()]+ | [/:] )
    """,
    re.VERBOSE,
)
# RFC 5228 §2.4.2: a backslash gives the next character as it is.
_QUOTED_END: Final = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_LINE_END: Final = re.compile(r"\r?\n")
_TEXT_HEAD: Final = re.compile(r"[ \t]*(?:#[^\n]*)?\r?\n")
_TEXT_END: Final = re.compile(r"^\.\r?(?:\n|\Z)", re.MULTILINE)
_DOT_STUFF: Final = re.compile(r"^\.\.", re.MULTILINE)
_SCALE: Final = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@dataclass(frozen=True, slots=True)
class Token:
    """kind is a terminal of grammar.lark, BROKEN, GARBAGE or END; text is what it says; at, end: offsets."""

    kind: str
    text: str
    number: int
    at: int
    end: int


class Lexer:
    """Cuts one source; mistakes go to the log."""

    def __init__(self, text: str, log: ErrorLog, limits: Limits) -> None:
        self._text = text
        self._log = log
        self._limits = limits

    def tokens(self) -> Iterator[Token]:
        """Yield all tokens, END last."""
        at, end = 0, len(self._text)
        while at < end:
            token = self._next(at)
            if token.kind:
                yield token
            at = token.end
        yield Token(END, "", 0, end, end)

    def _next(self, at: int) -> Token:
        """Return the token at an offset; an empty kind is no token (blanks, comments)."""
        match = _TOKEN.match(self._text, at)
        if match is None:  # a backslash or the like inside a run is caught by GARBAGE
            return Token(GARBAGE, self._text[at], 0, at, at + 1)
        kind, text, end = match.lastgroup or "", match[0], match.end()
        if kind == "SPACE":
            return self._comment_checked(at, end)
        if kind == "COMMENT":
            return self._comment(at)
        if kind == "TEXT":
            return self._multi_line(at, end)
        if kind == "UNTEXT":
            return self._broken(at, end, "invalid character after 'text:'")
        if kind == "QUOTED":
            return self._quoted(at)
        if kind in ("IDENTIFIER", "TAG"):
            return self._word(kind, text, at)
        if kind == "NUMBER":
            return self._number(text, at)
        if kind == GARBAGE:
            shown = "".join(c if c.isprintable() else "?" for c in text[:20])
            self._log.add(at, f"unexpected character(s) '{shown}'")
        return Token(kind, text, 0, at, end)

    def _broken(self, at: int, end: int, text: str) -> Token:
        self._log.add(at, text)
        return Token(BROKEN, "", 0, at, end)

    def _comment(self, at: int) -> Token:
        end = self._text.find("*/", at + 2)
        if end < 0:
            return self._broken(at, len(self._text), "the comment that begins here is never closed")
        return self._comment_checked(at, end + 2)

    def _comment_checked(self, at: int, end: int) -> Token:
        """Skip blanks and comments, which may hold anything but NUL (RFC 5228 §8.1)."""
        if "\x00" in self._text[at:end]:
            return self._broken(at, end, "found a NUL character in a comment")
        return Token("", "", 0, at, end)

    def _word(self, kind: str, text: str, at: int) -> Token:
        end = at + len(text)
        name = text.lstrip(":").lower()
        if len(name) > IDENTIFIER:
            what = "tag" if kind == "TAG" else "identifier"
            return self._broken(at, end, f"{what} is longer than {IDENTIFIER} characters")
        return Token(kind, name, 0, at, end)

    def _number(self, text: str, at: int) -> Token:
        scale = _SCALE.get(text[-1].lower(), 1)
        digits = text[:-1] if scale > 1 else text
        value = int(digits) * scale if len(digits) <= NUMBER_DIGITS else NUMBER + 1
        if value > NUMBER:
            return self._broken(at, at + len(text), f"number exceeds the limit of {NUMBER}")
        return Token("NUMBER", text, value, at, at + len(text))

    def _quoted(self, at: int) -> Token:
        match = _QUOTED_END.match(self._text, at + 1)
        end = match.end() if match else at + 1
        if end >= len(self._text) or self._text[end] != '"':
            text = "the quoted string that begins here is never closed"
            return self._broken(at, len(self._text), text)
        return self._string(_ESCAPE.sub(r"\1", self._text[at + 1 : end]), at, end + 1)

    def _multi_line(self, at: int, start: int) -> Token:
        """Read a text: block; RFC 5228 §2.4.2, a line of one dot ends it."""
        head = _TEXT_HEAD.match(self._text, start)
        begin = head.end() if head else start
        last = _TEXT_END.search(self._text, begin)
        if last is None:
            text = "the text: block that begins here is never closed"
            return self._broken(at, len(self._text), text)
        body = _DOT_STUFF.sub(".", self._text[begin : last.start()])
        return self._string(body, at, last.end())

    def _string(self, value: str, at: int, end: int) -> Token:
        value = _LINE_END.sub("\r\n", value)
        limit = self._limits.string_bytes
        if "\x00" in value:
            return self._broken(at, end, "found a NUL character in a string")
        if len(value.encode("utf-8", "surrogateescape")) > limit:
            return self._broken(at, end, f"string is longer than {limit} octets")
        return Token("STRING", value, 0, at, end)
