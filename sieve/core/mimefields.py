"""Parts of structured MIME fields: :type, :subtype, :contenttype and :param of the header test (RFC 5703 §4.1).

Pure. They work on any field that is written like Content-Type or Content-Disposition.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from columba.common.mail.header import Field
from columba.common.mail.mime import parse_parameters, plain_value
from columba.sieve.core.fields import Fields
from columba.sieve.lang.binding import Bound, as_strings
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.words import Kind, Tag
from columba.sieve.run.state import Run

MIME_OPTION: Final = "MIME option"
OPTION_TAGS: Final = (
    Tag("type", MIME_OPTION),
    Tag("subtype", MIME_OPTION),
    Tag("contenttype", MIME_OPTION),
    Tag("param", MIME_OPTION, Kind.STRINGS),
)
_VALUE: Final = re.compile(r"\s*+([^\s;/]++)\s*+(?:/\s*+([^\s;/]*+)\s*+)?(?:;|$)")


def mime_values(compiler: Compiler, bound: Bound, fields: Fields) -> Callable[[Run], Sequence[str]]:
    """Return what gives the chosen part of each field; a field without it gives an empty text."""
    option = bound.in_group(MIME_OPTION)
    assert option is not None
    if option.tag.name != "param":
        name = option.tag.name
        return lambda run: [_part(field, name) for field in fields(run)]
    names = compiler.texts(as_strings(option.parameter))

    def values(run: Run) -> Sequence[str]:
        found: list[str] = []
        for field in fields(run):
            known = parse_parameters(field.unfolded)
            wanted = [name.get(run).lower() for name in names]
            found += [known[name] for name in wanted if name in known] or [""]
        return found

    return values


def _part(field: Field, name: str) -> str:
    """RFC 5703 §4.1: fields that are neither of the two are blank, and so is what can't be read."""
    match = _VALUE.match(plain_value(field.unfolded))
    is_type = field.name.lower() == "content-type"
    if match is None or not (is_type or field.name.lower() == "content-disposition"):
        return ""
    if is_type and not match[2]:
        return ""
    kind, subtype = match[1], (match[2] or "") if is_type else ""
    match name:
        case "type":
            return kind
        case "subtype":
            return subtype
        case _:
            return f"{kind}/{subtype}" if subtype else kind
