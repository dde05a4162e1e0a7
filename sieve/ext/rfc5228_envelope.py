"""envelope (RFC 5228 §5.4), with the part "auth" for the authenticated user.

Pure. A null sender has one empty value for every address part. An unreadable address has no value.
"""

from collections.abc import Sequence
from typing import Final

from columba.sieve.core.matching import (
    ADDRESS_PART,
    ADDRESS_TAGS,
    MATCH_TAGS,
    chosen_address_part,
    value_test,
)
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import ENVELOPE, Stage
from columba.sieve.lang.words import AddressPart, Extension, Kind, Positional, Word
from columba.sieve.run.code import Code
from columba.sieve.run.envelope import Path
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text

_PARTS: Final = frozenset({"from", "to", "auth"})
_ADDRESSES: Final = frozenset({"from", "to"})
# RFC 6009 §2, §4: parts that other extensions bring.
_MORE_PARTS: Final = {
    "envelope-dsn": {"notify", "orcpt", "ret", "envid"},
    "envelope-deliverby": {"bytimeabsolute", "bytimerelative", "bymode", "bytrace"},
}


def build_envelope(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §5.4; an unknown part is an error."""
    parts = []
    known = set(_PARTS).union(*(_MORE_PARTS.get(each, ()) for each in compiler.required))
    for node in bound.strings(0):
        text = compiler.text(node)
        name = text.constant
        if name is not None and name.lower() not in known:
            compiler.error(node.at, f"unknown envelope part '{name[:40]}'")
            return None
        if name is not None and name.lower() == "to" and compiler.stage is Stage.MAIL:
            compiler.error(node.at, "the envelope part 'to' is not known in the mail stage")
            return None
        if (
            name is not None
            and name.lower() not in _ADDRESSES
            and (tag := bound.in_group(ADDRESS_PART))
        ):
            text_of_error = (
                f"the address part :{tag.tag.name} goes with no '{name}' of the envelope"
            )
            compiler.error(tag.at, text_of_error)
            return None
        parts.append(text)
    address_part = chosen_address_part(bound)
    return value_test(
        compiler, bound, lambda run: _values(run, parts, address_part), bound.strings(1)
    )


def _values(run: Run, parts: Sequence[Text], part: AddressPart) -> list[str]:
    found: list[str] = []
    for name in parts:
        match name.get(run).lower():
            case "from" if run.envelope.sender is not None:
                found += _taken(run, (run.envelope.sender,), part)
            case "to":
                found += _taken(run, run.envelope.recipients, part)
            case "auth" if run.envelope.login:
                found.append(run.envelope.login)
            case part_of_dsn:
                found += run.envelope.dsn.get(part_of_dsn, ())
    return found


def _taken(run: Run, paths: tuple[Path, ...], part: AddressPart) -> list[str]:
    """Return the part of each path; the null path is empty whatever the part."""
    delimiters = run.limits.delimiters
    values = ["" if p.is_null else part.take(p.local, p.domain, delimiters) for p in paths]
    return [value for value in values if value is not None]


ENVELOPE_EXTENSION: Final = Extension(
    "envelope",
    words=(
        Word(
            "envelope",
            True,
            build_envelope,
            (Positional(Kind.STRINGS, "envelope parts"), Positional(Kind.STRINGS, "key list")),
            MATCH_TAGS + ADDRESS_TAGS,
            stages=ENVELOPE,
        ),
    ),
)
# A name of its own for the part "auth", for scripts that ask whether it is there.
ENVELOPE_AUTH: Final = Extension("envelope-auth", implies=("envelope",), stages=ENVELOPE)
