"""Tests of RFC 5228 §5 that look at the message: address, exists, header, size.

Pure.
"""

import re
from collections.abc import Sequence
from typing import Final

from columba.sieve.core.fields import (
    Readings,
    chosen_fields,
    chosen_headers,
    field_readings,
    field_texts,
    is_plain,
)
from columba.sieve.core.matching import (
    ADDRESS_TAGS,
    ALL_PART,
    MATCH_TAGS,
    Values,
    chosen_address_part,
    taken,
    value_test,
)
from columba.sieve.core.mimefields import MIME_OPTION, mime_values
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import MESSAGE
from columba.sieve.lang.tree import String
from columba.sieve.lang.words import AddressPart, Kind, Positional, Tag, Word
from columba.sieve.run.code import Code, plain
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, clean

# RFC 5322 §2.2: printable ASCII but the colon.
FIELD_NAME: Final = re.compile(r"[!-9;-~]+")
# RFC 5228 §5.1 lets an implementation restrict the test to fields that hold addresses.
_RESENT: Final = ("from", "to", "cc", "bcc", "sender", "reply-to")
ADDRESS_FIELDS: Final = frozenset(
    {*_RESENT, *(f"resent-{name}" for name in _RESENT)}
    | {"for-approval", "for-handling", "for-comment", "apparently-to", "errors-to"}
    | {"delivered-to", "return-receipt-to", "return-receipt-requested", "read-receipt-to"}
    | {"registered-mail-reply-requested-by", "mail-followup-to", "mail-reply-to"}
    | {"abuse-reports-to", "x-admin", "x-confirm-reading-to", "x-complaints-to"}
    | {"x-report-abuse-to", "x-beenthere", "x-original-from", "x-original-to"}
)


def build_header(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §5.7."""
    names = field_names(compiler, bound.strings(0))
    if is_plain(bound):
        return value_test(compiler, bound, header_values(names), bound.strings(1))
    fields = chosen_fields(compiler, bound, names)
    if fields is None:
        return None
    option = bound.in_group(MIME_OPTION)
    values = field_texts(fields)
    if option is not None:
        values = mime_values(compiler, bound, fields)
    return value_test(compiler, bound, values, bound.strings(1))


def build_address(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §5.1. What can't be read as an address has no value."""
    names = field_names(compiler, bound.strings(0))
    for node, name in zip(bound.strings(0), names, strict=True):
        if name.constant is not None and name.constant not in ADDRESS_FIELDS:
            compiler.error(node.at, f"header '{node.value}' is not allowed in the address test")
            return None
    part = chosen_address_part(bound)
    readings = address_readings(names)
    if not is_plain(bound):
        fields = chosen_fields(compiler, bound, names)
        if fields is None:
            return None
        readings = field_readings(fields)
    return value_test(
        compiler,
        bound,
        address_values(readings, part),
        bound.strings(1),
        # RFC 5231 §4.2: addresses are counted, whatever part of them is looked at.
        counted=address_values(readings, ALL_PART),
    )


def build_exists(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §5.5: true if every one of the fields is there."""
    names = field_names(compiler, bound.strings(0))
    if not is_plain(bound):
        if chosen_fields(compiler, bound, names) is None:
            return None
        headers = chosen_headers(bound)
        return plain(
            lambda run: all(any(name.get(run) in h for h in headers(run)) for name in names)
        )
    constants = [name.constant for name in names if name.constant is not None]
    if len(constants) == len(names):
        return plain(lambda run: all(run.message.has(name) for name in constants))
    return plain(lambda run: all(run.message.has(name.get(run).lower()) for name in names))


def build_size(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §5.9: neither is true for exactly that size."""
    limit = bound.number(0).value
    if bound.in_group("limit") is None:
        compiler.error(bound.at, "the size test requires the :over or :under tag")
        return None
    if bound.has("over"):
        return plain(lambda run: run.message.size > limit)
    return plain(lambda run: run.message.size < limit)


def field_names(compiler: Compiler, nodes: tuple[String, ...]) -> tuple[Text, ...]:
    """Return names of fields in lower case; warns of what can't be one."""
    texts = []
    for node in nodes:
        text = compiler.text(node)
        name = text.constant
        if name is not None and not FIELD_NAME.fullmatch(name):
            compiler.warn(node.at, f"'{clean(name)[:60]}' is not a valid header field name")
        texts.append(_lower(text))
    return tuple(texts)


def _lower(text: Text) -> Text:
    if text.constant is not None:
        name = text.constant.lower()
        return Text(lambda run: name, name)
    return Text(lambda run: text.get(run).lower())


def header_values(names: Sequence[Text]) -> Values:
    """Return what gives the decoded values of fields."""
    if len(names) == 1 and (only := names[0].constant) is not None:
        return lambda run: run.message.texts(only)
    return lambda run: [v for name in names for v in run.message.texts(name.get(run))]


def address_readings(names: Sequence[Text]) -> Readings:
    """Return what gives the addresses in fields."""
    if len(names) == 1 and (only := names[0].constant) is not None:
        return lambda run: run.message.readings(only)
    return lambda run: [each for name in names for each in run.message.readings(name.get(run))]


def address_values(readings: Readings, part: AddressPart) -> Values:
    """Return what gives parts of addresses."""

    def values(run: Run) -> Sequence[str]:
        marks = run.limits.delimiters
        found = [taken(part, each, marks) for each in readings(run)]
        return [value for value in found if value is not None]

    return values


_NAMES: Final = Positional(Kind.STRINGS, "header names")
_LIST: Final = Positional(Kind.STRINGS, "header list")
_KEYS: Final = Positional(Kind.STRINGS, "key list")

WORDS: Final = (
    Word("header", True, build_header, (_NAMES, _KEYS), MATCH_TAGS, stages=MESSAGE),
    Word("address", True, build_address, (_LIST, _KEYS), MATCH_TAGS + ADDRESS_TAGS, stages=MESSAGE),
    Word("exists", True, build_exists, (_NAMES,), stages=MESSAGE),
    Word(
        "size",
        True,
        build_size,
        (Positional(Kind.NUMBER, "limit"),),
        (Tag("over", "limit"), Tag("under", "limit")),
        stages=MESSAGE,
    ),
)
