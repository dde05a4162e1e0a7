"""Find what is wrong with the grammar of a script, and go on after it.

Pure. One descent over the tokens, with the recovery that script writers know from Pigeonhole: behind a mistake,
tokens are skipped up to the closer of the innermost bracket, list or command. The pairs have ranks, and a search
never passes a token of a higher rank; then the structure around it tries, without a word, to reach its own end.
So the rest of the script is still checked. Over a token that the lexer complained about nothing more is said.
What has no mistake here is then read by the tables of grammar.lark.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from columba.sieve.lang.errors import ErrorLog, Source
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.tokens import BROKEN, END, Token

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
_SHOWN: Final = {
    "SEMICOLON": "';'",
    "COMMA": "','",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "LBRACKET": "'['",
    "RBRACKET": "']'",
    "LPAREN": "'('",
    "RPAREN": "')'",
    "STRING": "a string",
    END: "the end of the script",
}
_SIMPLE: Final = frozenset({"STRING", "NUMBER", "TAG"})


@dataclass(slots=True)
class _Place:
    """Where the descent is: the name of the word whose arguments are read, and how deep its tests are."""

    name: str
    depth: int


class Diagnosis:
    """One descent. `tokens` has all that were read, in order."""

    def __init__(
        self, source: Source, tokens: Iterator[Token], log: ErrorLog, limits: Limits
    ) -> None:
        self._source = source
        self._more = tokens
        self._log = log
        self._limits = limits
        self._has_erred = False
        self._is_lost = False  # nothing can be said of what follows in this command
        self.tokens: Final[list[Token]] = []
        self._now = self._read()

    def run(self) -> None:
        """Read the whole script."""
        if self._commands(1) and self._now.kind != END and not self._has_erred:
            self._error(f"expected a command, but found {self._found()}")
        while self._now.kind != END:  # what the lexer finds in the rest is of no use now
            self._now = Token(END, "", 0, self._now.end, self._now.end)

    def _read(self) -> Token:
        token = next(self._more)
        self.tokens.append(token)
        return token

    def _step(self) -> None:
        if self._now.kind != END:
            self._now = self._read()

    def _error(self, text: str) -> None:
        self._has_erred = True
        if self._now.kind != BROKEN:
            self._log.add(self._now.at, text)

    def _found(self) -> str:
        token = self._now
        if token.kind in ("IDENTIFIER", "TAG", "NUMBER"):
            return f"'{self._source.text[token.at : token.end]}'"
        return _SHOWN.get(token.kind, "unknown characters")

    def _recover(self, closer: str) -> bool:
        """Skip to a closer; a "{" also ends the search for a ";". False: something stronger came first."""
        rank, opener, open_count = _RANK[closer], _OPENER.get(closer), 1
        while self._now.kind != END and _RANK.get(self._now.kind, 0) <= rank:
            if self._now.kind == opener:
                open_count += 1
            elif self._now.kind == closer:
                open_count -= 1
                if open_count == 0:
                    return True
            self._step()
        return closer == "SEMICOLON" and self._now.kind == "LBRACE"

    def _close(self, closer: str, text: str) -> bool:
        """Take a closer, or complain and look for it."""
        if self._now.kind != closer:
            self._error(f"{text}, but found {self._found()}")
            if not self._recover(closer):
                return False
        self._step()
        return True

    # Each of these answers whether the script can be read on from where it stopped.

    def _commands(self, depth: int) -> bool:
        while self._now.kind == "IDENTIFIER":
            place = _Place(self._now.text, 1)
            self._is_lost = False
            self._step()
            can_go_on = self._arguments(place)
            if can_go_on and self._now.kind not in ("SEMICOLON", "LBRACE"):
                self._error(f"expected ';' or '{{' before {self._found()}")
                can_go_on = False
            if not can_go_on and not self._recover("SEMICOLON"):
                return False
            is_block = self._now.kind == "LBRACE"
            self._step()
            if is_block and not self._block(depth + 1):
                return False
        return True

    def _block(self, depth: int) -> bool:
        if depth > self._limits.nesting:
            self._error(f"blocks are nested deeper than {self._limits.nesting} levels")
        elif self._commands(depth):
            if self._now.kind != "RBRACE":
                self._error(f"expected a command or '}}', but found {self._found()}")
                return self._recover("RBRACE")  # the brace is left to the block around
            self._step()
            return True
        if not self._recover("RBRACE"):
            return False
        self._step()
        return True

    def _arguments(self, place: _Place) -> bool:
        count = 0
        while self._now.kind in _SIMPLE or self._now.kind == "LBRACKET":
            count += 1
            if count > self._limits.arguments:
                self._error(f"more than {self._limits.arguments} arguments for '{place.name}'")
                return False
            if self._now.kind in _SIMPLE:
                self._step()
            elif not self._string_list():
                return False
        if self._now.kind == "IDENTIFIER":
            return self._test(place)
        return self._test_list(place) if self._now.kind == "LPAREN" else True

    def _string_list(self) -> bool:
        self._step()
        after = "["
        while True:
            if self._now.kind != "STRING":
                self._error(f"expected a string after '{after}', but found {self._found()}")
                self._recover("RBRACKET")
                break
            self._step()
            if self._now.kind != "COMMA":
                break
            self._step()
            after = ","
        return self._close("RBRACKET", "expected ',' or ']'")

    def _too_deep(self, place: _Place) -> bool:
        if place.depth < self._limits.nesting:
            return False
        self._error(f"tests are nested deeper than {self._limits.nesting} levels")
        return True

    def _test(self, place: _Place) -> bool:
        if self._too_deep(place):
            return False
        inner = _Place(self._now.text, place.depth + 1)
        self._step()
        return self._arguments(inner)

    def _test_list(self, place: _Place) -> bool:
        self._step()
        if self._too_deep(place):
            if not self._recover("RPAREN"):
                return False
            self._step()
            return True
        if self._now.kind != "IDENTIFIER":
            self._error(f"expected a test after '(', but found {self._found()}")
            self._recover("RPAREN")
            self._close("RPAREN", "expected ',' or ')'")
            self._error(f"the test list of '{place.name}' holds no test")
            self._is_lost = True
            return False
        while self._now.kind == "IDENTIFIER":
            if not self._test(place):
                if self._is_lost:
                    return False
                self._recover("RPAREN")
                break
            if self._now.kind != "COMMA":
                break
            self._step()
            if self._now.kind != "IDENTIFIER":
                self._error(f"expected a test after ',', but found {self._found()}")
                self._recover("RPAREN")
        return self._close("RPAREN", "expected ',' or ')'")
