"""Control commands: require, if, elsif, else, stop (RFC 5228 §3), and the tests that combine tests (§5).

Pure.
"""

from typing import Final

from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.words import Kind, Positional, Subtests, Word
from columba.sieve.run.code import STOP, Code, all_of, any_of, constant, negate, plain


def build_require(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §3.2: first in the script; each unknown capability is an error of its own."""
    if compiler.level or not compiler.may_require:
        compiler.error(bound.at, "the require command must stand before all other commands")
        return None
    for name in bound.strings(0):
        if not compiler.require(name.value):
            text = f"unknown Sieve capability '{name.value}'"
            known = compiler.language.extensions.get(name.value)
            if known is not None and known.reserved:
                text = f"the capability '{name.value}' is reserved: {known.reserved}"
            elif known is not None:
                text = f"the capability '{name.value}' can't be used in the {compiler.stage} stage"
            compiler.error(name.at, text)
    return None


def build_if(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §3.1. The compiler puts the chain together."""
    compiler.begin_chain(bound.at)
    compiler.add_branch(bound, compiler.test(bound.node.arguments.tests[0]))
    return None


def build_elsif(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §3.1. Behind a statically true branch nothing is looked at."""
    compiler.check_link(bound)
    if not compiler.is_decided:
        compiler.add_branch(bound, compiler.test(bound.node.arguments.tests[0]))
    return None


def build_else(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §3.1."""
    compiler.check_link(bound)
    compiler.add_branch(bound, constant(True))
    return None


def build_stop(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §3.3."""
    return plain(lambda run: STOP)


def build_not(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §5.8."""
    codes = compiler.tests(bound)
    return negate(codes[0]) if codes else None


def build_all_of(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §5.2."""
    codes = compiler.tests(bound, decisive=False)
    return all_of(codes) if codes else None


def build_any_of(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5228 §5.3."""
    codes = compiler.tests(bound, decisive=True)
    return any_of(codes) if codes else None


WORDS: Final = (
    Word("require", False, build_require, (Positional(Kind.STRINGS, "capabilities"),)),
    Word("if", False, build_if, subtests=Subtests.ONE, has_block=True),
    Word("elsif", False, build_elsif, subtests=Subtests.ONE, has_block=True),
    Word("else", False, build_else, has_block=True),
    Word("stop", False, build_stop),
    Word("true", True, lambda compiler, bound: constant(True)),
    Word("false", True, lambda compiler, bound: constant(False)),
    Word("not", True, build_not, subtests=Subtests.ONE),
    Word("allof", True, build_all_of, subtests=Subtests.LIST),
    Word("anyof", True, build_any_of, subtests=Subtests.LIST),
)
