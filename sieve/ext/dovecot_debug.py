"""vnd.dovecot.debug: debug_log tells the trace of the run.

Pure. Without a trace it does nothing.
"""

from typing import Final

from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import TESTER
from columba.sieve.lang.words import Extension, Kind, Positional, Word
from columba.sieve.run.code import GO, Code, plain
from columba.sieve.run.state import Run
from columba.sieve.run.values import clean


def build_debug_log(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `debug_log`."""
    text, place = compiler.text(bound.string(0)), compiler.place(bound.at)

    def run_log(run: Run) -> int:
        if run.trace is not None:
            run.trace(place, f"DEBUG: {clean(text.get(run))}")
        return GO

    return plain(run_log)


DEBUG: Final = Extension(
    "vnd.dovecot.debug",
    words=(Word("debug_log", False, build_debug_log, (Positional(Kind.STRING, "message"),)),),
    stages=TESTER,
)
