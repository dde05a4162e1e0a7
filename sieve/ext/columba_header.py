"""vnd.columba.header: edits that editheader (RFC 5293) can't make. docs/sieve/vnd.columba.header.md.

Pure. As with editheader, tests and actions behind an edit see the edited message, and fields that nobody names keep
their octets. Unlike there, the administrator's own policy may touch any field.
"""

from collections.abc import Callable
from typing import Final

from columba.common.mail.header import Field, Header, fold
from columba.common.mail.header import field as make_field
from columba.sieve.core.fields import INDEX_TAGS, check_index
from columba.sieve.core.matching import (
    MATCH_TAGS,
    chosen_comparator,
    chosen_match_type,
    chosen_matcher,
)
from columba.sieve.core.tests import FIELD_NAME
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.errors import Position
from columba.sieve.lang.stage import CONTENT
from columba.sieve.lang.tree import String
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import GO, Code, plain
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.match import Matcher
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, clean

VALUE_BYTES: Final = 16_384
_PLACE: Final = "place"

Choose = Callable[[Run, tuple[Field, ...]], tuple[Field, ...]]


def build_insert(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `insertheader`: before or behind another field; first in the header if there is none of that name."""
    name = _name(compiler, bound.string(0))
    tag = bound.in_group(_PLACE)
    node = tag.parameter if tag is not None else None
    beside = _name(compiler, node) if isinstance(node, String) else None
    if name is None or (isinstance(node, String) and beside is None):
        return None
    value, place = compiler.text(bound.string(1)), compiler.place(bound.at)
    is_behind = tag is not None and tag.tag.name == "after"

    def run_insert(run: Run) -> int:
        raw = _raw(run, name, value, place)
        header = run.message.header
        near = header.get_all(beside.get(run)) if beside is not None else ()
        if not near:
            changed = header.prepend(raw)
        else:
            old = near[-1] if is_behind else near[0]
            changed = _put(header, old, old.raw + raw if is_behind else raw + old.raw)
        run.message = run.message.with_header(changed)
        return GO

    return plain(run_insert)


def build_replace(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `replaceheader`: the first chosen field gives way where it stands, further ones go."""
    name = _name(compiler, bound.string(0))
    choose = _chosen(compiler, bound, 2)
    if name is None or choose is None:
        return None
    value, place, adds = compiler.text(bound.string(1)), compiler.place(bound.at), bound.has("add")

    def run_replace(run: Run) -> int:
        raw = _raw(run, name, value, place)
        header = run.message.header
        found = choose(run, header.get_all(name.get(run)))
        if found:
            run.message = run.message.with_header(_merged(header, found, raw))
        elif adds:
            run.message = run.message.with_header(header.append(raw))
        return GO

    return plain(run_replace)


def build_remove(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `removeheader`: all fields whose name matches."""
    comparator, kind = chosen_comparator(compiler, bound), chosen_match_type(bound)
    match = chosen_matcher(compiler, bound, kind, comparator, bound.strings(0), captures=False)
    if match is None:
        return None

    def run_remove(run: Run) -> int:
        header = run.message.header
        found = tuple(field for field in header if match(run, (field.name,)))
        if found:
            run.message = run.message.with_header(header.without(*found))
        return GO

    return plain(run_remove)


def _chosen(compiler: Compiler, bound: Bound, keys: int) -> Choose | None:
    """Return what chooses among fields by :index and by patterns; None after an error."""
    if not check_index(compiler, bound):
        return None
    node = bound.number_parameter("index")
    at = None if node is None else -node.value if bound.has("last") else node.value - 1
    matcher: Matcher | None = None
    if bound.positional[keys] is not None:
        comparator, kind = chosen_comparator(compiler, bound), chosen_match_type(bound)
        matcher = chosen_matcher(
            compiler, bound, kind, comparator, bound.strings(keys), captures=False
        )
        if matcher is None:
            return None

    def choose(run: Run, found: tuple[Field, ...]) -> tuple[Field, ...]:
        if at is not None:
            found = (found[at],) if -len(found) <= at < len(found) else ()
        if matcher is not None:
            found = tuple(field for field in found if matcher(run, (field.text,)))
        return found

    return choose


def _name(compiler: Compiler, node: String) -> Text | None:
    name = compiler.text(node)
    if name.constant is not None and FIELD_NAME.fullmatch(name.constant) is None:
        compiler.error(node.at, f"the field name '{name.constant[:60]}' is invalid")
        return None
    return name


def _raw(run: Run, name: Text, value: Text, place: Position) -> bytes:
    field_name, text = name.get(run), clean(value.get(run)).strip()
    if FIELD_NAME.fullmatch(field_name) is None:
        raise ScriptFailure(f"the field name {field_name!a:.60} is invalid", place)
    if len(text.encode("utf-8")) > VALUE_BYTES:
        raise ScriptFailure(f"the value of a field is longer than {VALUE_BYTES} octets", place)
    return make_field(field_name, text) if text else fold(field_name, b"")


def _put(header: Header, old: Field, raw: bytes) -> Header:
    return Header(b"".join([raw if field is old else field.raw for field in header]))


def _merged(header: Header, found: tuple[Field, ...], raw: bytes) -> Header:
    gone = {id(field) for field in found[1:]}
    kept = [raw if f is found[0] else f.raw for f in header if id(f) not in gone]
    return Header(b"".join(kept))


_FIELD_ARGUMENTS: Final = (Positional(Kind.STRING, "field name"), Positional(Kind.STRING, "value"))

HEADER: Final = Extension(
    "vnd.columba.header",
    words=(
        Word(
            "insertheader",
            False,
            build_insert,
            _FIELD_ARGUMENTS,
            (Tag("before", _PLACE, Kind.STRING), Tag("after", _PLACE, Kind.STRING)),
            stages=CONTENT,
        ),
        Word(
            "replaceheader",
            False,
            build_replace,
            (*_FIELD_ARGUMENTS, Positional(Kind.STRINGS, "value patterns")),
            (*MATCH_TAGS, *INDEX_TAGS, Tag("add")),
            stages=CONTENT,
            optional_last=1,
        ),
        Word(
            "removeheader",
            False,
            build_remove,
            (Positional(Kind.STRINGS, "field names"),),
            MATCH_TAGS,
            stages=CONTENT,
        ),
    ),
    stages=CONTENT,
)
