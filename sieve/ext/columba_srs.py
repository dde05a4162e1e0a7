"""vnd.columba.srs: the Sender Rewriting Scheme. docs/sieve/vnd.columba.srs.md.

Pure. The secrets come with the run's options, one a line; without one the words are a run-time error.
"""

from typing import Final

from columba.common.mail.srs import Srs
from columba.sieve.ext.columba_parts import AS_TAG, put_result, result_variable
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.errors import Position
from columba.sieve.lang.words import Extension, Kind, Positional, Word
from columba.sieve.run.code import Code, plain
from columba.sieve.run.failure import ScriptFailure
from columba.sieve.run.state import Run
from columba.sieve.run.values import clean

SECRETS: Final = "columba_srs_secrets"


def build_forward(compiler: Compiler, bound: Bound) -> Code | None:
    """Build the test `srs_forward`: true if the sender has to be rewritten; :as says into what."""
    place, variable = compiler.place(bound.at), result_variable(compiler, bound)
    address, domain = compiler.text(bound.string(0)), compiler.text(bound.string(1))
    if variable is None:
        return None

    def run_forward(run: Run) -> int:
        srs = _srs(run, place)
        made = srs.forward(_bare(clean(address.get(run))), clean(domain.get(run)), run.wall_s)
        put_result(run, variable if made is not None else "", made or "", place)
        return made is not None

    return plain(run_forward)


def build_reverse(compiler: Compiler, bound: Bound) -> Code | None:
    """Build the test `srs_reverse`: true if we have rewritten the address, not too long ago; :as says from what."""
    place, variable = compiler.place(bound.at), result_variable(compiler, bound)
    address = compiler.text(bound.string(0))
    if variable is None:
        return None

    def run_reverse(run: Run) -> int:
        found = _srs(run, place).reverse(_bare(clean(address.get(run))), run.wall_s)
        put_result(run, variable if found is not None else "", found or "", place)
        return found is not None

    return plain(run_reverse)


def _srs(run: Run, place: Position) -> Srs:
    lines = run.limits.options.get(SECRETS, "").split("\n")
    secrets = tuple(line.encode("utf-8", "surrogateescape") for line in lines if line)
    if not secrets:
        raise ScriptFailure("srs needs a secret: srs_secret_file is not set", place)
    return Srs(secrets)


def _bare(address: str) -> str:
    return address.removeprefix("<").removesuffix(">")


SRS: Final = Extension(
    "vnd.columba.srs",
    words=(
        Word(
            "srs_forward",
            True,
            build_forward,
            (Positional(Kind.STRING, "address"), Positional(Kind.STRING, "domain")),
            (AS_TAG,),
        ),
        Word("srs_reverse", True, build_reverse, (Positional(Kind.STRING, "address"),), (AS_TAG,)),
    ),
)
