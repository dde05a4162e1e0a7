"""Bind the arguments of a word to what it takes: the checks that are the same for all words.

Pure. At most one error for the arguments of a word, and one for its tests. An unknown tag of a word is
reported once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from columba.sieve.lang.tree import Argument, Node, Number, String, StringList, Tag
from columba.sieve.lang.words import Kind, Subtests, Word
from columba.sieve.lang.words import Tag as TagWord

Report = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class BoundTag:
    """A tag that stands, with its parameter."""

    tag: TagWord
    at: int
    parameter: Argument | None = None


@dataclass(slots=True)
class Bound:
    """The arguments of one word; positional has None where an optional one is missing."""

    word: Word
    node: Node
    tags: dict[str, BoundTag] = field(default_factory=dict)
    positional: list[Argument | None] = field(default_factory=list)

    @property
    def at(self) -> int:
        """Where the word stands."""
        return self.node.at

    def has(self, tag: str) -> bool:
        """Tell whether a tag stands."""
        return tag in self.tags

    def in_group(self, group: str) -> BoundTag | None:
        """Return the tag of a group that stands."""
        return next((b for b in self.tags.values() if b.tag.group == group), None)

    def parameter(self, tag: str) -> String | None:
        """Return the string parameter of a tag, or None if the tag does not stand."""
        bound = self.tags.get(tag)
        return bound.parameter if bound and isinstance(bound.parameter, String) else None

    def number_parameter(self, tag: str) -> Number | None:
        """Return the number parameter of a tag, or None if the tag does not stand."""
        bound = self.tags.get(tag)
        return bound.parameter if bound and isinstance(bound.parameter, Number) else None

    def strings(self, index: int) -> tuple[String, ...]:
        """Return a positional string or string list; empty if it is missing."""
        return as_strings(self.positional[index])

    def string(self, index: int) -> String:
        """Return a positional string that is there."""
        return self.strings(index)[0]

    def number(self, index: int) -> Number:
        """Return a positional number that is there."""
        argument = self.positional[index]
        assert isinstance(argument, Number)
        return argument


def as_strings(argument: Argument | None) -> tuple[String, ...]:
    """Return the strings of a string or string list."""
    match argument:
        case String():
            return (argument,)
        case StringList(items=items):
            return items
        case _:
            return ()


class Binder:
    """Checks words of one script; remembers which unknown tags it has reported."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._reported: set[tuple[str, str]] = set()

    def bind(
        self, node: Node, word: Word, known: dict[str, TagWord], hint: Callable[[str], str]
    ) -> Bound | None:
        """Return the bound arguments, or None after reporting what is wrong with them.

        hint names the extension that would bring a tag, or "".
        """
        values = node.arguments.values
        unknown = [v for v in values if isinstance(v, Tag) and v.name not in known]
        if unknown:
            self._unknown_tag(unknown[0], word, hint(unknown[0].name))
            return None
        bound = Bound(word, node)
        rest = self._tags(list(values), bound, known)
        if rest is None or not self._positional(rest, bound):
            return None
        return bound

    def check_tests(
        self, node: Node, word: Word, tags: dict[str, TagWord], explain: Callable[[Node, Word], str]
    ) -> bool:
        """Check how many tests a word was given; explain words the case of a test where none is taken."""
        tests, is_list = node.arguments.tests, node.arguments.is_list
        at = tests[0].at if tests else node.at
        match word.subtests:
            case Subtests.NONE if tests:
                self._report(at, explain(node, word))
            case Subtests.ONE if not tests:
                self._report(node.at, f"the {word} requires a test")
            case Subtests.ONE if is_list:
                self._report(at, f"the {word} takes one test, not a list of tests")
            case Subtests.LIST if not tests:
                self._report(node.at, f"the {word} requires a list of tests in brackets")
            case Subtests.LIST if not is_list:
                self._report(at, f"the {word} requires a list of tests in brackets")
            case _:
                return True
        return False

    def _unknown_tag(self, tag: Tag, word: Word, extension: str) -> None:
        key = (word.name, tag.name)
        if key in self._reported:
            return
        self._reported.add(key)
        text = f"unknown tagged argument ':{tag.name}' for the {word}"
        if extension:
            text += f" (extension '{extension}' brings it, but is not required)"
        else:
            text += " (reported only once)"
        self._report(tag.at, text)

    def _tags(
        self, rest: list[Argument], bound: Bound, known: dict[str, TagWord]
    ) -> list[Argument] | None:
        """Take the leading tags off; None after an error."""
        while rest and isinstance(first := rest[0], Tag):
            tag = known[first.name]
            rest.pop(0)
            if not self._may_stand(first, tag, bound):
                return None
            parameter = None
            if tag.takes is not None:
                parameter = rest.pop(0) if rest else None
                if not fits(parameter, tag.takes):
                    found = describe(parameter)
                    text = f"the :{tag.name} tag of the {bound.word} requires a {tag.takes.value}"
                    self._report(first.at, f"{text}, but {found} was found")
                    return None
            bound.tags[tag.name] = BoundTag(tag, first.at, parameter)
        for argument in rest:
            if isinstance(argument, Tag):
                text = f"unexpected tag ':{argument.name}' among the positional arguments of the {bound.word}"
                self._report(argument.at, text)
                return None
        return rest

    def _may_stand(self, node: Tag, tag: TagWord, bound: Bound) -> bool:
        if tag.name in bound.tags:
            self._report(node.at, f"the :{tag.name} tag of the {bound.word} stands twice")
            return False
        other = bound.in_group(tag.group) if tag.group else None
        if other is not None:
            text = f"the {bound.word} takes only one {tag.group}, but found :{other.tag.name} and :{tag.name}"
            self._report(node.at, text)
            return False
        return True

    def _positional(self, rest: list[Argument], bound: Bound) -> bool:
        word = bound.word
        wanted = word.positional
        missing = len(wanted) - len(rest)
        first = min(max(missing, 0), word.optional_first)
        last = min(max(missing - first, 0), word.optional_last)
        expected = wanted[first : len(wanted) - last]
        for i, (argument, want) in enumerate(zip(rest, expected, strict=False)):
            if not fits(argument, want.kind):
                text = (
                    f"the {word} expects a {want.kind.value} for argument {first + i + 1} ({want.label}),"
                    f" but {describe(argument)} was found"
                )
                self._report(argument.at, text)
                return False
        if len(rest) != len(expected):
            count = f"{len(expected)} positional argument{'' if len(expected) == 1 else 's'}"
            verb = "is" if len(rest) == 1 else "are"
            self._report(bound.at, f"the {word} requires {count}, but {len(rest)} {verb} specified")
            return False
        bound.positional = [*[None] * first, *rest, *[None] * last]
        return True


def fits(argument: Argument | None, kind: Kind) -> bool:
    """Tell whether an argument is of a kind; one string is also a list."""
    match kind:
        case Kind.NUMBER:
            return isinstance(argument, Number)
        case Kind.STRING:
            return isinstance(argument, String)
        case Kind.STRINGS:
            return isinstance(argument, String | StringList)


def describe(argument: Argument | None) -> str:
    """Say what an argument is."""
    match argument:
        case Number():
            return "a number"
        case String():
            return "a string"
        case StringList():
            return "a string list"
        case Tag(name=name):
            return f"the tag ':{name}'"
        case None:
            return "nothing"
