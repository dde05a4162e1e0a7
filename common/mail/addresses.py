"""Address lists of header fields.

Pure: RFC 5322 §3.4 with the obsolete forms of §4.4 (routes, empty list members, dots in phrases, blanks
round dots), RFC 6532 (UTF-8), RFC 6854 (groups in From). Reads any bytes and never raises: what is no
address is left out, and the result says that the list was not clean. Who may write what in From is not
decided here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final

from columba.common.limits import ADDRESS_FIELD, ADDRESS_TOKENS, ADDRESSES
from columba.common.mail.words import decode_words

_COMMENT_DEPTH: Final = 50
_ATOM: Final = re.compile(r"[^\s()<>\[\]:;@\\,.\"\x00-\x1f\x7f]+")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_LITERAL: Final = re.compile(r"\[((?:[^\[\]\\]|\\.)*)\]", re.DOTALL)
_SPACE: Final = re.compile(r"\s+")
_SEPARATOR: Final = re.compile(r"[ \t]*(?:,(?:[ \t]|\r\n[ \t])*|\Z)")
_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_COMMENT_PART: Final = re.compile(r"[^()\\]+|\\.|[()]", re.DOTALL)
# RFC 5321 §4.1.2: what a local part may be without quotes (UTF-8: RFC 6531 §3.3).
_DOT_ATOM: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
    r"(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+)*"
)
# Linear, for nothing that repeats can match in two ways; what it does not know goes to the parser. No group is
# possessive: re of Python 3.11.2 keeps the half of a repetition that failed.
_TYPICAL: Final = re.compile(
    r"(?:([A-Za-z0-9!#$%&'*+/?^_`{|}~-]++(?: ++[A-Za-z0-9!#$%&'*+/?^_`{|}~-]++)*"
    r"|\"[^\"\\\r\n\x00-\x1f\x7f]*+\")? *+<)?"
    r"([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++)*)"
    r"@([A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)*)(>)?"
)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One address. All text is decoded; `local` is without quotes, `display` may be empty."""

    display: str
    local: str
    domain: str

    @property
    def address(self) -> str:
        """The addr-spec, quoted where RFC 5321 §4.1.2 asks for it."""
        return f"{quote_local(self.local)}@{self.domain}" if self.domain else self.local


@dataclass(frozen=True, slots=True)
class Group:
    """A named list of mailboxes; it may be empty, as in `undisclosed-recipients:;`."""

    display: str
    mailboxes: tuple[Mailbox, ...]


@dataclass(frozen=True, slots=True)
class AddressList:
    """What a field holds; is_clean is False if anything had to be left out."""

    entries: tuple[Mailbox | Group, ...]
    is_clean: bool

    @property
    def mailboxes(self) -> tuple[Mailbox, ...]:
        """All mailboxes, those in groups too, in their order."""
        return tuple(_flat(self.entries))


def parse_addresses(value: bytes) -> AddressList:
    """Return the addresses of a field's value (folded or not)."""
    text = value[:ADDRESS_FIELD].decode("utf-8", "replace").strip()
    typical = _typical(text)
    if typical:
        return AddressList(typical, len(value) <= ADDRESS_FIELD)
    found = _Parser(text).run()
    if len(value) > ADDRESS_FIELD:
        return AddressList(found.entries, False)
    return found


def _typical(text: str) -> tuple[Mailbox, ...]:
    """Read usual addresses, one or several, by one pattern each; () if they are not usual.

    The parser gives the same, slower.
    """
    found: list[Mailbox] = []
    position, end = 0, len(text)
    while position < end:
        match = _TYPICAL.match(text, position)
        if match is None or len(found) >= ADDRESSES:
            return ()
        name, local, domain, bracket = match.groups()
        shown = ""
        if name is not None:
            if "=?" in name:
                return ()
            shown = _SPACE.sub(" ", name.strip('"')).strip()
        # A name or an opening bracket goes with a closing one.
        if (bracket is not None) is not (match.start(2) > position):
            return ()
        found.append(Mailbox(shown, local, domain))
        separator = _SEPARATOR.match(text, match.end())
        if separator is None or (separator.end() == end and "," in separator[0]):
            return ()
        position = separator.end()
    return tuple(found)


def parse_mailboxes(value: bytes) -> tuple[Mailbox, ...]:
    """Return all mailboxes of a field's value, those in groups too."""
    return parse_addresses(value).mailboxes


def quote_local(local: str) -> str:
    """Return a local part as it stands in an address: quoted where it must be."""
    if _DOT_ATOM.fullmatch(local):
        return local
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def quote_phrase(display: str) -> str:
    """Return an ASCII display name as it stands before an address."""
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*", display):
        return display
    escaped = display.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _flat(entries: tuple[Mailbox | Group, ...]) -> Iterator[Mailbox]:
    for entry in entries:
        if isinstance(entry, Group):
            yield from entry.mailboxes
        else:
            yield entry


class _Kind(Enum):
    WORD = 1  # an atom or a dot
    QUOTED = 2
    LITERAL = 3
    MARK = 4  # one of <>:;,@
    SPACE = 5
    COMMENT = 6
    BAD = 7


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str


def _tokens(text: str) -> Iterator[_Token]:
    position, end = 0, len(text)
    while position < end:
        character = text[position]
        if match := _ATOM.match(text, position):
            token = _Token(_Kind.WORD, match[0])
        elif match := _SPACE.match(text, position):
            token = _Token(_Kind.SPACE, " ")
        elif character == '"' and (match := _QUOTED.match(text, position)):
            token = _Token(_Kind.QUOTED, _PAIR.sub(r"\1", re.sub(r"\r\n(?=\s)", "", match[1])))
        elif character == "[" and (match := _LITERAL.match(text, position)):
            token = _Token(_Kind.LITERAL, _SPACE.sub("", match[0]))
        elif character == "(":
            comment, position = _comment(text, position)
            yield comment
            continue
        elif character in '"[':
            yield _Token(_Kind.BAD, character)  # never closed: the rest is lost
            return
        else:
            kind = _Kind.MARK if character in "<>:;,@" else _Kind.BAD
            yield _Token(_Kind.WORD if character == "." else kind, character)
            position += 1
            continue
        yield token
        position = match.end()


def _comment(text: str, start: int) -> tuple[_Token, int]:
    depth, position = 0, start
    while match := _COMMENT_PART.match(text, position):
        position = match.end()
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth == 0:
            return _Token(_Kind.COMMENT, text[start + 1 : position - 1]), position
        if depth > _COMMENT_DEPTH:
            break
    return _Token(_Kind.BAD, "("), len(text)  # never closed: the rest is lost


class _Parser:
    """Walks the tokens once; every member of the list ends at a comma, a semicolon or the end."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._entries: list[Mailbox | Group] = []
        self._group: str | None = None
        self._members: list[Mailbox] = []
        self._is_clean = True
        self._count = 0
        self._begin()

    def run(self) -> AddressList:
        """Return the whole list."""
        for count, token in enumerate(self._tokens):
            if token.kind is _Kind.MARK:
                self._mark(token.text)
            elif token.kind is _Kind.BAD:
                self._is_bad = True
            elif token.kind is _Kind.COMMENT:
                self._last_comment = token.text
                self._part().append(_Token(_Kind.SPACE, " "))
            else:
                self._part().append(token)
            if self._count > ADDRESSES or count > ADDRESS_TOKENS:
                self._is_clean = False
                break
        self._end()
        if self._group is not None:
            self._is_clean = False
            self._close_group()
        return AddressList(tuple(self._entries), self._is_clean)

    def _begin(self) -> None:
        self._before: list[_Token] = []  # display name, or local part if no "<" comes
        self._angle: list[_Token] | None = None
        self._after_at: list[_Token] | None = None
        self._is_closed = self._is_bad = False
        self._last_comment = ""

    def _part(self) -> list[_Token]:
        if self._is_closed:
            return self._late
        if self._after_at is not None:
            return self._after_at
        return self._angle if self._angle is not None else self._before

    def _mark(self, mark: str) -> None:
        in_angle = self._angle is not None and not self._is_closed
        if mark == "<" and self._angle is None and self._after_at is None:
            self._angle = []
        elif mark == "<" and self._angle is None and self._after_at is not None:
            # A name with an "@" in it needs quotes, which many forget: what stands in brackets is the address.
            self._before += [_Token(_Kind.WORD, "@"), *self._after_at]
            self._after_at, self._angle, self._is_clean = None, [], False
        elif mark == ">" and in_angle:
            self._is_closed = True
            self._late: list[_Token] = []
        elif mark == "@" and not self._is_closed and self._after_at is None:
            self._after_at = []
        elif mark in ",:" and in_angle and self._angle == [] and self._after_at is not None:
            self._after_at = None  # RFC 5322 §4.4: a route, <@a,@b:user@domain>
        elif mark == "," and in_angle and self._angle == [] and self._after_at is None:
            pass
        elif mark == "," or (mark == ";" and self._group is None):
            # A semicolon between addresses is no standard, but common.
            self._is_clean = self._is_clean and mark == ","
            self._end()
        elif mark == ";":
            self._end()
            self._close_group()
        elif mark == ":" and self._group is None and self._angle is self._after_at is None:
            self._group = _phrase(self._before) or ""
            self._begin()
        else:
            self._is_bad = True

    def _close_group(self) -> None:
        self._entries.append(Group(self._group or "", tuple(self._members)))
        self._group, self._members = None, []

    def _end(self) -> None:
        """Take the member that ended; an empty one is allowed (RFC 5322 §4.4)."""
        mailbox = self._mailbox()
        is_empty = not _words(self._before) and self._angle is None and self._after_at is None
        if mailbox is not None:
            self._count += 1
            (self._entries if self._group is None else self._members).append(mailbox)
        elif not is_empty:
            self._is_clean = False
        if self._is_bad or (self._is_closed and _words(self._late)):
            self._is_clean = False
        self._begin()

    def _mailbox(self) -> Mailbox | None:
        if self._after_at is None or (self._angle is not None and not self._is_closed):
            return None
        local = _joined(self._angle if self._angle is not None else self._before)
        domain = _domain(self._after_at)
        if local is None or domain is None:
            return None
        if self._angle is not None:
            display = _phrase(self._before)
        else:  # RFC 822's habit: user@domain (Name)
            display = decode_words(_PAIR.sub(r"\1", self._last_comment).encode())
        return Mailbox(display, local, domain)


def _words(tokens: list[_Token]) -> list[_Token]:
    return [token for token in tokens if token.kind is not _Kind.SPACE]


def _phrase(tokens: list[_Token]) -> str:
    """Join a display name; encoded words are decoded, in quotes too as everyone does."""
    text = "".join(token.text for token in tokens)
    return decode_words(_SPACE.sub(" ", text).strip().encode("utf-8", "replace"))


def _joined(tokens: list[_Token]) -> str | None:
    """Return a local part: words joined by dots, blanks between them dropped (RFC 5322 §4.4)."""
    words = _words(tokens)
    if not words or any(t.kind is _Kind.LITERAL for t in words):
        return None
    is_dot = [t.kind is _Kind.WORD and t.text == "." for t in words]
    for first, second in pairwise(is_dot):
        if not first and not second:
            return None  # two words without a dot between them
    text = "".join(token.text for token in words)
    return re.sub(r"[\x00\r\n]", "", text)


def _domain(tokens: list[_Token]) -> str | None:
    words = _words(tokens)
    if len(words) == 1 and words[0].kind is _Kind.LITERAL:
        return words[0].text
    if not words or any(t.kind is not _Kind.WORD for t in words):
        return None
    return _joined(tokens)
