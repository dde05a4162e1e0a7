"""extlists (RFC 6134): lists that are kept elsewhere: :list, valid_ext_list, and redirect :list.

Pure. What the lists hold comes with the run's limits. A list that is not known holds nothing.
"""

from collections.abc import Sequence
from typing import Final

from columba.sieve.core.matching import MATCH_TYPE
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.limits import list_name
from columba.sieve.lang.stage import EVERYWHERE
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import Code, plain
from columba.sieve.run.match import MatchArguments, Matcher, MatchType
from columba.sieve.run.state import Run


def match_list(arguments: MatchArguments) -> Matcher:
    """RFC 6134 §2.2: true if a value is in a list; the comparator has no say."""

    def match(run: Run, values: Sequence[str]) -> int:
        known = run.limits.lists
        items = [known.get(list_name(key.get(run)), frozenset()) for key in arguments.keys]
        for value in values:
            if any(value in some for some in items):
                if arguments.captures:
                    run.matches = (value,)
                return True
        return False

    return match


def build_valid(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 6134 §2.6: true if all the lists are known."""
    names = compiler.texts(bound.strings(0))
    return plain(lambda run: all(list_name(name.get(run)) in run.limits.lists for name in names))


EXTLISTS: Final = Extension(
    "extlists",
    words=(Word("valid_ext_list", True, build_valid, (Positional(Kind.STRINGS, "list names"),)),),
    joins=(
        (":is", (Tag("list", MATCH_TYPE, meaning=MatchType("list", match_list)),)),
        ("redirect", (Tag("list"),)),
    ),
    stages=EVERYWHERE,
)
