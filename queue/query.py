"""The words in which an administrator names mails: `sender=*@example.org AND age>1h AND NOT state=held`.

Pure. A query is a tree of comparisons; it is asked with facts, and answers yes, no, or "the facts do not say"
(None). That is no match, and nor is its opposite: of a mail that can't be read nobody knows the size. Text compares
without case, `*` and `?` stand for any characters and any one; a field with several values matches when one does.

    query   = and *( "OR" and )
    and     = not *( [ "AND" ] not )
    not     = ( "NOT" / "!" ) not / "(" query ")" / term
    term    = field ( "=" / "!=" / "<" / ">" / "<=" / ">=" ) value / id
    value   = 1*( any character but blanks, quotes and parentheses ) / DQUOTE *( any / "\\" any ) DQUOTE
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from columba.common.errors import EX_DATAERR, ColumbaError
from columba.common.idforms import is_id

LENGTH_MAX: Final = 8000
TERMS_MAX: Final = 500
DEPTH_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class AtMost:
    """A number of which only this is known."""

    most: float


Facts = Mapping[str, tuple[str, ...] | float | AtMost]


class Kind(Enum):
    """What a field's values are."""

    TEXT = "text"
    TIME = "time"
    SIZE = "size"
    NUMBER = "number"


VALUES: Final[Mapping[str, tuple[str, ...]]] = {  # of fields that have no others
    "state": ("waiting", "active", "held", "doubt", "suspended", "unreadable"),
    "step": ("sieve", "route", "dkim", "delivery"),
    "kind": ("submitted", "received", "generated"),
}
FIELDS: Final[Mapping[str, tuple[Kind, str]]] = {
    "id": (Kind.TEXT, "its id"),
    "sender": (Kind.TEXT, "envelope sender; <> or empty: none"),
    "recipient": (Kind.TEXT, "a recipient that waits"),
    "destination": (Kind.TEXT, "where one goes: mx:example.net, or only example.net"),
    "login": (Kind.TEXT, "who submitted it"),
    "client": (Kind.TEXT, "address of the client that it came from"),
    "state": (Kind.TEXT, ", ".join(VALUES["state"])),
    "hold": (Kind.TEXT, "why it is held"),
    "reason": (Kind.TEXT, "the last answer about it"),
    "step": (Kind.TEXT, f"where it goes on: {', '.join(VALUES['step'])}"),
    "kind": (Kind.TEXT, ", ".join(VALUES["kind"])),
    "owner": (Kind.TEXT, "the owner that has it"),
    "age": (Kind.TIME, "time since it was queued"),
    "next": (Kind.TIME, "time until its next try"),
    "expires": (Kind.TIME, "time until it is given up"),
    "size": (Kind.SIZE, "octets"),
    "attempts": (Kind.NUMBER, "tries so far"),
    "priority": (Kind.NUMBER, "-9 to 9"),
}
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<paren>[()])|(?P<null><>)|(?P<op><=|>=|!=|=|<|>)|(?P<bang>!)|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s()"=<>!]+))"""
)
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([a-z]*)")
_WORDS_S: Final = (
    ("seconds", 1), ("secs", 1), ("minutes", 60), ("mins", 60), ("hours", 3600), ("hrs", 3600),
    ("days", 86_400), ("weeks", 604_800),
)  # fmt: skip
_SIZES: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class QueryError(ColumbaError):
    """A query that can't be read. column counts from 1."""

    temporary = False
    exit_code = EX_DATAERR

    def __init__(self, text: str, query: str, column: int) -> None:
        super().__init__(f"{text}\n  {query}\n  {' ' * (column - 1)}^")
        self.column = column


class Query(Protocol):
    """A tree of comparisons."""

    def matches(self, facts: Facts) -> bool | None:
        """Tell whether a mail with these facts is meant; None when they do not say."""
        ...

    def ids(self) -> frozenset[str] | None:
        """Return the ids that alone can match, None when any may."""
        ...


@dataclass(frozen=True, slots=True)
class Everything:
    """The empty query."""

    def matches(self, facts: Facts) -> bool | None:
        """Say yes."""
        return True

    def ids(self) -> frozenset[str] | None:
        """Any may match."""
        return None


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison. number is the value of a field that is none of text."""

    field: str
    op: str
    text: str
    number: float = 0.0

    def matches(self, facts: Facts) -> bool | None:
        """Compare."""
        value = facts.get(self.field)
        if value is None:
            return None
        if isinstance(value, tuple):
            found = any(_is_like(self.text, each) for each in value)
            return found is (self.op == "=")
        if isinstance(value, AtMost):
            return self.op in {"<", "<=", "!="} if value.most < self.number else None
        return _COMPARE[self.op](value, self.number)

    def ids(self) -> frozenset[str] | None:
        """Return the one id, when it names one."""
        is_one = self.field == "id" and self.op == "=" and not set("*?") & set(self.text)
        return frozenset({self.text.upper()}) if is_one else None


@dataclass(frozen=True, slots=True)
class Both:
    """All must hold."""

    parts: tuple[Query, ...]

    def matches(self, facts: Facts) -> bool | None:
        """No as soon as one says no."""
        said = [part.matches(facts) for part in self.parts]
        if False in said:
            return False
        return None if None in said else True

    def ids(self) -> frozenset[str] | None:
        """Return the ids that all of them allow."""
        known = [ids for part in self.parts if (ids := part.ids()) is not None]
        return frozenset.intersection(*known) if known else None


@dataclass(frozen=True, slots=True)
class Either:
    """One must hold."""

    parts: tuple[Query, ...]

    def matches(self, facts: Facts) -> bool | None:
        """Yes as soon as one says yes."""
        said = [part.matches(facts) for part in self.parts]
        if True in said:
            return True
        return None if None in said else False

    def ids(self) -> frozenset[str] | None:
        """Return the ids that any of them allows."""
        known = [part.ids() for part in self.parts]
        found: frozenset[str] = frozenset()
        for ids in known:
            if ids is None:
                return None
            found |= ids
        return found


@dataclass(frozen=True, slots=True)
class Unless:
    """It must not hold."""

    part: Query

    def matches(self, facts: Facts) -> bool | None:
        """Turn the answer round."""
        said = self.part.matches(facts)
        return None if said is None else not said

    def ids(self) -> frozenset[str] | None:
        """Any other may match."""
        return None


def parse(text: str) -> Query:
    """Return the query; an empty text is everything. Raises QueryError."""
    if len(text) > LENGTH_MAX:
        raise QueryError("the query is too long", text[:40], 1)
    return _Parser(text).whole() if text.strip() else Everything()


def parse_duration_s(text: str) -> float:
    """Return the seconds of "90 secs", "5m", "2 days"; a bare number is seconds. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip().lower())
    unit = match[2] if match else "?"
    for word, seconds in _WORDS_S:
        if match and word.startswith(unit):
            return float(match[1]) * seconds
    raise ValueError(f"'{text}' is no time such as 30s, 5m, 2h, 3d")


def parse_size(text: str) -> float:
    """Return the octets of "10k", "5MB". Raises ValueError."""
    match = _DURATION.fullmatch(text.strip().lower())
    unit = (match[2] if match else "?").removesuffix("ib")
    unit = unit.removesuffix("b") if len(unit) > 1 else unit
    if match is None or unit not in _SIZES:
        raise ValueError(f"'{text}' is no size such as 500, 10k, 5M")
    return float(match[1]) * _SIZES[unit]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


class _Parser:
    def __init__(self, text: str) -> None:
        self._text, self._tokens, self._at = text, _tokens(text), 0
        self._terms = self._depth = 0

    def whole(self) -> Query:
        found = self._either()
        if self._at < len(self._tokens):
            raise self._error("a closing parenthesis that nothing opened")
        return found

    def _either(self) -> Query:
        parts = [self._both()]
        while self._takes("OR"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Query:
        parts = [self._unless()]
        while True:
            token = self._here()
            if self._takes("AND"):
                parts.append(self._unless())
            elif token is None or token.text == ")" or _is_word(token, "OR"):
                return parts[0] if len(parts) == 1 else Both(tuple(parts))
            else:
                parts.append(self._unless())

    def _unless(self) -> Query:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise self._error("nested too deep")
        try:
            token = self._here()
            if self._takes("NOT") or (token is not None and token.kind == "bang"):
                self._at += token is not None and token.kind == "bang"
                return Unless(self._unless())
            if token is not None and token.kind == "paren" and token.text == "(":
                self._at += 1
                found = self._either()
                if (end := self._here()) is None or end.text != ")":
                    raise self._error("a parenthesis is not closed")
                self._at += 1
                return found
            return self._term()
        finally:
            self._depth -= 1

    def _term(self) -> Query:
        name = self._here()
        if name is None or name.kind != "word" or _is_word(name, "AND", "OR"):
            raise self._error("a comparison such as sender=*@example.org is wanted here")
        self._terms += 1
        if self._terms > TERMS_MAX:
            raise self._error(f"more than {TERMS_MAX} comparisons")
        self._at += 1
        op = self._here()
        if op is None or op.kind != "op":
            if is_id(name.text.partition(".")[0].upper()):
                return Term("id", "=", name.text)
            self._at -= 1
            raise self._error(
                f"'{name.text}' is neither an id nor the name of a field before = or <"
            )
        if name.text.lower() not in FIELDS:
            self._at -= 1
            raise self._error(f"no field '{name.text}': use one of {', '.join(FIELDS)}")
        self._at += 1
        return self._compared(name.text.lower(), op)

    def _compared(self, field: str, op: _Token) -> Term:
        value, kind = self._here(), FIELDS[field][0]
        if value is None or value.kind not in {"word", "quoted"}:
            raise self._error(f"what {field} is compared with is missing (quote it if it is odd)")
        if kind is Kind.TEXT and op.text not in {"=", "!="}:
            self._at -= 1
            raise self._error(f"{field} is text: only = and != compare it")
        if (known := VALUES.get(field)) and not any(_is_like(value.text, each) for each in known):
            raise self._error(f"{field} is never '{value.text}': it is one of {', '.join(known)}")
        try:
            number = _NUMBERS[kind](value.text)
        except ValueError as error:
            raise self._error(str(error)) from error
        self._at += 1
        return Term(field, op.text, value.text, number)

    def _here(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _takes(self, word: str) -> bool:
        token = self._here()
        found = token is not None and _is_word(token, word)
        self._at += found
        return found

    def _error(self, text: str) -> QueryError:
        token = self._here()
        return QueryError(text, self._text, token.column if token else len(self._text) + 1)


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            column = at + len(text[at:]) - len(text[at:].lstrip()) + 1
            raise QueryError("a quotation mark is not closed", text, column)
        kind = str(match.lastgroup)
        said = match[kind]
        if kind == "null":
            kind, said = "quoted", ""
        elif kind == "quoted":
            said = re.sub(r"\\(.)", r"\1", said)
        found.append(_Token(kind, said, match.start(str(match.lastgroup)) + 1))
        at = match.end()
    return found


def _is_word(token: _Token, *words: str) -> bool:
    return token.kind == "word" and token.text.upper() in words


def _number(text: str) -> float:
    if not re.fullmatch(r"-?\d{1,9}", text):
        raise ValueError(f"'{text}' is no number")
    return float(text)


def _is_like(wanted: str, value: str) -> bool:
    """Compare with wildcards, going back to the last star alone: never worse than length times length."""
    wanted, value = wanted.lower(), value.lower()
    at = here = 0
    star, since = -1, 0
    while here < len(value):
        if at < len(wanted) and wanted[at] == "*":
            star, since = at, here
            at += 1
        elif at < len(wanted) and wanted[at] in ("?", value[here]):
            at, here = at + 1, here + 1
        elif star >= 0:
            since += 1
            at, here = star + 1, since
        else:
            return False
    return not wanted[at:].strip("*")


_NUMBERS: Final[Mapping[Kind, Callable[[str], float]]] = {
    Kind.TEXT: lambda text: 0.0,
    Kind.TIME: parse_duration_s,
    Kind.SIZE: parse_size,
    Kind.NUMBER: _number,
}
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}
