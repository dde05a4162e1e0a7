"""Which fields of which header a test looks at: all of that name, or what :index and :mime choose.

Pure. header, address, exists and date ask here; index (RFC 5260) and mime (RFC 5703) are their tags.
"""

from collections.abc import Callable, Sequence
from typing import Final

from columba.common.mail.header import Field, Header
from columba.common.mail.mime import Part
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.words import Kind, Tag
from columba.sieve.run.message import Message, Reading, read_addresses
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text

MIME_TAGS: Final = ("anychild", "type", "subtype", "contenttype", "param")
INDEX_TAGS: Final = (Tag("index", takes=Kind.NUMBER), Tag("last"))

Fields = Callable[[Run], Sequence[Field]]
Readings = Callable[[Run], Sequence[Reading]]


def is_plain(bound: Bound) -> bool:
    """Tell whether a test looks at all fields of the message's own header."""
    return not bound.tags.keys() & {"index", "last", "mime", *MIME_TAGS}


def check_index(compiler: Compiler, bound: Bound) -> bool:
    """RFC 5260 §6: :last needs :index, and counting begins at 1. False after an error."""
    last, index = bound.tags.get("last"), bound.number_parameter("index")
    if last is not None and index is None:
        text = f"the :last tag of the {bound.word} cannot be specified without the :index tag"
        compiler.error(last.at, text)
        return False
    if index is not None and index.value < 1:
        compiler.error(index.at, f"the :index tag of the {bound.word} requires a number above 0")
        return False
    return True


def chosen_fields(compiler: Compiler, bound: Bound, names: Sequence[Text]) -> Fields | None:
    """Return what gives the fields that a test looks at; None after an error."""
    if not check_index(compiler, bound) or not _check_mime(compiler, bound):
        return None
    headers = chosen_headers(bound)
    node = bound.number_parameter("index")
    at = 0 if node is None else -node.value if bound.has("last") else node.value - 1

    def fields(run: Run) -> Sequence[Field]:
        found = [
            field
            for header in headers(run)
            for name in names
            for field in header.get_all(name.get(run))
        ]
        if node is None:
            return found
        return (found[at],) if -len(found) <= at < len(found) else ()

    return fields


def _check_mime(compiler: Compiler, bound: Bound) -> bool:
    """RFC 5703 §4: its other tags need :mime. False after an error."""
    for name in MIME_TAGS:
        if bound.has(name) and not bound.has("mime"):
            text = f"the :{name} tag of the {bound.word} cannot be specified without the :mime tag"
            compiler.error(bound.tags[name].at, text)
            return False
    return True


def chosen_headers(bound: Bound) -> Callable[[Run], Sequence[Header]]:
    """Return what gives the headers that a test looks at (RFC 5703 §4)."""
    if not bound.has("mime"):
        return lambda run: (run.message.header,)
    if bound.has("anychild"):
        return lambda run: [part.header for part in current_parts(run)]
    return lambda run: (current_parts(run)[0].header,)


def current_parts(run: Run) -> Sequence[Part]:
    """Return the part that a foreverypart looks at, or the message, and all parts below it."""
    return parts_below(run.message, run.part or "")


def parts_below(message: Message, number: str) -> Sequence[Part]:
    """Return the part of that number, then all below it; the message itself if it is not there."""
    parts = message.structure.parts
    found = [p for p in parts if p.number == number or p.number.startswith(number + ".")]
    return found if number and found else parts


def field_texts(fields: Fields) -> Callable[[Run], Sequence[str]]:
    """Return what gives the decoded values of fields."""
    return lambda run: [field.text for field in fields(run)]


def field_readings(fields: Fields) -> Readings:
    """Return what gives the addresses in fields."""
    return lambda run: [each for field in fields(run) for each in read_addresses(field)]
