"""variables (RFC 5229): set with its modifiers, and the test string.

Pure. References in strings are read by lang/strings.py; match variables are set by run/match.py.
"""

import re
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from columba.sieve.core.matching import MATCH_TAGS, value_test
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.errors import Position
from columba.sieve.lang.tree import String
from columba.sieve.lang.words import Extension, Kind, Modifier, Positional, Tag, Word
from columba.sieve.run.code import GO, Code, plain
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.state import Run
from columba.sieve.run.values import truncate

GLOBAL: Final = "global."
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
_UPPER: Final = str.maketrans(ascii_lowercase, ascii_uppercase)
_WILDCARD: Final = re.compile(r"([*?\\])")


def _quote_wildcard(value: str, limit: int) -> str:
    """Put a backslash before * ? and backslash; never cut between a backslash and what it quotes."""
    quoted = _WILDCARD.sub(r"\\\1", value)
    short = truncate(quoted, limit)
    if len(short) == len(quoted):
        return quoted
    backslashes = len(short) - len(short.rstrip("\\"))
    return short[:-1] if backslashes % 2 else short


def _lower(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(_LOWER)


def _upper(text: str) -> str:
    return text.upper() if text.isascii() else text.translate(_UPPER)


# RFC 5229 §4.1; case is that of ASCII alone.
_MODIFIERS: Final = (
    ("lower", Modifier(40, lambda value, limit: truncate(_lower(value), limit))),
    ("upper", Modifier(40, lambda value, limit: truncate(_upper(value), limit))),
    ("lowerfirst", Modifier(30, lambda v, limit: truncate(_lower(v[:1]) + v[1:], limit))),
    ("upperfirst", Modifier(30, lambda v, limit: truncate(_upper(v[:1]) + v[1:], limit))),
    ("quotewildcard", Modifier(20, _quote_wildcard)),
    ("length", Modifier(10, lambda value, limit: str(len(value)))),
)
MODIFIER_TAGS: Final = tuple(
    Tag(name, f"modifier of precedence {modifier.precedence}", meaning=modifier)
    for name, modifier in _MODIFIERS
)


def variable_name(compiler: Compiler, node: String) -> str | None:
    """Return the name of a variable that can be assigned to, in lower case; None after an error.

    A global one (RFC 6609 §3.4) has GLOBAL before its name.
    """
    name = node.value
    if name.lower().startswith(GLOBAL) and "include" in compiler.required:
        name = name[len(GLOBAL) :]
        if _NAME.fullmatch(name) and len(name) <= compiler.limits.variable_name:
            return GLOBAL + name.lower()
        compiler.error(node.at, f"invalid variable name '{node.value[:60]}'")
        return None
    if not _NAME.fullmatch(name):
        namespace, dot, _ = name.partition(".")
        if dot and compiler.namespace(namespace.lower()) is not None:
            text = f"variables of the namespace '{namespace}' can't be assigned to"
        else:
            text = f"invalid variable name '{name[:60]}'"
        compiler.error(node.at, text)
        return None
    if len(name) > compiler.limits.variable_name:
        compiler.error(node.at, f"variable name '{name[:40]}…' is too long")
        return None
    name = name.lower()
    if name in compiler.globals:
        return GLOBAL + name
    compiler.locals.add(name)
    return name


def fetch(run: Run, name: str) -> str:
    """Return the value of a variable by the name that variable_name gave, or ""."""
    if name.startswith(GLOBAL):
        return run.globals.get(name.removeprefix(GLOBAL), "")
    return run.variables.get(name, "")


def store(run: Run, name: str, value: str, place: Position) -> None:
    """Set a variable, cut to the limit. Raises ScriptFailure if there are too many."""
    variables = run.variables
    if name.startswith(GLOBAL):
        variables, name = run.globals, name.removeprefix(GLOBAL)
    if name not in variables and len(variables) >= run.limits.variables:
        raise ScriptFailure(f"more than {run.limits.variables} variables", place)
    variables[name] = truncate(value, run.limits.variable_bytes)


def build_set(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5229 §4; the modifier with the highest precedence comes first."""
    name = variable_name(compiler, bound.string(0))
    if name is None:
        return None
    value = compiler.text(bound.string(1))
    place = compiler.place(bound.at)
    meanings = [tag.tag.meaning for tag in bound.tags.values()]
    modifiers = [meaning for meaning in meanings if isinstance(meaning, Modifier)]
    modifiers.sort(key=lambda modifier: -modifier.precedence)

    def run_set(run: Run) -> int:
        text = truncate(value.get(run), run.limits.variable_bytes)
        for modifier in modifiers:
            text = modifier.change(text, run.limits.variable_bytes)
        store(run, name, text, place)
        return GO

    return plain(run_set)


def build_string(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5229 §5; :count counts the strings that are not empty."""
    texts = compiler.texts(bound.strings(0))
    return value_test(
        compiler,
        bound,
        lambda run: [text.get(run) for text in texts],
        bound.strings(1),
        counted=lambda run: [value for text in texts if (value := text.get(run))],
    )


VARIABLES: Final = Extension(
    "variables",
    words=(
        Word(
            "set",
            False,
            build_set,
            (Positional(Kind.STRING, "name"), Positional(Kind.STRING, "value")),
            MODIFIER_TAGS,
        ),
        Word(
            "string",
            True,
            build_string,
            (Positional(Kind.STRINGS, "source"), Positional(Kind.STRINGS, "key list")),
            MATCH_TAGS,
        ),
    ),
)
