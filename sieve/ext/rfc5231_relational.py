"""relational (RFC 5231): :count and :value.

Pure.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Final

from columba.sieve.core.matching import MATCH_TYPE
from columba.sieve.lang.words import Extension, Kind, Tag
from columba.sieve.run.compare import Rank
from columba.sieve.run.match import MatchArguments, Matcher, MatchType
from columba.sieve.run.state import Run

Relation = Callable[[Rank, Rank], bool]
_RELATIONS: Final[dict[str, Relation]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
}


def _check(arguments: MatchArguments) -> str:
    if arguments.parameter.lower() in _RELATIONS:
        return ""
    return f"unknown relation '{arguments.parameter[:20]}' (known: {', '.join(_RELATIONS)})"


def match_value(arguments: MatchArguments) -> Matcher:
    """RFC 5231 §4.1: true if any value stands in the relation to any key."""
    rank, keys = arguments.comparator.rank, arguments.keys
    relation = _RELATIONS[arguments.parameter.lower()]

    def match(run: Run, values: Sequence[str]) -> int:
        ranks = [rank(key.get(run)) for key in keys]
        return any(relation(rank(value), key) for value in values for key in ranks)

    return match


def match_count(arguments: MatchArguments) -> Matcher:
    """RFC 5231 §4.2: the number of values, as a text, stands in the relation to any key."""
    by_value = match_value(arguments)
    return lambda run, values: by_value(run, (str(len(values)),))


RELATIONAL: Final = Extension(
    "relational",
    joins=(
        (
            ":is",
            (
                Tag("value", MATCH_TYPE, Kind.STRING, MatchType("value", match_value, _check)),
                Tag(
                    "count",
                    MATCH_TYPE,
                    Kind.STRING,
                    MatchType("count", match_count, _check, counts=True),
                ),
            ),
        ),
    ),
)
