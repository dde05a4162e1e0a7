"""ihave (RFC 5463): a test for capabilities that switches them on, and the command error.

Pure. The test is answered when the script is compiled, so that what needs a missing capability is not looked at.
"""

from typing import Final

from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.words import Extension, Kind, Positional, Word
from columba.sieve.run.code import Code, constant, plain
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.state import Run


def build_ihave(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5463 §4: true if all of them are known; they are then required."""
    names = [node.value for node in bound.strings(0)]
    if not all(compiler.knows(name) for name in names):
        return constant(False)
    for name in names:
        compiler.require(name)
    return plain(lambda run: True)  # not constant: what stands behind an else is looked at


def build_error(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5463 §5: end the script with an error."""
    message, place = compiler.text(bound.string(0)), compiler.place(bound.at)

    def run_error(run: Run) -> int:
        raise ScriptFailure(message.get(run), place)

    return plain(run_error)


IHAVE: Final = Extension(
    "ihave",
    words=(
        Word("ihave", True, build_ihave, (Positional(Kind.STRINGS, "capabilities"),)),
        Word("error", False, build_error, (Positional(Kind.STRING, "message"),)),
    ),
)
