"""include (RFC 6609): include, return, and variables that scripts share.

Pure. An included script is compiled with the one that includes it, so its name must be constant. Its variables
are its own; those that `global` names, and the namespace `global`, are shared.
"""

import re
from typing import Final

from columba.sieve.ext.rfc5229_variables import GLOBAL
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.errors import CompileErrors
from columba.sieve.lang.includes import Loaded
from columba.sieve.lang.stage import EVERYWHERE
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import GO, RETURN, Asked, Code, asking, evaluate, plain
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text

NAME_BYTES: Final = 256
_LOCATION: Final = "location"
_ILLEGAL: Final = re.compile("[/\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_VARIABLE: Final = re.compile(r"[a-z_][a-z0-9_]*")


def build_include(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 6609 §3.2."""
    node = bound.string(0)
    name = compiler.constant(node, "the name of an included script")
    if name is None:
        return None
    if not name or _ILLEGAL.search(name) or len(name.encode("utf-8")) > NAME_BYTES:
        compiler.error(node.at, f"invalid script name {name!a:.100}")
        return None
    location = "global" if bound.has("global") else "personal"
    found = compiler.includes.load(location, name) if compiler.includes is not None else None
    if found is None:
        if bound.has("optional"):
            return None
        compiler.error(node.at, f"the included {location} script '{name[:80]}' does not exist")
        return None
    code = _compiled(compiler, bound, found)
    if code is None:
        return None
    return _included(code, found.name, is_once=bound.has("once"))


def _compiled(compiler: Compiler, bound: Bound, found: Loaded) -> Code | None:
    """Return the code of an included script; None after an error."""
    includes = compiler.includes
    assert includes is not None
    if found.name in includes.open:
        compiler.error(bound.at, f"script '{bound.string(0).value}' includes itself")
        return None
    if found.name in includes.known:
        return includes.known[found.name]
    depth, count = compiler.limits.include_depth, compiler.limits.includes
    if len(includes.open) > depth:
        compiler.error(bound.at, f"cannot nest includes deeper than {depth} levels")
        return None
    if len(includes.known) + len(includes.open) - 1 >= count:
        compiler.error(bound.at, f"cannot include more than {count} scripts")
        return None
    includes.open.append(found.name)
    made = includes.compile(found)
    includes.open.pop()
    if isinstance(made, CompileErrors):
        compiler.adopt(made)
        compiler.error(bound.at, f"the included script '{bound.string(0).value}' is wrong")
        return None
    includes.known[found.name] = made
    return made


def _included(code: Code, name: str, *, is_once: bool) -> Code:
    """RFC 6609 §3.2: :once passes over a script that was included before."""

    def run_included(run: Run) -> Asked:
        if is_once and name in run.included:
            return GO
        run.included.add(name)
        kept = run.variables, run.matches
        run.variables, run.matches = {}, ()
        flow = yield from evaluate(code, run)
        run.variables, run.matches = kept
        return GO if flow == RETURN else flow

    def run_plain(run: Run) -> int:
        try:
            next(run_included(run))
        except StopIteration as end:
            flow: int = end.value
            return flow
        raise AssertionError("plain code asked")

    return asking(run_included) if code.plain is None else plain(run_plain)


def build_return(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 6609 §3.3: end this script; the one that included it goes on."""
    return plain(lambda run: RETURN)


def build_global(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 6609 §3.4.1: these variables are shared from here on."""
    if "variables" not in compiler.required:
        text = f"the {bound.word} requires the extension 'variables'"
        compiler.error(bound.at, text)
        return None
    for node in bound.strings(0):
        name = node.value.lower()
        if name in compiler.locals and name not in compiler.globals:
            compiler.error(node.at, f"variable '{node.value[:60]}' is already used as a local one")
            return None
        if _VARIABLE.fullmatch(name) is None or len(name) > compiler.limits.variable_name:
            compiler.error(node.at, f"invalid variable name '{node.value[:60]}'")
            return None
        compiler.globals.add(name)
    return None


def _namespace(rest: str) -> Text | None:
    """RFC 6609 §3.4.2: ${global.name}."""
    if not _VARIABLE.fullmatch(rest):
        return None
    return Text(lambda run: run.globals.get(rest, ""))


_NAMES: Final = (Positional(Kind.STRINGS, "variable names"),)

INCLUDE: Final = Extension(
    "include",
    words=(
        Word(
            "include",
            False,
            build_include,
            (Positional(Kind.STRING, "script name"),),
            (Tag("personal", _LOCATION), Tag("global", _LOCATION), Tag("once"), Tag("optional")),
        ),
        Word("return", False, build_return),
        Word("global", False, build_global, _NAMES),
        # What the drafts called it.
        Word("import", False, build_global, _NAMES),
        Word("export", False, build_global, _NAMES),
    ),
    namespaces={GLOBAL.removesuffix("."): _namespace},
    stages=EVERYWHERE,
)
