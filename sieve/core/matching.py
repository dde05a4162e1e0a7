"""What all tests that compare values with keys have in common: tags, and code from values and keys.

Pure. RFC 5228 §2.7. A test says only how its values are found; match types and comparators of any
extension then work with it.
"""

from collections.abc import Callable, Sequence
from typing import Final

from columba.common.mail.addresses import quote_local
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.tree import String
from columba.sieve.lang.words import AddressPart, Kind, Tag
from columba.sieve.run.code import Code, plain
from columba.sieve.run.compare import ASCII_CASEMAP, Comparator
from columba.sieve.run.match import CONTAINS, IS, MATCHES, MatchArguments, Matcher, MatchType
from columba.sieve.run.message import Reading
from columba.sieve.run.state import Run

MATCH_TYPE: Final = "match type"
ADDRESS_PART: Final = "address part"
COMPARATOR_TAG: Final = Tag("comparator", takes=Kind.STRING)
MATCH_TAGS: Final = (
    COMPARATOR_TAG,
    Tag("is", MATCH_TYPE, meaning=IS),
    Tag("contains", MATCH_TYPE, meaning=CONTAINS),
    Tag("matches", MATCH_TYPE, meaning=MATCHES),
)
ALL_PART: Final = AddressPart(
    lambda local, domain, _: f"{quote_local(local)}@{domain}" if domain else local
)
ADDRESS_TAGS: Final = (
    Tag("all", ADDRESS_PART, meaning=ALL_PART),
    Tag("localpart", ADDRESS_PART, meaning=AddressPart(lambda local, domain, _: local)),
    Tag("domain", ADDRESS_PART, meaning=AddressPart(lambda local, domain, _: domain)),
)

Values = Callable[[Run], Sequence[str]]


def taken(part: AddressPart, reading: Reading, delimiters: str) -> str | None:
    """Return a part of what was read in a field; only :all has what is no address (RFC 5228 §2.7.4).

    An empty field is empty in all its parts.
    """
    if isinstance(reading, str):
        return reading if part is ALL_PART or not reading else None
    return part.take(reading.local, reading.domain, delimiters)


def value_test(
    compiler: Compiler,
    bound: Bound,
    values: Values,
    keys: tuple[String, ...],
    *,
    default: Comparator = ASCII_CASEMAP,
    counted: Values | None = None,
    captures: bool = True,
) -> Code | None:
    """Make the code of a test that compares values with keys; None after an error.

    counted: what a :count counts, if that is something else. captures: a match may set match variables.
    """
    comparator = chosen_comparator(compiler, bound, default)
    kind = chosen_match_type(bound)
    match = chosen_matcher(compiler, bound, kind, comparator, keys, captures=captures)
    if match is None:
        return None
    if kind.counts and counted is not None:
        values = counted
    if compiler.is_traced:
        return plain(_traced(compiler, bound, kind, values, keys, match))
    return plain(lambda run: match(run, values(run)))


def chosen_match_type(bound: Bound) -> MatchType:
    """Return the match type that stands, or :is."""
    tag = bound.in_group(MATCH_TYPE)
    meaning = tag.tag.meaning if tag else IS
    assert isinstance(meaning, MatchType)
    return meaning


def chosen_address_part(bound: Bound) -> AddressPart:
    """Return the address part that stands, or :all."""
    tag = bound.in_group(ADDRESS_PART)
    meaning = tag.tag.meaning if tag else ALL_PART
    assert isinstance(meaning, AddressPart)
    return meaning


def chosen_comparator(
    compiler: Compiler, bound: Bound, default: Comparator = ASCII_CASEMAP
) -> Comparator | None:
    """Return the comparator that stands; None after an error."""
    node = bound.parameter("comparator")
    if node is None:
        return default
    found = compiler.language.comparators(compiler.required).get(node.value)
    if found is None:
        compiler.error(node.at, f"unknown comparator '{node.value}' for the {bound.word}")
    return found


def chosen_matcher(
    compiler: Compiler,
    bound: Bound,
    kind: MatchType,
    comparator: Comparator | None,
    keys: tuple[String, ...],
    *,
    captures: bool = True,
) -> Matcher | None:
    """Build the matcher for the keys; None after an error."""
    if comparator is None:
        return None
    if kind.is_substring and not comparator.has_substring:
        text = f"the comparator '{comparator.name}' can't be used with :{kind.name}"
        compiler.error(bound.at, text)
        return None
    tag = bound.tags.get(kind.name)
    parameter = tag.parameter.value if tag and isinstance(tag.parameter, String) else ""
    texts = compiler.texts(keys)
    captures = captures and "variables" in compiler.required
    arguments = MatchArguments(comparator, texts, parameter, captures, compiler.limits.regex_bytes)
    wrong = kind.check(arguments)
    if wrong:
        compiler.error(tag.at if tag else bound.at, wrong)
        return None
    return kind.build(arguments)


def _traced(
    compiler: Compiler,
    bound: Bound,
    kind: MatchType,
    values: Values,
    keys: tuple[String, ...],
    match: Matcher,
) -> Callable[[Run], int]:
    place = compiler.place(bound.at)

    def run_traced(run: Run) -> int:
        found = values(run)
        if run.trace is not None:
            shown = ", ".join(f'"{value[:100]}"' for value in found[:10])
            wanted = ", ".join(f'"{key.value[:100]}"' for key in keys[:10])
            run.trace(place, f"{bound.word.name} :{kind.name} on [{shown}] with [{wanted}]")
        return match(run, found)

    return run_traced
