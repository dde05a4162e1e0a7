"""The tree of a script, as it is written: nothing is looked up or checked yet.

Pure. `at` is the offset of a node's first character in the source.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tag:
    """`:name`, in lower case without the colon."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number with K, M or G applied."""

    value: int
    at: int


@dataclass(frozen=True, slots=True)
class String:
    """A string with escapes undone and CRLF line ends; variables are not replaced yet."""

    value: str
    at: int


@dataclass(frozen=True, slots=True)
class StringList:
    """`["a", "b"]`."""

    items: tuple[String, ...]
    at: int


Argument = Tag | Number | String | StringList


@dataclass(frozen=True, slots=True)
class Arguments:
    """What stands between a word and its end. is_list: the tests stood in brackets."""

    values: tuple[Argument, ...]
    tests: tuple["Test", ...] = ()
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class Test:
    """A test, its name in lower case."""

    name: str
    arguments: Arguments
    at: int


@dataclass(frozen=True, slots=True)
class Command:
    """A command, its name in lower case; block is None if it ended in a semicolon."""

    name: str
    arguments: Arguments
    block: tuple["Command", ...] | None
    at: int
    end: int  # where its semicolon or brace stands


Node = Command | Test
