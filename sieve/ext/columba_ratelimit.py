"""vnd.columba.ratelimit: how often something may happen in a time. docs/sieve/vnd.columba.ratelimit.md.

Pure. A sliding window from two counters: that of the current stretch of time, and as much of the one before it as the
window still covers. Two numbers for each key whatever the rate, and two increments of different processes never
hide each other.
"""

import re
from collections.abc import Callable
from typing import Final

from columba.common.dict.base import number
from columba.sieve.ext.columba_parts import (
    AS_TAG,
    DICT_TAG,
    affect,
    dict_name,
    found_value,
    key_of,
    need,
    put_result,
    result_variable,
    seconds_of,
)
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import Asked, Code, asking
from columba.sieve.run.effects import Effect, written
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.requests import DictAdd, DictGet, Each, Several
from columba.sieve.run.state import Run

_RATE: Final = re.compile(r"\s*([0-9]{1,9})\s*/\s*(\S[^/]*)")
_LONGEST_S: Final = 400 * 86400
_WRONG: Final = "a rate is a count, a slash and a time, such as 100/1h"


def parse_rate(text: str) -> tuple[int, int] | None:
    """Return (count, seconds) of "100/1h", "5 / 30s", "10/m"; None if it is no rate."""
    match = _RATE.fullmatch(text)
    if match is None:
        return None
    unit = match[2].strip()
    period = seconds_of(unit if unit[:1].isdigit() else "1" + unit)
    if not period or period > _LONGEST_S:
        return None
    return int(match[1]), period


def estimate(before: int, now: int, place_in_stretch: float) -> float:
    """Return how much happened in the window that ends now; place_in_stretch: 0 at its begin, 1 at its end."""
    return max(0, before) * (1.0 - place_in_stretch) + now


def build_ratelimit(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `ratelimit`: true when this would be too much."""
    place, variable = compiler.place(bound.at), result_variable(compiler, bound)
    name, by = dict_name(compiler, bound.parameter("dict")), bound.number_parameter("by")
    key, rate = compiler.text(bound.string(0)), compiler.text(bound.string(1))
    known = parse_rate(rate.constant) if rate.constant is not None else None
    if rate.constant is not None and known is None:
        compiler.error(bound.string(1).at, _WRONG)
        return None
    if name is None or variable is None:
        return None
    amount, counts_tries = by.value if by else 1, bound.has("tries")

    def rate_of(run: Run) -> tuple[int, int]:
        found = known or parse_rate(rate.get(run))
        if found is None:
            raise ScriptFailure(f"{_WRONG}, not {rate.get(run)!a:.60}", place)
        return found

    def run_ratelimit(run: Run) -> Asked:
        count, period_s = rate_of(run)
        stretch, past = divmod(run.wall_s, period_s)
        at = _keys(key_of(run, key, place), period_s, int(stretch))
        first = DictAdd(name, at(0), amount, 2 * period_s) if counts_tries else None
        answer = yield Several((first or DictGet(name, at(0)), DictGet(name, at(-1))))
        assert isinstance(answer, Each)
        now, before = (found_value(need(a, f"dict '{name}'", place)) for a in answer.answers)
        here = number(written(run.effects, name, at(0), now))
        here += 0 if counts_tries else amount
        sum_ = estimate(number(before), here, past / period_s)
        is_over = sum_ > count
        if not is_over and not counts_tries:
            effect = Effect("add", at(0), name, amount=amount, expires_s=2 * period_s)
            affect(run, effect, place)
        put_result(run, variable, str(int(sum_)), place)
        return is_over

    return asking(run_ratelimit)


def _keys(key: str, period_s: int, stretch: int) -> Callable[[int], str]:
    """Return what gives the key of a stretch of time, counted from the current one."""
    return lambda offset: f"rate/{period_s}/{stretch + offset}/{key}"


RATELIMIT: Final = Extension(
    "vnd.columba.ratelimit",
    words=(
        Word(
            "ratelimit",
            True,
            build_ratelimit,
            (Positional(Kind.STRING, "key"), Positional(Kind.STRING, "rate")),
            (AS_TAG, DICT_TAG, Tag("by", takes=Kind.NUMBER), Tag("tries")),
        ),
    ),
)
