import pytest

from columba.common.config.lexer import (
    Assign,
    Close,
    Form,
    Include,
    Open,
    Statement,
    ambiguous_comments,
    statements,
)
from columba.common.errors import ConfigError


def lex(text: str) -> list[Statement]:
    return list(statements(text, "f"))


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("a = b", Assign(1, "a", "b", Form.LITERAL)),
        ("a=b", Assign(1, "a", "b", Form.LITERAL)),
        ("  a =  b c  ", Assign(1, "a", "b c", Form.LITERAL)),
        ("a =", Assign(1, "a", "", Form.LITERAL)),
        ("a = b # note", Assign(1, "a", "b", Form.LITERAL)),
        ("a = 'b # no note'", Assign(1, "a", "b # no note", Form.QUOTED)),
        (r'a = "b \"c\" \\ $d"', Assign(1, "a", 'b "c" \\ $d', Form.QUOTED)),
        ('a = "unterminated', Assign(1, "a", '"unterminated', Form.LITERAL)),
        ("a = <file.txt", Assign(1, "a", "file.txt", Form.FILE)),
        ("a = < file.txt", Assign(1, "a", "file.txt", Form.FILE)),
        ("a = $SET:b c", Assign(1, "a", "$SET:b c", Form.VARIABLE)),
        ('"a b" = c', Assign(1, "a b", "c", Form.LITERAL)),
        ("a = b \\\n   c", Assign(2, "a", "b c", Form.LITERAL)),
        ("service smtpd {", Open(1, "service", "smtpd")),
        ('service "two words" {', Open(1, "service", "two words")),
        ("service {", Open(1, "service", "")),
        ("}", Close(1)),
        ("!include conf.d/*.conf", Include(1, "conf.d/*.conf", True)),
        ("!include_try local.conf", Include(1, "local.conf", False)),
        ("a = <<END\n one\n# two\nEND", Assign(1, "a", " one\n# two\n", Form.QUOTED)),
    ],
)
def test_one_statement(text: str, statement: Statement) -> None:
    assert lex(text) == [statement]
    crlf = lex(f"# comment\n\n{text}\n".replace("\n", "\r\n"))
    assert [type(each) for each in crlf] == [type(statement)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("service x { a = 1 }", "f line 1: Garbage after '{'"),
        ("service x", "f line 1: Expecting '=' or '{'"),
        ("service x y {", "f line 1: A section has one name, quote it: x y"),
        ("a = b \\\n\nc = d", "f line 2: A continued line is followed by an empty one"),
        ("a = b \\\n# note\n", "f line 2: A continued line is followed by an empty one"),
        ("a = b \\", "f line 1: The last line is continued"),
        ("= b", "f line 1: Expecting a setting's name before '='"),
        (r'a = "\n"', r"f line 1: Unknown escape sequence \n"),
        ("a = <<END\nb", "f line 1: Missing END"),
        ("!include", "f line 1: !include needs a file name"),
        ("a = \0", "f line 1: NUL character in line"),
    ],
)
def test_errors_say_where(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        lex(text)
    assert str(caught.value) == words


def test_a_comment_without_a_space_before_it_is_noticed() -> None:
    assert list(ambiguous_comments("a = b#c\na = b #c\n#d\na = 'x#y'")) == [1]
