"""Turn the source of a script into its tree.

Pure. diagnose.py finds the mistakes; what has none is read by lark's LALR tables of grammar.lark, and builder.py makes
the nodes. The grammar is so the last word on what is legal.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files

from lark import Lark, UnexpectedToken
from lark import Token as LarkToken
from lark.lexer import Lexer as LarkLexer

from columba.sieve.lang import tree
from columba.sieve.lang.builder import Builder
from columba.sieve.lang.diagnose import Diagnosis
from columba.sieve.lang.errors import ErrorLog, Source
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.tokens import Lexer, Token


def parse(source: Source, log: ErrorLog, limits: Limits) -> tuple[tree.Command, ...]:
    """Return the commands of a script. If log has entries afterwards, the result means nothing."""
    diagnosis = Diagnosis(source, Lexer(source.text, log, limits).tokens(), log, limits)
    diagnosis.run()
    if len(log):
        return ()
    try:
        return _tree(diagnosis.tokens)
    except UnexpectedToken as error:
        token: Token = error.token.value
        log.add(token.at, f"unexpected '{source.text[token.at : token.end][:40]}'")
        return ()


def is_grammatical(tokens: Sequence[Token]) -> bool:
    """Tell whether the grammar takes these tokens, END last."""
    try:
        _tree(tokens)
    except UnexpectedToken:
        return False
    return True


def _tree(tokens: Sequence[Token]) -> tuple[tree.Command, ...]:
    parser = _lark().parse_interactive()
    result: tuple[tree.Command, ...] = ()
    for token in tokens:
        result = parser.feed_token(LarkToken(token.kind, token))
    return result


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
