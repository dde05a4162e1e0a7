"""spamtest, spamtestplus, virustest (RFC 5235): what a scanner found, on one scale.

Pure. Settings say in which field its verdict stands and how it is read. Not configured, not there or not
readable: "0", not tested.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from columba.sieve.core.matching import MATCH_TAGS, value_test
from columba.sieve.ext.regex import compiled
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import CONTENT
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import Code
from columba.sieve.run.message import Message

_SCORE: Final = re.compile(r"\s*([+-]?(?:[0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12}))")
_SOURCE: Final = re.compile(r"\s*([!-9;-~]+?)\s*(?::\s*(.*))?", re.DOTALL)
_ALLOWANCE: Final = 1e-9  # 0.29 * 100 is a little below 29
_UNTESTED: Final = "0"


@dataclass(frozen=True, slots=True)
class Scale:
    """How a scanner's verdict becomes a number: prefix of its settings, and the highest level."""

    prefix: str
    levels: int


SPAM: Final = Scale("sieve_spamtest", 10)
VIRUS: Final = Scale("sieve_virustest", 5)


def build_test(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5235 §2.2, §2.3."""
    scale = VIRUS if bound.word.name == "virustest" else SPAM
    is_percent = bound.has("percent")
    return value_test(
        compiler,
        bound,
        lambda run: (verdict(run.message, run.limits.options, scale, is_percent),),
        bound.strings(0),
    )


def verdict(message: Message, options: Mapping[str, str], scale: Scale, is_percent: bool) -> str:
    """Return the level, or the percentage, as a text."""
    prefix = scale.prefix
    found = _extract(message, options.get(f"{prefix}_status_header", ""))
    if found is None:
        return _UNTESTED
    steps = scale.levels - 1
    kind = options.get(f"{prefix}_status_type", "").strip().lower() or "score"
    if kind == "text":
        level = _text_level(found, options, scale)
        if not is_percent or not level:
            return str(level)
        ratio = (level - 1) / steps
    else:
        known = _ratio(message, found, options, prefix, kind)
        if known is None:
            return _UNTESTED
        ratio = min(max(known, 0.0), 1.0)
    if is_percent:
        return str(int(100 * ratio + _ALLOWANCE))
    return str(1 + int(steps * ratio + _ALLOWANCE))


def _extract(message: Message, source: str) -> str | None:
    """Return what "Field" or "Field: expression" finds: the first group, else the whole value."""
    match = _SOURCE.fullmatch(source)
    if match is None:
        return None
    for value in message.texts(match[1].lower()):
        if not match[2]:
            return value.strip()
        expression = compiled(match[2], True)
        hit = expression.search(value) if expression is not None else None
        if hit is not None:
            return (hit.group(1) or "") if hit.groups() else hit.group(0)
    return None


def _ratio(
    message: Message, found: str, options: Mapping[str, str], prefix: str, kind: str
) -> float | None:
    max_source = options.get(f"{prefix}_score_max_header") or options.get(f"{prefix}_max_header")
    max_text = options.get(f"{prefix}_score_max_value") or options.get(f"{prefix}_max_value", "")
    if max_source:
        max_text = _extract(message, max_source) or ""
    most = _number(max_text)
    score = float(len(found.strip())) if kind == "strlen" else _number(found)
    if most is None or most <= 0 or score is None:
        return None
    return score / most


def _number(text: str) -> float | None:
    match = _SCORE.match(text)
    return float(match[1]) if match else None


def _text_level(found: str, options: Mapping[str, str], scale: Scale) -> int:
    for level in range(scale.levels, -1, -1):
        name = f"{scale.prefix}_text_value"
        wanted = options.get(f"{name}/{level}") or options.get(f"{name}{level}")
        if wanted is not None and wanted.strip() == found.strip():
            return level
    return 0


_VALUE: Final = (Positional(Kind.STRING, "value"),)
_SPAM_WORD: Final = Word("spamtest", True, build_test, _VALUE, MATCH_TAGS)

SPAMTEST: Final = Extension("spamtest", words=(_SPAM_WORD,), stages=CONTENT)
SPAMTESTPLUS: Final = Extension(
    "spamtestplus",
    words=(_SPAM_WORD,),
    joins=(("spamtest", (Tag("percent"),)),),
    stages=CONTENT,
)
VIRUSTEST: Final = Extension(
    "virustest", words=(Word("virustest", True, build_test, _VALUE, MATCH_TAGS),), stages=CONTENT
)
