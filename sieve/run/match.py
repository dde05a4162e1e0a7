"""Match types: is, contains, matches (RFC 5228 §2.7.1).

Pure. A glob is cut at its stars into pieces that are looked for from left to right, each as early as
possible (RFC 5229 §3.2): the time is linear in the text for each piece, whatever the pattern.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Final

from columba.sieve.run.compare import Comparator
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text

REMEMBERED_LENGTH: Final = 1000  # characters of a pattern, so that the memory is bounded

Matcher = Callable[[Run, Sequence[str]], int]


@dataclass(frozen=True, slots=True)
class MatchArguments:
    """What a match type is built from. captures: a match sets the match variables. regex_bytes: of one expression."""

    comparator: Comparator
    keys: tuple[Text, ...]
    parameter: str = ""
    captures: bool = False
    regex_bytes: int = 8192


@dataclass(frozen=True, slots=True)
class MatchType:
    """check answers what is wrong with constant keys or the parameter ("": nothing); counts: only how many
    values there are matters; is_substring: the comparator must know substrings.
    """

    name: str
    build: Callable[[MatchArguments], Matcher]
    check: Callable[[MatchArguments], str] = field(default=lambda arguments: "")
    counts: bool = False
    is_substring: bool = False


def match_is(arguments: MatchArguments) -> Matcher:
    """Build :is."""
    fold, keys = arguments.comparator.fold, arguments.keys
    constants = [key.constant for key in keys]
    known = frozenset(fold(text) for text in constants if text is not None)
    if len(keys) == len([text for text in constants if text is not None]):

        def match_known(run: Run, values: Sequence[str]) -> int:
            for value in values:  # noqa: SIM110 - a generator costs more than all else here
                if fold(value) in known:
                    return True
            return False

        return match_known

    def match(run: Run, values: Sequence[str]) -> int:
        wanted = {fold(key.get(run)) for key in keys}
        return any(fold(value) in wanted for value in values)

    return match


def match_contains(arguments: MatchArguments) -> Matcher:
    """Build :contains."""
    fold, keys = arguments.comparator.fold, arguments.keys
    constants = [fold(key.constant) for key in keys if key.constant is not None]
    are_constant = len(constants) == len(keys)

    def match(run: Run, values: Sequence[str]) -> int:
        wanted = constants if are_constant else [fold(key.get(run)) for key in keys]
        for value in values:
            folded = fold(value)
            for key in wanted:
                if key in folded:
                    return True
        return False

    return match


def match_matches(arguments: MatchArguments) -> Matcher:
    """Build :matches; sets the match variables if wanted."""
    fold, keys, captures = arguments.comparator.fold, arguments.keys, arguments.captures
    constants = [parse_glob(fold(key.constant)) for key in keys if key.constant is not None]
    are_constant = len(constants) == len(keys)

    def match(run: Run, values: Sequence[str]) -> int:
        globs = constants if are_constant else [parse_glob(fold(key.get(run))) for key in keys]
        for value in values:
            folded = fold(value)
            is_same_length = len(folded) == len(value)
            for glob in globs:
                spans = glob.spans(folded)
                if spans is None:
                    continue
                if captures:
                    _capture(run, value, spans if is_same_length else _unfolded(value, fold, spans))
                return True
        return False

    return match


def _capture(run: Run, value: str, spans: list[tuple[int, int]]) -> None:
    found = [value[start:end] for start, end in spans[: run.limits.match_variables]]
    run.matches = (value, *found)


def _unfolded(
    value: str, fold: Callable[[str], str], spans: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return where spans of the folded text are in the original; a character is never cut."""
    ends = list(accumulate(len(fold(character)) for character in value))
    starts = [bisect_right(ends, start) for start, _ in spans]
    return [
        (first, bisect_left(ends, end) + 1 if end > start else first)
        for first, (start, end) in zip(starts, spans, strict=True)
    ]


IS: Final = MatchType("is", match_is)
CONTAINS: Final = MatchType("contains", match_contains, is_substring=True)
MATCHES: Final = MatchType("matches", match_matches, is_substring=True)


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stands between two stars: literal text, or a pattern where "?" stands for any character."""

    length: int
    literal: str
    pattern: re.Pattern[str] | None
    marks: tuple[int, ...]

    def find(self, text: str, start: int) -> int:
        if self.pattern is None:
            return text.find(self.literal, start)
        found = self.pattern.search(text, start)
        return found.start() if found else -1

    def is_at(self, text: str, start: int) -> bool:
        if self.pattern is None:
            return text.startswith(self.literal, start)
        return self.pattern.match(text, start) is not None

    def spans(self, start: int) -> list[tuple[int, int]]:
        return [(start + mark, start + mark + 1) for mark in self.marks]


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern with * and ?."""

    pieces: tuple[_Piece, ...]

    def spans(self, text: str) -> list[tuple[int, int]] | None:
        """Return what each wildcard stands for, in order, or None if the text does not match."""
        first, last = self.pieces[0], self.pieces[-1]
        if not first.is_at(text, 0):
            return None
        if len(self.pieces) == 1:
            return first.spans(0) if first.length == len(text) else None
        found, at = first.spans(0), first.length
        for piece in self.pieces[1:-1]:
            place = piece.find(text, at)
            if place < 0:
                return None
            found.append((at, place))
            found += piece.spans(place)
            at = place + piece.length
        place = len(text) - last.length
        if place < at or not last.is_at(text, place):
            return None
        found.append((at, place))
        return found + last.spans(place)


def parse_glob(pattern: str) -> Glob:
    """Read a pattern; a backslash takes its meaning from the next character. Short ones are remembered."""
    return _known_glob(pattern) if len(pattern) <= REMEMBERED_LENGTH else _read_glob(pattern)


@lru_cache(maxsize=512)
def _known_glob(pattern: str) -> Glob:
    return _read_glob(pattern)


def _read_glob(pattern: str) -> Glob:
    pieces: list[_Piece] = []
    characters: list[str | None] = []  # None is "?"
    i = 0
    while i < len(pattern):
        character = pattern[i]
        if character == "\\" and i + 1 < len(pattern):
            i += 1
            characters.append(pattern[i])
        elif character == "*":
            pieces.append(_piece(characters))
            characters = []
        else:
            characters.append(None if character == "?" else character)
        i += 1
    return Glob((*pieces, _piece(characters)))


def _piece(characters: list[str | None]) -> _Piece:
    marks = tuple(i for i, character in enumerate(characters) if character is None)
    literal = "".join(character or "?" for character in characters)
    if not marks:
        return _Piece(len(characters), literal, None, ())
    text = "".join("." if c is None else re.escape(c) for c in characters)
    return _Piece(len(characters), literal, re.compile(text, re.DOTALL), marks)
