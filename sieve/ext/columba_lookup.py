"""vnd.columba.lookup: ask a look-up table. docs/sieve/vnd.columba.lookup.md.

Pure. A table that can't answer ends the run with a temporary error: it is never "not found".
"""

from typing import Final

from columba.sieve.ext.rfc5229_variables import store, variable_name
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import Asked, Code, asking
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.requests import Found, Lookup, Unavailable
from columba.sieve.run.state import Run
from columba.sieve.run.values import clean


def build_lookup(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `lookup`; the table's name is constant, so that a misspelt one is found when compiling."""
    node, place = bound.string(0), compiler.place(bound.at)
    table = compiler.constant(node, "the name of a look-up table")
    if table is None:
        return None
    if compiler.tables is not None and table not in compiler.tables:
        compiler.error(node.at, f"there is no look-up table '{table[:60]}'")
        return None
    keys = compiler.texts(bound.strings(1))
    name_node = bound.parameter("as")
    name = variable_name(compiler, name_node) if name_node is not None else ""
    if name is None:
        return None
    if name and "variables" not in compiler.required:
        compiler.error(
            bound.at, "the :as tag of the lookup test requires the extension 'variables'"
        )
        return None

    def run_lookup(run: Run) -> Asked:
        for key in keys:
            wanted = clean(key.get(run))
            answer = yield Lookup(table, wanted)
            if isinstance(answer, Unavailable):
                text = f"look-up table '{table}' does not answer: {answer.text}"
                raise ScriptFailure(text, place)
            if isinstance(answer, Found):
                if name:
                    store(run, name, answer.value, place)
                return True
        return False

    return asking(run_lookup)


LOOKUP: Final = Extension(
    "vnd.columba.lookup",
    words=(
        Word(
            "lookup",
            True,
            build_lookup,
            (Positional(Kind.STRING, "table"), Positional(Kind.STRINGS, "keys")),
            (Tag("as", takes=Kind.STRING),),
        ),
    ),
)
