"""What a language consists of: words (commands and tests), tags, comparators, and the extensions that bring them.

Pure: descriptions only. RFC 5228 itself and every extension are an Extension; the registry lists them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from columba.sieve.lang.stage import EVERYWHERE, Stage
from columba.sieve.run.compare import Comparator
from columba.sieve.run.match import MatchType

if TYPE_CHECKING:
    from columba.sieve.lang.binding import Bound
    from columba.sieve.lang.compiler import Compiler
    from columba.sieve.run.code import Code
    from columba.sieve.run.values import Text


class Kind(Enum):
    """What an argument must be. A string list may be written as one string."""

    NUMBER = "number"
    STRING = "string"
    STRINGS = "string list"


class Subtests(Enum):
    """Which tests a word takes."""

    NONE = 0
    ONE = 1
    LIST = 2


@dataclass(frozen=True, slots=True)
class AddressPart:
    """Takes a part of an address, None is no value. Arguments: local part (no quotes), domain, delimiters."""

    take: Callable[[str, str, str], str | None]


@dataclass(frozen=True, slots=True)
class Modifier:
    """Changes the value that `set` stores; a higher precedence comes first (RFC 5229 §4.1).

    change takes the value and the limit in octets of a value, and keeps to it.
    """

    precedence: int
    change: Callable[[str, int], str]


@dataclass(frozen=True, slots=True)
class Tag:
    """A tagged argument. Of the tags of one group only one may stand; takes: the kind of its parameter."""

    name: str
    group: str = ""
    takes: Kind | None = None
    meaning: MatchType | AddressPart | Modifier | None = None


@dataclass(frozen=True, slots=True)
class Positional:
    """An argument without a tag; label is what messages call it."""

    kind: Kind
    label: str


Build = Callable[["Compiler", "Bound"], "Code | None"]


@dataclass(frozen=True, slots=True)
class Word:
    """A command or test. build makes its code, or notes errors and returns None.

    optional_first, optional_last: how many positional arguments at that end may be missing.
    is_control: belongs to the flow of the script, such as `if`; such words are never traced.
    """

    name: str
    is_test: bool
    build: Build
    positional: tuple[Positional, ...] = ()
    tags: tuple[Tag, ...] = ()
    subtests: Subtests = Subtests.NONE
    has_block: bool = False
    stages: frozenset[Stage] = EVERYWHERE
    optional_first: int = 0
    optional_last: int = 0

    @property
    def kind(self) -> str:
        """Return "test" or "command"."""
        return "test" if self.is_test else "command"

    def __str__(self) -> str:
        """Return how messages call it."""
        return f"{self.name} {self.kind}"


# Resolves `namespace.name` (the part behind the namespace) to a text; None: this is a mistake.
Namespace = Callable[[str], "Text | None"]


@dataclass(frozen=True, slots=True)
class Extension:
    """A capability that `require` can name.

    joins: tags for words of others: a key "header" is a word, a key ":is" every word that takes that tag.
    modifies_strings: marks of capabilities that change how strings are read are known by name to strings.py.
    implies: capabilities that are switched on with it. stages: where it may be required. reserved: why a name
    that is kept free can't be required anywhere.
    """

    name: str
    words: tuple[Word, ...] = ()
    joins: tuple[tuple[str, tuple[Tag, ...]], ...] = ()
    comparators: tuple[Comparator, ...] = ()
    implies: tuple[str, ...] = ()
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    stages: frozenset[Stage] = EVERYWHERE
    reserved: str = ""


class Language:
    """All that is known, by name. Built once from the registry's table; never changed."""

    def __init__(self, core: Extension, extensions: tuple[Extension, ...]) -> None:
        self.core = core
        self.extensions = {extension.name: extension for extension in extensions}
        # One name may be a command and a test; a word may come with several extensions.
        self._words: dict[tuple[str, bool], tuple[Word, tuple[str, ...]]] = {}
        for extension in (core, *extensions):
            for word in extension.words:
                key = (word.name, word.is_test)
                _, owners = self._words.get(key, (word, ()))
                self._words[key] = (word, (*owners, extension.name))

    def find(self, name: str, is_test: bool) -> tuple[Word | None, tuple[str, ...]]:
        """Return a word of this sort, else of the other sort, and the extensions that bring it."""
        found = self._words.get((name, is_test)) or self._words.get((name, not is_test))
        return found or (None, ())

    def with_extension(self, extension: Extension) -> "Language":
        """Return a language that knows one more extension."""
        return Language(self.core, (*self.extensions.values(), extension))

    def is_on(self, owners: tuple[str, ...], required: set[str]) -> bool:
        """Tell whether one of the extensions that bring a word is required."""
        return any(owner == self.core.name or owner in required for owner in owners)

    def tags_of(self, word: Word, required: set[str]) -> dict[str, Tag]:
        """Return the tags that a word takes, with those that required extensions add."""
        tags = {tag.name: tag for tag in word.tags}
        for name in required:
            extension = self.extensions.get(name)
            for key, joined in extension.joins if extension else ():
                is_taken = key[1:] in tags if key.startswith(":") else key == word.name
                if is_taken:
                    tags.update((tag.name, tag) for tag in joined)
        return tags

    def owner_of_tag(self, word: Word, tag: str) -> str:
        """Return an extension that would add a tag to a word, or ""."""
        for extension in self.extensions.values():
            if tag in self.tags_of(word, {extension.name}) and tag not in {
                t.name for t in word.tags
            }:
                return extension.name
        return ""

    def comparators(self, required: set[str]) -> dict[str, Comparator]:
        """Return the comparators that may be named."""
        found = {comparator.name: comparator for comparator in self.core.comparators}
        for name in required & self.extensions.keys():
            found.update((c.name, c) for c in self.extensions[name].comparators)
        return found
