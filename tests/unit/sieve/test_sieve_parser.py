"""The lexer and parser: what is legal, and one error per mistake."""

import pytest

from columba.sieve.engine import CompileErrors, compile_script
from columba.sieve.lang.errors import ErrorLog, Source
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.parser import parse
from columba.sieve.lang.stage import Stage
from columba.sieve.lang.tree import Command, Number, String, StringList, Tag


def parsed(text: str, limits: Limits | None = None) -> tuple[Command, ...]:
    source = Source(text.encode(), "x")
    log = ErrorLog(source)
    commands = parse(source, log, limits or Limits())
    assert not len(log), log.taken("parsing").render()
    return commands


def mistakes(text: str) -> list[str]:
    source = Source(text.encode(), "x")
    log = ErrorLog(source)
    parse(source, log, Limits())
    return list(log.taken("parsing").texts[:-1]) if len(log) else []


def test_arguments_keep_their_kinds_and_places() -> None:
    (command,) = parsed('foo :Tag 12K "a" ["b", "c"];')
    tag, number, string, strings = command.arguments.values
    assert tag == Tag("tag", 4)
    assert number == Number(12 << 10, 9)
    assert string == String("a", 13)
    assert isinstance(strings, StringList)
    assert [item.value for item in strings.items] == ["b", "c"]


def test_blocks_and_tests_nest() -> None:
    (command,) = parsed("if anyof (not a :x, b) { c; if d { e; } }")
    assert [test.name for test in command.arguments.tests[0].arguments.tests] == ["not", "b"]
    assert command.block is not None
    assert [inner.name for inner in command.block] == ["c", "if"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r'"a\"b\\c\d"', 'a"b\\cd'),
        ('"a\nb\r\nc"', "a\r\nb\r\nc"),
        ("text:\nhi\n.\n", "hi\r\n"),
        ("TEXT:  # why\r\n..dots\r\n.one\r\n.\r\n", ".dots\r\n.one\r\n"),
        ("text:\n.\n", ""),
        ('"text: no"', "text: no"),
    ],
)
def test_strings_have_crlf_and_no_escapes(written: str, value: str) -> None:
    (command,) = parsed(f"foo {written};")
    (string,) = command.arguments.values
    assert isinstance(string, String)
    assert string.value == value


def test_comments_are_blanks() -> None:
    assert len(parsed("# one\nkeep /* two \n */ ; # three")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "keep }",
        "if true { keep }",
        'if header ["a",,"b"] "c" { keep; } stop;',
        "if anyof (true,,false) { keep; } stop;",
        "if true { keep; ",
        "}",
        "; keep;",
        '"a string"; keep;',
        "keep 99999999999999999999;",
        "keep 18446744073709551616; stop;",
        "keep 20000000000000000000G; stop;",
        f"{'a' * 33};",
        f"keep :{'a' * 33};",
        'keep "never closed;',
        "keep /* never closed",
        "keep text:\nnever closed",
        'keep "\x00"; stop;',
        "# \x00\nkeep; stop;",
        "/* \x00 */ keep; stop;",
        "keep text: a\nb; stop;",
        "foo []; stop;",
        "foo" + ' "a"' * 33 + "; stop;",
        "if true {" * 32 + "keep;" + "}" * 32 + " stop;",
        "if " + "not " * 31 + "true { keep; }",
        "if " + "anyof (" * 31 + "true" + ")" * 31 + " { keep; }",
    ],
)
def test_one_mistake_is_one_error(text: str) -> None:
    assert len(mistakes(text)) == 1, mistakes(text)


@pytest.mark.parametrize(
    "text",
    [
        "keep 18446744073709551615;",
        f"{'a' * 32} :{'b' * 32};",
        "foo" + ' "a"' * 32 + ";",
        "if true {" * 31 + "keep;" + "}" * 31,
        "if " + "not " * 30 + "true { keep; }",
        "if " + "anyof (" * 30 + "true" + ")" * 30 + " { keep; }",
        "if anyof (a, b, c, d, e, " + "f, " * 40 + "g) {}",
        "keep keep;",
    ],
)
def test_limits_are_reached_without_an_error(text: str) -> None:
    assert mistakes(text) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("keep \x00; stop;", 2),  # as of all that begins no token
        ("foo [; stop;", 2),  # no string, and no bracket that closes
        ("if anyof () { keep; }", 2),
        ("if anyof (, true) { keep [; }", 4),
        ("if true { keep [; }", 2),
        ('if true { "x" } keep [;', 1),  # the brace is taken for that of the block around
        ("if true { if true { keep } keep [; } keep [;", 5),
        ("if anyof (true; true) { x } keep [;", 5),
        ("if true { keep [; ", 3),
        ("if (true { x } keep [;", 4),
        ("@ keep; keep [;", 2),
        ("keep @ 1; keep [;", 4),
        ("99999999999999999999; keep [;", 1),
    ],
)
def test_how_many_errors_a_mistake_gives(text: str, count: int) -> None:
    assert len(mistakes(text)) == count, mistakes(text)


def test_garbage_is_reported_by_lexer_and_parser() -> None:
    assert len(mistakes("keep; @@@ stop; keep;")) == 2


def test_what_follows_a_mistake_is_still_checked() -> None:
    text = "a [1]; if b (true,,x) { c 99999999999999999999; } d }\n"
    assert len(mistakes(text)) == 4


def test_an_error_shows_line_column_and_caret() -> None:
    errors = compile_script(b'keep;\n\tfoo ["a",, "b"];\n', "my.sieve", Stage.DATA)
    assert isinstance(errors, CompileErrors)
    first = errors.errors[0]
    assert (first.position.line, first.position.column) == (2, 11)
    shown = first.render().split("\n")
    assert shown[0].startswith("my.sieve:2:11: error: expected a string")
    assert shown[1].expandtabs()[len(shown[2].expandtabs()) - 1] == ","
    assert errors.texts[-1] == "parsing failed"
    assert errors.as_config_error().line == 2


def test_size_limits() -> None:
    limits = Limits(script_bytes=20, string_bytes=4)
    source = b"keep; # and so on and on"
    assert isinstance(compile_script(source, "x", Stage.DATA, limits=limits), CompileErrors)
    big = compile_script(b'foo "12345";', "x", Stage.DATA, limits=limits)
    assert isinstance(big, CompileErrors)
    assert big.errors[0].text == "string is longer than 4 octets"


def test_many_mistakes_on_one_long_line_cost_little() -> None:
    result = compile_script(b"keep [; " * 15_000, "x", Stage.DATA)
    assert isinstance(result, CompileErrors)
    assert len(result.errors) > 20_000
    assert max(len(error.render()) for error in result.errors[-100:]) < 500


def test_the_caret_of_a_long_line_stands_below_the_mistake() -> None:
    result = compile_script(b'foo "' + b"a" * 300 + b'", 1;', "x", Stage.DATA)
    assert isinstance(result, CompileErrors)
    _, line, caret = result.errors[0].render().split("\n")
    assert line[len(caret) - 1] == ","
