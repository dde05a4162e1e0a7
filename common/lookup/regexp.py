"""Tables of patterns: `/pattern/flags value`, in order, the first that matches (regexp_table(5), pcre_table(5)).

Pure. The patterns are RE2's: linear time whatever the key, so no back references and no look-around. Case does not
count unless the flag `i` stands; `m` and `s` as in pcre_table. `!/pattern/` matches what the pattern does not. Between
`if /pattern/` and `endif` lines count only for keys that match. In values $1, ${1} and $(1) are what the groups
matched, $$ is a dollar sign.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import re2

from columba.common.errors import ConfigError

KEY_MAX: Final = 4096
_LINE: Final = re.compile(
    r"(if\s+)?(!?)\s*(\W)(.*)\3([a-zA-Z]*)(?:\s+(.*))?", re.IGNORECASE | re.DOTALL
)
_REFERENCE: Final = re.compile(r"\$(?:(\$)|([0-9]{1,2})|\{([0-9]{1,2})\}|\(([0-9]{1,2})\))")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern of a line."""

    expression: "re2._Regexp"
    is_negated: bool

    def match(self, key: str) -> tuple[str, ...] | None:
        """Return the whole match and the groups, None if the line does not count."""
        found = self.expression.search(key)
        if self.is_negated:
            return (key,) if found is None else None
        if found is None:
            return None
        return (found.group(0), *(group or "" for group in found.groups()))


@dataclass(frozen=True, slots=True)
class Rule:
    """A line: conditions around it, its pattern and value."""

    conditions: tuple[Pattern, ...]
    pattern: Pattern
    value: str


class Patterns:
    """Finds the first line that matches a key."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)

    def find(self, key: str) -> str | None:
        """Return the value for a key; a part of one that is too long would match what the whole does not."""
        if len(key) > KEY_MAX:
            return None
        for rule in self._rules:
            groups = rule.pattern.match(key)
            if groups is not None and all(c.match(key) is not None for c in rule.conditions):
                return _filled(rule.value, groups)
        return None


def parse_patterns(lines: Iterable[tuple[int, str]], file: str) -> Patterns:
    """Read lines with their numbers; raises ConfigError with file and line."""
    rules: list[Rule] = []
    conditions: list[Pattern] = []
    for number, line in lines:
        if line.strip().lower() == "endif":
            if not conditions:
                raise ConfigError("endif without if", file, number)
            conditions.pop()
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ConfigError("a line is /pattern/ and a value", file, number)
        pattern = _pattern(match[4], match[5], bool(match[2]), file, number)
        if match[1]:
            conditions.append(pattern)
            continue
        value = (match[6] or "").strip()
        _check(value, pattern, file, number)
        rules.append(Rule(tuple(conditions), pattern, value))
    if conditions:
        raise ConfigError("if without endif", file)
    return Patterns(rules)


def _pattern(text: str, flags: str, is_negated: bool, file: str, line: int) -> Pattern:
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = "i" in flags
    unknown = set(flags) - set("ims")
    if unknown:
        raise ConfigError(f"unknown flag {min(unknown)!r}", file, line)
    marks = "".join(sorted(set(flags) - {"i"}))
    try:
        return Pattern(re2.compile(f"(?{marks}){text}" if marks else text, options), is_negated)
    except re2.error as error:
        raise ConfigError(f"this pattern can't be used: {error}", file, line) from error


def _check(value: str, pattern: Pattern, file: str, line: int) -> None:
    numbers = [int(m[2] or m[3] or m[4]) for m in _REFERENCE.finditer(value) if not m[1]]
    known = 0 if pattern.is_negated else pattern.expression.groups
    if numbers and max(numbers) > known:
        raise ConfigError(f"${max(numbers)} is more than the groups of the pattern", file, line)


def _filled(value: str, groups: tuple[str, ...]) -> str:
    if "$" not in value:
        return value
    return _REFERENCE.sub(lambda m: "$" if m[1] else groups[int(m[2] or m[3] or m[4])], value)
