"""Make nodes of the tree from what lark reduces.

Pure. lark calls the method named like the rule with the values of its right side.
"""

from lark import Token as LarkToken
from lark import Transformer

from columba.sieve.lang import tree
from columba.sieve.lang.tokens import Token

Value = tree.Argument | tree.Test | tree.Arguments | tuple[tree.Test, ...] | LarkToken


def _token(value: object) -> Token:
    assert isinstance(value, LarkToken)
    token: Token = value.value
    return token


class Builder(Transformer[LarkToken, object]):
    """The actions of grammar.lark."""

    def script(self, parts: list[tuple[tree.Command, ...]]) -> tuple[tree.Command, ...]:
        """script: commands."""
        return parts[0]

    def commands(self, parts: list[tree.Command]) -> tuple[tree.Command, ...]:
        """commands: command*."""
        return tuple(parts)

    def block(self, parts: list[object]) -> tuple[Token, object]:
        """block: LBRACE commands RBRACE."""
        return _token(parts[0]), parts[1]

    def command(self, parts: list[object]) -> tree.Command:
        """command: IDENTIFIER arguments (SEMICOLON | block)."""
        word, arguments, last = parts
        assert isinstance(arguments, tree.Arguments)
        name = _token(word)
        if isinstance(last, tuple):
            brace, block = last
            return tree.Command(name.text, arguments, block, name.at, brace.at)
        return tree.Command(name.text, arguments, None, name.at, _token(last).at)

    def arguments(self, parts: list[object]) -> tree.Arguments:
        """arguments: values [test | test_list]."""
        values = parts[0]
        assert isinstance(values, tuple)
        if len(parts) == 1:
            return tree.Arguments(values)
        tests = parts[1]
        if isinstance(tests, tree.Test):
            return tree.Arguments(values, (tests,))
        assert isinstance(tests, tuple)
        return tree.Arguments(values, tests, True)

    def values(self, parts: list[object]) -> tuple[tree.Argument, ...]:
        """values: argument*."""
        return tuple(_argument(part) for part in parts)

    def test_list(self, parts: list[object]) -> tuple[tree.Test, ...]:
        """test_list: LPAREN test (COMMA test)* RPAREN."""
        return tuple(part for part in parts if isinstance(part, tree.Test))

    def test(self, parts: list[object]) -> tree.Test:
        """test: IDENTIFIER arguments."""
        name, arguments = _token(parts[0]), parts[1]
        assert isinstance(arguments, tree.Arguments)
        return tree.Test(name.text, arguments, name.at)

    def string_list(self, parts: list[object]) -> tree.StringList:
        """string_list: LBRACKET STRING (COMMA STRING)* RBRACKET."""
        tokens = [_token(part) for part in parts]
        items = [tree.String(t.text, t.at) for t in tokens if t.kind == "STRING"]
        return tree.StringList(tuple(items), tokens[0].at)

    def string(self, parts: list[object]) -> tree.String:
        """string: STRING."""
        token = _token(parts[0])
        return tree.String(token.text, token.at)


def _argument(part: object) -> tree.Argument:
    if isinstance(part, tree.String | tree.StringList):
        return part
    token = _token(part)
    if token.kind == "TAG":
        return tree.Tag(token.text, token.at)
    return tree.Number(token.number, token.at)
