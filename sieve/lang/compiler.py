"""Walk the tree of a script: check it against the language and make its code.

Pure. One walk does both, because what is statically false is not checked, and that is known only when
the test before it is compiled. The order and number of errors follow one rule: each mistake once, and
what stands inside something unknown is not looked at. Which words there are is the language's business;
this file knows only the flow of blocks and `if` chains.
"""

from dataclasses import dataclass, field
from typing import Final

from columba.sieve.lang import strings
from columba.sieve.lang.binding import Binder, Bound
from columba.sieve.lang.errors import CompileErrors, ErrorLog, Position, Source
from columba.sieve.lang.includes import Includes
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.listing import Listed
from columba.sieve.lang.stage import Stage
from columba.sieve.lang.tree import Command, Node, String, Test
from columba.sieve.lang.words import Language, Namespace, Subtests, Word
from columba.sieve.run.code import (
    Asked,
    Branch,
    Code,
    asking,
    choose,
    evaluate,
    plain,
    sequence,
)
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text

_LINKS: Final = ("elsif", "else")


@dataclass(slots=True)
class Chain:
    """An if with its elsif and else so far. is_decided: a branch is statically true, the rest is dead.

    is_broken: it began with a link that follows no if.
    """

    at: int
    branches: list[Branch] = field(default_factory=list)
    is_decided: bool = False
    is_broken: bool = False


class Compiler:
    """The state of one compilation; words build their code through it."""

    def __init__(
        self,
        source: Source,
        log: ErrorLog,
        language: Language,
        stage: Stage,
        limits: Limits,
        *,
        tables: frozenset[str] | None = None,
        dicts: frozenset[str] | None = None,
        is_traced: bool = False,
        includes: Includes | None = None,
        listing: list[Listed] | None = None,
    ) -> None:
        self.includes = includes
        self._listing = listing
        self._words_around = 0
        self.language = language
        self.stage = stage
        self.limits = limits
        self.tables = tables
        self.dicts = dicts
        self.is_traced = is_traced
        self.required: set[str] = set()
        self.globals: set[str] = set()  # variables that this script shares with others
        self.loops: list[str] = []  # names of the loops around, "" for one without
        self.locals: set[str] = set()  # variables of its own that it has named so far
        self.level = 0  # how deep in blocks; 0 is the top
        self.may_require = True
        self._source = source
        self._log = log
        self._binder = Binder(self.error)
        self._unknown: set[str] = set()
        self._chain = Chain(0)

    # What words use.

    def error(self, at: int, text: str) -> None:
        """Note a mistake."""
        self._log.add(at, text)

    def warn(self, at: int, text: str) -> None:
        """Note what is probably a mistake, but legal."""
        self._log.warn(at, text)

    def adopt(self, errors: CompileErrors) -> None:
        """Note the mistakes of an included script."""
        self._log.adopt(errors)

    def place(self, at: int) -> Position:
        """Return the place of a node, for run-time errors."""
        return self._source.position(at)

    def knows(self, name: str) -> bool:
        """Tell whether a capability can be required at this stage."""
        extension = self.language.extensions.get(name)
        return self.is_always_on(name) if extension is None else self.stage in extension.stages

    def require(self, name: str) -> bool:
        """Switch a capability on; False if it is not known, or not at this stage."""
        extension = self.language.extensions.get(name)
        if extension is None or self.stage not in extension.stages:
            return self.is_always_on(name)
        self.required.add(name)
        self.required.update(extension.implies)
        return True

    def is_always_on(self, name: str) -> bool:
        """Tell whether a capability needs no extension: the comparators of RFC 5228 §2.7.3."""
        return name.removeprefix("comparator-") in self.language.comparators(set())

    def text(self, node: String) -> Text:
        """Return a string with what it holds of variables and encoded characters."""
        return strings.compile_string(self, node)

    def texts(self, nodes: tuple[String, ...]) -> tuple[Text, ...]:
        """Return several strings."""
        return tuple(self.text(node) for node in nodes)

    def constant(self, node: String, what: str) -> str | None:
        """Return a string that must be known now; None after an error."""
        value = self.text(node).constant
        if value is None:
            self.error(node.at, f"{what} must be a constant string")
        return value

    def namespace(self, name: str) -> Namespace | None:
        """Return a namespace of variables that a required extension brings."""
        for capability in self.required:
            extension = self.language.extensions.get(capability)
            if extension is not None and name in extension.namespaces:
                return extension.namespaces[name]
        return None

    def block(self, commands: tuple[Command, ...], is_top: bool = False) -> Code:
        """Compile the commands of a block."""
        outer = self._chain
        self.level += not is_top
        code = self._commands(commands)
        self.level -= not is_top
        self._chain = outer
        return code

    def test(self, node: Test) -> Code | None:
        """Compile a test; None after an error."""
        word = self._word(node, is_test=True)
        if word is None:
            return None
        bound = self._bind(node, word)
        if bound is None:
            self._look_inside(node, word)
            return None
        code = self._built(word, bound)
        if code is not None and self.is_traced:
            return self._traced(word, node, code)
        return code

    def tests(self, bound: Bound, decisive: bool | None = None) -> list[Code] | None:
        """Compile the sub-tests of a word; None if one of them is wrong.

        decisive: a test that is known to answer this settles the word, and what follows it is not looked at.
        """
        codes: list[Code] = []
        is_wrong = False
        for test in bound.node.arguments.tests:
            code = self.test(test)
            if code is None:
                is_wrong = True
                continue
            codes.append(code)
            if code.constant is decisive is not None and not is_wrong:
                break
        return None if is_wrong else codes

    # Chains of if, elsif, else.

    def begin_chain(self, at: int) -> None:
        """An `if` was met."""
        self._chain = Chain(at)

    def check_link(self, bound: Bound) -> None:
        """RFC 5228 §3.1: elsif and else stand behind an if or elsif; one error for a broken chain."""
        if self._chain.is_broken:
            self.error(bound.at, f"the {bound.word} must follow an if or elsif command")

    def add_branch(self, bound: Bound, test: Code | None) -> None:
        """Compile the block behind a test of the current chain; test None was wrong."""
        assert isinstance(bound.node, Command)
        chain = self._chain
        if chain.is_decided or (test is not None and test.constant is False):
            return
        code = self.block(bound.node.block or ())
        if test is not None:
            chain.branches.append(Branch(test, code))
            chain.is_decided = test.constant is True and not chain.is_broken

    @property
    def is_decided(self) -> bool:
        """Whether an earlier branch of the chain is statically true, so that what follows is dead."""
        return self._chain.is_decided

    # The walk.

    def _commands(self, commands: tuple[Command, ...]) -> Code:
        codes: list[tuple[Position, Code]] = []
        self._chain = Chain(0)
        before = ""
        for command in commands:
            is_link = command.name in _LINKS
            if not is_link or before not in ("if", "elsif"):
                self._end_chain(codes)
                self._chain = Chain(command.at, is_broken=is_link)
            code = self._command(command)
            self._chain.is_broken = False
            if command.name != "require" and command.name not in self._unknown:
                self.may_require = False
            if code is not None:
                codes.append((self.place(command.at), code))
            before = command.name
        self._end_chain(codes)
        return sequence(codes)

    def _end_chain(self, codes: list[tuple[Position, Code]]) -> None:
        if self._chain.branches:
            codes.append((self.place(self._chain.at), choose(self._chain.branches)))

    def _command(self, node: Command) -> Code | None:
        word = self._word(node, is_test=False)
        if word is None:
            return None
        bound = self._bind(node, word)
        if bound is not None and self._block_fits(node, word):
            code = self._built(word, bound)
            return code if code is None or not self.is_traced else self._traced(word, node, code)
        self._chain.is_decided = False
        self._look_inside(node, word)
        return None

    def _built(self, word: Word, bound: Bound) -> Code | None:
        """Build the code of a word, and list it before the words that are within it."""
        if self._listing is None:
            return word.build(self, bound)
        listed = Listed(self.place(bound.at), self._words_around, bound)
        self._listing.append(listed)
        self._words_around += 1
        listed.code = word.build(self, bound)
        self._words_around -= 1
        return listed.code

    def _bind(self, node: Node, word: Word) -> Bound | None:
        tags = self.language.tags_of(word, self.required)
        hint = lambda tag: self.language.owner_of_tag(word, tag)  # noqa: E731
        bound = self._binder.bind(node, word, tags, hint)
        explain = lambda n, w: self._explain_subtest(n, w, set(tags))  # noqa: E731
        if not self._binder.check_tests(node, word, tags, explain):
            return None
        return bound

    def _explain_subtest(self, node: Node, word: Word, tags: set[str]) -> str:
        """A word where a test may not stand is mostly a forgotten character."""
        name = node.arguments.tests[0].name
        known, _ = self.language.find(name, is_test=True)
        if not node.arguments.is_list and known is None and name in tags:
            return f"missing colon before the {name} tag in the {word}"
        if not node.arguments.is_list and (known is None or not known.is_test):
            return f"missing semicolon after the {word}"
        return f"the {word} accepts no sub-tests, but tests are specified"

    def _block_fits(self, node: Command, word: Word) -> bool:
        if word.has_block and node.block is None:
            self.error(node.end, f"the {word} requires a block of commands in braces")
        elif not word.has_block and node.block is not None:
            self.error(node.end, f"the {word} takes no block of commands")
        else:
            return True
        return False

    def _look_inside(self, node: Node, word: Word) -> None:
        """Check tests and block of a word that is itself wrong."""
        if word.subtests is not Subtests.NONE:
            for test in node.arguments.tests:
                self.test(test)
        if isinstance(node, Command) and word.has_block and node.block is not None:
            self.block(node.block)

    def _word(self, node: Node, is_test: bool) -> Word | None:
        """Find a word; report an unknown one once, and one of the wrong sort or stage each time."""
        kind = "test" if is_test else "command"
        word, owners = self.language.find(node.name, is_test)
        if word is None or not self.language.is_on(owners, self.required):
            self._report_unknown(node, kind, owners)
            return None
        if word.is_test is not is_test:
            self.error(node.at, f"cannot use {word.kind} '{word.name}' as a {kind}")
            return None
        if self.stage not in word.stages:
            legal = ", ".join(
                s.value for s in Stage if s in word.stages and s is not Stage.DELIVERY
            )
            text = f"the {word} can't be used in the {self.stage.value} stage (only in: {legal})"
            self.error(node.at, text)
            return None
        return word

    def _report_unknown(self, node: Node, kind: str, owners: tuple[str, ...]) -> None:
        if node.name in self._unknown:
            return
        self._unknown.add(node.name)
        text = f"unknown {kind} '{node.name}'"
        if owners:
            text += f" (extension '{owners[0]}' brings it, but is not required)"
        else:
            text += " (reported only once)"
        self.error(node.at, text)

    def _traced(self, word: Word, node: Node, code: Code) -> Code:
        """Tell the run's trace what a word did."""
        place = self.place(node.at)
        if code.constant is not None or word.has_block:
            return code

        def tell(run: Run, answer: int) -> int:
            if run.trace is not None:
                said = f": {bool(answer)}".lower() if word.is_test else ""
                run.trace(place, f"{word}{said}")
            return answer

        if (inner := code.plain) is not None:
            return plain(lambda run: tell(run, inner(run)))

        def run_asking(run: Run) -> Asked:
            answer = yield from evaluate(code, run)
            return tell(run, answer)

        return asking(run_asking)
