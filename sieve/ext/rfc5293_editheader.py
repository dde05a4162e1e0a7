"""editheader (RFC 5293): addheader and deleteheader.

Pure. An edit makes another message, and tests and actions behind it see that one. Fields that nobody names keep
their octets. Edits that the site forbids are passed over.
"""

import re
from typing import Final

from columba.common.mail.header import Field, fold
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
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import CONTENT
from columba.sieve.lang.tree import String
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import GO, Code, plain
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.match import Matcher
from columba.sieve.run.options import is_yes, names_in
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text, clean

# A line end in a value is a place to fold, whether or not a blank follows.
_FOLDED: Final = re.compile(r"\r?\n(?=[ \t])")
_BROKEN: Final = re.compile(r"\r?\n")
_ILLEGAL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NEVER_DELETED: Final = frozenset({"received", "auto-submitted"})
_DEFAULT_SIZE: Final = 2048
_LEAST_SIZE: Final = 1024


def build_addheader(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5293 §4."""
    name, value = compiler.text(bound.string(0)), compiler.text(bound.string(1))
    wrong = _wrong_name(name.constant) if name.constant is not None else ""
    if wrong:
        compiler.error(bound.string(0).at, wrong)
        return None
    if value.constant is not None:
        wrong = _wrong_value(value.constant, compiler.limits)
        if wrong:
            compiler.error(bound.string(1).at, wrong)
            return None
    is_last, place = bound.has("last"), compiler.place(bound.at)

    def run_add(run: Run) -> int:
        field_name, text = name.get(run), value.get(run)
        wrong = _wrong_name(field_name) or _wrong_value(text, run.limits)
        if wrong:
            raise ScriptFailure(wrong, place)
        if not _may(run.limits, field_name, "forbid_add"):
            return GO
        raw = _field(field_name, clean(_trimmed(text)))
        header = run.message.header
        header = header.append(raw) if is_last else header.prepend(raw)
        run.message = run.message.with_header(header)
        return GO

    return plain(run_add)


def build_deleteheader(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5293 §5."""
    node, place = bound.string(0), compiler.place(bound.at)
    name = compiler.text(node)
    wrong = _wrong_name(name.constant) if name.constant is not None else ""
    if wrong:
        compiler.error(node.at, wrong)
        return None
    if not check_index(compiler, bound):
        return None
    matcher: Matcher | None = None
    if bound.positional[1] is not None:
        matcher = _matcher(compiler, bound, bound.strings(1))
        if matcher is None:
            return None
    index = bound.number_parameter("index")
    at = None if index is None else -index.value if bound.has("last") else index.value - 1

    def run_delete(run: Run) -> int:
        wrong = _wrong_name(name.get(run))
        if wrong:
            raise ScriptFailure(wrong, place)
        _delete(run, name, at, matcher)
        return GO

    return plain(run_delete)


def _matcher(compiler: Compiler, bound: Bound, keys: tuple[String, ...]) -> Matcher | None:
    comparator = chosen_comparator(compiler, bound)
    kind = chosen_match_type(bound)
    return chosen_matcher(compiler, bound, kind, comparator, keys, captures=False)


def _delete(run: Run, name: Text, at: int | None, matcher: Matcher | None) -> None:
    wanted = name.get(run)
    if wanted.lower() in _NEVER_DELETED or not _may(run.limits, wanted, "forbid_delete"):
        return
    header = run.message.header
    found: tuple[Field, ...] = header.get_all(wanted)
    if at is not None:
        found = (found[at],) if -len(found) <= at < len(found) else ()
    if matcher is not None:
        found = tuple(field for field in found if matcher(run, (field.text,)))
    if found:
        run.message = run.message.with_header(header.without(*found))


def _field(name: str, text: str) -> bytes:
    return fold(name, b"") if not text else make_field(name, text)


def _trimmed(value: str) -> str:
    return _BROKEN.sub(" ", _FOLDED.sub("", value.strip()))


def _wrong_name(name: str) -> str:
    if FIELD_NAME.fullmatch(name):
        return ""
    return f"the specified field name '{clean(name)[:80]}' is invalid"


def _wrong_value(value: str, limits: Limits) -> str:
    said = limits.options.get("sieve_editheader_max_header_size", "")
    most = max(_LEAST_SIZE, int(said)) if said.isdecimal() else _DEFAULT_SIZE
    if _ILLEGAL.search(_trimmed(value)):
        return f"the specified value '{clean(value)[:80]}' for the header field is invalid"
    if len(value.encode("utf-8", "surrogateescape")) > most:
        return f"the specified value for the header field is longer than {most} octets"
    return ""


def _may(limits: Limits, name: str, forbidden: str) -> bool:
    """Tell whether the site allows an edit; the subject may always be changed (RFC 5293 §6)."""
    name = name.lower()
    if name == "subject":
        return True
    options = limits.options
    old = {"forbid_add": "sieve_editheader_forbid_add"}.get(
        forbidden, "sieve_editheader_forbid_delete"
    )
    flat = names_in(options, old) | names_in(options, "sieve_editheader_protected")
    if name in flat:
        return False
    prefix = "sieve_editheader_header"
    for key in names_in(options, prefix):
        said = next((k for k in options if k.lower() == f"{prefix}/{key}/name"), "")
        means = options.get(said, key).strip().lower()
        rule = next((k for k in options if k.lower() == f"{prefix}/{key}/{forbidden}"), "")
        if means == name and is_yes(options, rule):
            return False
    return True


EDITHEADER: Final = Extension(
    "editheader",
    words=(
        Word(
            "addheader",
            False,
            build_addheader,
            (Positional(Kind.STRING, "field name"), Positional(Kind.STRING, "value")),
            (Tag("last"),),
        ),
        Word(
            "deleteheader",
            False,
            build_deleteheader,
            (Positional(Kind.STRING, "field name"), Positional(Kind.STRINGS, "value patterns")),
            (*MATCH_TAGS, *INDEX_TAGS),
            optional_last=1,
        ),
    ),
    stages=CONTENT,
)
