"""vnd.dovecot.debug: debug_log writes a line of level debug, and tells the trace of the run.

Pure.
"""

from typing import Final

from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import EVERYWHERE
from columba.sieve.lang.words import Extension, Kind, Positional, Word
from columba.sieve.run.code import GO, Code, plain
from columba.sieve.run.state import Run, Said
from columba.sieve.run.values import clean

SAID_LENGTH: Final = 400


def build_debug_log(compiler: Compiler, bound: Bound) -> Code | None:
    """Build `debug_log`."""
    text, place = compiler.text(bound.string(0)), compiler.place(bound.at)

    def run_log(run: Run) -> int:
        words = clean(text.get(run))
        run.say(Said("debug", "Script says", (("text", words[:SAID_LENGTH]),), place))
        if run.trace is not None:
            run.trace(place, f"DEBUG: {words}")
        return GO

    return plain(run_log)


DEBUG: Final = Extension(
    "vnd.dovecot.debug",
    words=(Word("debug_log", False, build_debug_log, (Positional(Kind.STRING, "message"),)),),
    stages=EVERYWHERE,
)
