"""vnd.columba.lookup: ask a look-up table. docs/sieve/vnd.columba.lookup.md.

Pure. A table that can't answer ends the run with a temporary error: it is never "not found".
"""

from typing import Final

from columba.sieve.ext.columba_parts import (
    AS_TAG,
    found_value,
    need,
    put_result,
    result_variable,
    table_name,
)
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.words import Extension, Kind, Positional, Word
from columba.sieve.run.code import Asked, Code, asking
from columba.sieve.run.requests import Lookup
from columba.sieve.run.state import Run
from columba.sieve.run.values import clean


def build_lookup(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `lookup`: true for the first key that the table has."""
    place, table = compiler.place(bound.at), table_name(compiler, bound.string(0))
    if table is None:
        return None
    keys, variable = compiler.texts(bound.strings(1)), result_variable(compiler, bound)
    if variable is None:
        return None

    def run_lookup(run: Run) -> Asked:
        for key in keys:
            asked = Lookup(table, clean(key.get(run)))
            value = found_value(need((yield asked), f"look-up table '{table}'", place))
            if value is not None:
                put_result(run, variable, value, place)
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
            (AS_TAG,),
        ),
    ),
)
