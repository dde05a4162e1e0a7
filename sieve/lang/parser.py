"""Turn the tokens of a script into its tree; go on after mistakes.

Pure. The grammar is grammar.lark and lark's LALR tables decide what is legal. Recovery is yacc's panic
mode over those tables: the depth of the LR stack is noted where a command, a list or a block begins;
after a mistake the stack is cut back to such a depth and tokens are skipped up to the closer that fits.
So one mistake gives one error, and the rest of the script is still checked.
A tree is returned only if there was no mistake.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from lark import Lark, UnexpectedToken
from lark import Token as LarkToken
from lark.lexer import Lexer as LarkLexer
from lark.parsers.lalr_interactive_parser import InteractiveParser

from columba.sieve.lang import tree
from columba.sieve.lang.builder import Builder
from columba.sieve.lang.errors import ErrorLog, Source
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.tokens import BROKEN, END, Lexer, Token

# How strongly a token ends things: looking for a closer never passes a stronger one.
_RANK: Final = {
    "LBRACKET": 1,
    "RBRACKET": 1,
    "LPAREN": 2,
    "RPAREN": 2,
    "SEMICOLON": 3,
    "LBRACE": 4,
    "RBRACE": 4,
    END: 5,
}
_OPENER: Final = {"RBRACKET": "LBRACKET", "RPAREN": "LPAREN", "RBRACE": "LBRACE"}
_CLOSER: Final = {"list": "RBRACKET", "tests": "RPAREN", "command": "SEMICOLON"}
_SHOWN: Final = {
    "SEMICOLON": "';'",
    "COMMA": "','",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "LBRACKET": "'['",
    "RBRACKET": "']'",
    "LPAREN": "'('",
    "RPAREN": "')'",
    "IDENTIFIER": "a word",
    "TAG": "a tag",
    "NUMBER": "a number",
    "STRING": "a string",
    END: "the end of the script",
}
_ARGUMENTS: Final = frozenset({"STRING", "NUMBER", "TAG", "LBRACKET"})


def parse(source: Source, log: ErrorLog, limits: Limits) -> tuple[tree.Command, ...]:
    """Return the commands of a script. If log has entries afterwards, the result means nothing."""
    return _Parse(source, log, limits).run()


class _NoLexer(LarkLexer):
    """lark is fed token by token."""

    def __init__(self, conf: object) -> None:
        pass

    def lex(self, lexer_state: object, parser_state: object) -> Iterator[LarkToken]:
        """Never asked for anything."""
        return iter(())


@lru_cache(maxsize=1)
def _lark() -> Lark:
    grammar = files("columba.sieve.lang").joinpath("grammar.lark")
    return Lark(
        grammar.read_text(encoding="utf-8"),
        parser="lalr",
        lexer=_NoLexer,
        start="script",
        transformer=Builder(),
        maybe_placeholders=False,
    )


@dataclass(slots=True)
class _Frame:
    """An open block, command, test list or string list. depth: the LR stack when it began."""

    kind: str
    depth: int
    tests: int = 0  # how many tests are open around it
    arguments: int = 0


class _Parse:
    def __init__(self, source: Source, log: ErrorLog, limits: Limits) -> None:
        self._source = source
        self._log = log
        self._limits = limits
        self._tokens = Lexer(source.text, log, limits).tokens()
        self._lr: InteractiveParser = _lark().parse_interactive()
        self._frames = [_Frame("block", 0)]
        self._blocks = 1
        self._tests = 0
        self._arguments = 0
        self._is_over = False

    def run(self) -> tuple[tree.Command, ...]:
        result: tuple[tree.Command, ...] = ()
        while not self._is_over:
            token = next(self._tokens)
            self._is_over = token.kind == END
            if token.kind == BROKEN or not self._within_limits(token):
                self._recover(token)
                continue
            try:
                fed = self._feed(token)
            except UnexpectedToken as error:
                self._report(token, error)
                self._recover(token)
                continue
            self._track(token)
            if self._is_over and not len(self._log):
                result = fed
        return result

    def _feed(self, token: Token) -> tuple[tree.Command, ...]:
        fed = LarkToken(token.kind, token)
        result: tuple[tree.Command, ...] = self._lr.feed_token(fed)
        return result

    def _depth(self) -> int:
        return len(self._lr.parser_state.value_stack)

    def _cut(self, depth: int) -> None:
        """Forget what stands on the LR stack above a depth."""
        state = self._lr.parser_state
        del state.value_stack[depth:]
        del state.state_stack[depth + 1 :]

    def _push(self, kind: str) -> None:
        self._frames.append(_Frame(kind, self._depth() - 1, self._tests, self._arguments))

    def _pop(self) -> _Frame:
        frame = self._frames.pop()
        self._tests, self._arguments = frame.tests, frame.arguments
        return frame

    def _track(self, token: Token) -> None:
        """Follow the brackets of what was accepted."""
        inner = self._frames[-1]
        match token.kind:
            case "IDENTIFIER" if inner.kind == "block":
                self._push("command")
                self._tests = self._arguments = 0
            case "IDENTIFIER":
                self._tests += 1
                self._arguments = 0
            case "LBRACKET":
                self._arguments += 1
                self._push("list")
            case "LPAREN":
                self._push("tests")
            case "COMMA" if inner.kind == "tests":
                self._tests = inner.tests
            case "RBRACKET" | "RPAREN" | "SEMICOLON":
                self._pop()
            case "LBRACE":
                self._push("block")
                self._blocks += 1
            case "RBRACE":
                self._close_block()
            case "STRING" | "NUMBER" | "TAG" if inner.kind != "list":
                self._arguments += 1

    def _close_block(self) -> None:
        self._pop()
        self._pop()  # the command whose block it was
        self._blocks -= 1

    def _within_limits(self, token: Token) -> bool:
        inner, limits = self._frames[-1].kind, self._limits
        if token.kind == "LBRACE" and inner == "command" and self._blocks >= limits.nesting:
            self._log.add(token.at, f"blocks are nested deeper than {limits.nesting} levels")
            return False
        is_test = token.kind == "IDENTIFIER" and inner != "block"
        if is_test and self._tests >= limits.nesting - 1:
            self._log.add(token.at, f"tests are nested deeper than {limits.nesting} levels")
            return False
        is_argument = token.kind in _ARGUMENTS and inner in ("command", "tests")
        if is_argument and self._arguments >= limits.arguments:
            self._log.add(token.at, f"more than {limits.arguments} arguments")
            return False
        return True

    def _report(self, token: Token, error: UnexpectedToken) -> None:
        found = _SHOWN.get(token.kind, "unknown characters")
        if token.kind in ("IDENTIFIER", "TAG", "NUMBER"):
            found = f"'{self._source.text[token.at : token.end]}'"
        wanted = [_SHOWN[name] for name in _SHOWN if name in (error.expected or ())]
        inner = self._frames[-1].kind
        if inner == "block":
            text = f"expected a command, but found {found}"
        elif inner == "command" and token.kind in ("RBRACE", END):
            text = f"expected ';' or '{{' before {found}"
        else:
            text = f"expected {' or '.join(wanted) or 'nothing'}, but found {found}"
        self._log.add(token.at, text)

    def _recover(self, token: Token) -> None:
        """Skip to where parsing can go on, from the token that was not accepted."""
        if token.kind == "LBRACE" and self._blocks >= self._limits.nesting:
            self._skip_block()
            return
        inner = self._frames[-1]
        closer = _CLOSER.get(inner.kind, "SEMICOLON")
        last = self._skip(token, closer)
        if last.kind == closer:
            self._resume(inner)
        elif last.kind == "LBRACE" and inner.kind in ("command", "block"):
            self._resume_block(inner)
        elif last.kind != END:
            self._leave_block(last)

    def _skip(self, token: Token, closer: str) -> Token:
        """Return the closer, or the stronger token that came first."""
        rank, opener, depth = _RANK[closer], _OPENER.get(closer, ""), 0
        while True:
            if token.kind == closer:
                if depth == 0:
                    return token
                depth -= 1
            elif _RANK.get(token.kind, 0) > rank:
                self._is_over = token.kind == END
                return token
            elif token.kind == opener:
                depth += 1
            token = next(self._tokens)

    def _resume(self, frame: _Frame) -> None:
        """Go on behind the closer of a frame, as if what it held had been right."""
        if frame.kind == "block":
            return
        self._cut(frame.depth)
        self._pop()
        if frame.kind == "list":
            self._feed(Token("STRING", "", 0, 0, 0))
            self._arguments += 1
        elif frame.kind == "tests":
            self._feed(Token("IDENTIFIER", "true", 0, 0, 0))

    def _resume_block(self, frame: _Frame) -> None:
        """Parse the block that was met while a command was being skipped."""
        if frame.kind == "command":
            self._cut(frame.depth)
            self._pop()
        for kind in ("IDENTIFIER", "LBRACE"):
            token = Token(kind, "if", 0, 0, 0)
            self._feed(token)
            self._track(token)

    def _leave_block(self, token: Token) -> None:
        """Skip, without a word, to the end of the innermost block."""
        while self._frames[-1].kind != "block":
            self._pop()
        last = self._skip_to_brace(token)
        if last.kind == END or len(self._frames) == 1:
            return
        block = self._frames[-1]
        self._cut(block.depth + 1)
        self._feed(last)
        self._close_block()

    def _skip_to_brace(self, token: Token) -> Token:
        if self._blocks == 1:  # nothing closes the outermost block but the end
            while token.kind != END:
                token = next(self._tokens)
            self._is_over = True
            return token
        return self._skip(token, "RBRACE")

    def _skip_block(self) -> None:
        """Leave out a block that is too deep, and go on as if its command had ended."""
        last = self._skip(next(self._tokens), "RBRACE")
        if last.kind != END:
            self._cut(self._frames[-1].depth)
            self._pop()
