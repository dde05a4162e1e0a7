"""regex (draft-ietf-sieve-regex): the match type :regex and the modifier :quoteregex.

Pure. The engine is RE2: its time is linear in the text, whatever the expression. What it does not know
(back references, look around) is an error of the script.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import re2

from columba.sieve.core.matching import MATCH_TYPE
from columba.sieve.lang.words import Extension, Modifier, Tag
from columba.sieve.run.compare import ASCII_CASEMAP, OCTET, UNICODE_CASEMAP
from columba.sieve.run.match import MatchArguments, Matcher, MatchType
from columba.sieve.run.state import Run
from columba.sieve.run.values import clean, truncate

_MEMORY_BYTES: Final = 1 << 20
_SPECIAL: Final = re.compile(r"([\\^$.|?*+()\[\]{}])")


@lru_cache(maxsize=256)
def compiled(pattern: str, is_sensitive: bool) -> "re2._Regexp[str] | None":
    """Return the compiled expression, or None if it is none."""
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = is_sensitive
    options.max_mem = _MEMORY_BYTES
    options.dot_nl = True
    # POSIX extended expressions (draft-ietf-sieve-regex §2): the leftmost longest match, ^ and $ for
    # the whole value; \w, \s, \d and \b as the GNU library has them.
    options.posix_syntax = options.longest_match = options.one_line = True
    options.perl_classes = options.word_boundary = True
    try:
        return re2.compile(pattern, options)
    except re2.error:
        return None


def _check(arguments: MatchArguments) -> str:
    if arguments.comparator not in (OCTET, ASCII_CASEMAP, UNICODE_CASEMAP):
        return f"the comparator '{arguments.comparator.name}' can't be used with :regex"
    for key in arguments.keys:
        if key.constant is not None and _expression(key.constant, arguments) is None:
            return f"invalid regular expression '{clean(key.constant)[:100]}'"
    return ""


def _expression(text: str, arguments: MatchArguments) -> "re2._Regexp[str] | None":
    if len(text) > arguments.regex_bytes:
        return None
    return compiled(clean(text), arguments.comparator is OCTET)


def match_regex(arguments: MatchArguments) -> Matcher:
    """Build :regex; groups become match variables. A computed key that is no expression never matches."""

    def match(run: Run, values: Sequence[str]) -> int:
        found = [_expression(key.get(run), arguments) for key in arguments.keys]
        for value in map(clean, values):
            for expression in found:
                hit = expression.search(value) if expression is not None else None
                if hit is None:
                    continue
                if arguments.captures:
                    groups = [group or "" for group in hit.groups()]
                    run.matches = (hit.group(0), *groups[: run.limits.match_variables])
                return True
        return False

    return match


def _quote(value: str, limit: int) -> str:
    """Put a backslash before what is special; never cut between a backslash and what it quotes."""
    quoted = _SPECIAL.sub(r"\\\1", value)
    short = truncate(quoted, limit)
    if len(short) == len(quoted):
        return quoted
    backslashes = len(short) - len(short.rstrip("\\"))
    return short[:-1] if backslashes % 2 else short


REGEX: Final = Extension(
    "regex",
    joins=(
        (":is", (Tag("regex", MATCH_TYPE, meaning=MatchType("regex", match_regex, _check)),)),
        (
            ":quotewildcard",
            (Tag("quoteregex", "modifier of precedence 20", meaning=Modifier(20, _quote)),),
        ),
    ),
)
