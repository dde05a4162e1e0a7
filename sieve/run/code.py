"""The shape of compiled code, and how pieces are put together.

Pure. A piece is plain (a function) as long as nothing in it can ask the world, and asking (a generator
that yields requests) only where it can: code that asks nothing pays nothing. This is the one module
that knows both shapes of the language's constructs.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Final

from columba.sieve.lang.errors import Position
from columba.sieve.run.requests import Answer, Request
from columba.sieve.run.state import Run

GO: Final = 0  # a command's answer: go on with the next one
STOP: Final = 1  # end the script
RETURN: Final = 2  # end this script, not the one that included it
BREAK: Final = 3  # leave a loop

Asked = Generator[Request, Answer, int]


@dataclass(frozen=True, slots=True)
class Code:
    """A compiled test (answers 0 or 1) or command (answers GO or what ends its block).

    Exactly one of plain and asking is set. constant: the answer of a test, if it is known beforehand.
    """

    plain: Callable[[Run], int] | None = None
    asking: Callable[[Run], Asked] | None = None
    constant: bool | None = None

    def __post_init__(self) -> None:
        assert (self.plain is None) is not (self.asking is None)


def plain(function: Callable[[Run], int]) -> Code:
    """Make a Code that never asks."""
    return Code(plain=function)


def asking(function: Callable[[Run], Asked]) -> Code:
    """Make a Code that may ask."""
    return Code(asking=function)


def constant(value: bool) -> Code:
    """Make a test whose answer is known."""
    return Code(plain=lambda run: value, constant=value)


def negate(test: Code) -> Code:
    """RFC 5228 §5.8."""
    known = None if test.constant is None else not test.constant
    if (inner := test.plain) is not None:
        return Code(plain=lambda run: not inner(run), constant=known)
    return Code(asking=lambda run: _negated(test, run), constant=known)


def all_of(tests: Sequence[Code]) -> Code:
    """RFC 5228 §5.2; tests after the first false one are not evaluated."""
    return _some(tests, is_any=False)


def any_of(tests: Sequence[Code]) -> Code:
    """RFC 5228 §5.3; tests after the first true one are not evaluated."""
    return _some(tests, is_any=True)


@dataclass(frozen=True, slots=True)
class Branch:
    """A test and the block behind it."""

    test: Code
    block: Code


def choose(branches: Sequence[Branch]) -> Code:
    """RFC 5228 §3.1: the block of the first test that is true."""
    pairs = [
        (branch.test.plain, branch.block.plain)
        for branch in branches
        if branch.test.plain is not None and branch.block.plain is not None
    ]
    if len(pairs) < len(branches):
        return asking(lambda run: _chosen(branches, run))

    def run_plain(run: Run) -> int:
        for test, block in pairs:
            if test(run):
                return block(run)
        return GO

    return plain(run_plain)


def sequence(commands: Sequence[tuple[Position, Code]]) -> Code:
    """Run commands in order until one ends the block; the time limit is looked at before each."""
    steps = [(place, code.plain) for place, code in commands if code.plain is not None]
    if len(steps) < len(commands):
        return asking(lambda run: _in_sequence(commands, run))

    def run_plain(run: Run) -> int:
        for place, step in steps:
            run.tick(place)
            flow = step(run)
            if flow != GO:
                return flow
        return GO

    return plain(run_plain)


def evaluate(code: Code, run: Run) -> Asked:
    """Run either shape as a generator."""
    if code.plain is not None:
        return code.plain(run)
    assert code.asking is not None
    return (yield from code.asking(run))


def _some(tests: Sequence[Code], is_any: bool) -> Code:
    rest = [test for test in tests if test.constant is not (not is_any)]
    if not rest:
        return constant(not is_any)
    # Tests before a decisive one are still evaluated: a match may set variables.
    known = is_any if any(test.constant is is_any for test in rest) else None
    functions = [test.plain for test in rest if test.plain is not None]
    if len(functions) < len(rest):
        return Code(asking=lambda run: _some_asking(rest, is_any, run), constant=known)

    def run_plain(run: Run) -> int:
        for function in functions:
            if bool(function(run)) is is_any:
                return is_any
        return not is_any

    return Code(plain=run_plain, constant=known)


def _some_asking(tests: Sequence[Code], is_any: bool, run: Run) -> Asked:
    for test in tests:
        answer = yield from evaluate(test, run)
        if bool(answer) is is_any:
            return is_any
    return not is_any


def _negated(test: Code, run: Run) -> Asked:
    answer = yield from evaluate(test, run)
    return not answer


def _chosen(branches: Sequence[Branch], run: Run) -> Asked:
    for branch in branches:
        if (yield from evaluate(branch.test, run)):
            return (yield from evaluate(branch.block, run))
    return GO


def _in_sequence(commands: Sequence[tuple[Position, Code]], run: Run) -> Asked:
    for place, code in commands:
        run.tick(place)
        flow = yield from evaluate(code, run)
        if flow != GO:
            return flow
    return GO
