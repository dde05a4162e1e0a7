"""Validation: which mistakes are found, how many entries they give, in which words."""

import re

import pytest

from columba.sieve.lang.stage import Stage
from tests.fakes.sieve import compiled, errors_of


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("foo; foo; bar;", 2),
        ('if foo "x" { keep; }', 1),
        ("header;", 1),
        ("if keep { stop; }", 1),
        ('if header :all "a" "b" { } if header :all "a" "b" { }', 1),
        ('if header :is :contains "a" "b" { }', 1),
        ('if header :is :is "a" "b" { }', 1),
        ('if header :comparator 3 "a" "b" { }', 1),
        ('if header :comparator "i;nothing" "a" "b" { }', 1),
        ('if header "a" :is "b" { }', 1),
        ('if header 1 "b" { }', 1),
        ('if header "a" { }', 1),
        ('if header "a" "b" "c" { }', 1),
        ("if size 1 { }", 1),
        ("if size :over :under 1 { }", 1),
        ("if not { }", 1),
        ("if allof true { }", 1),
        ("if not (true) { }", 1),
        ("if header true { }", 2),
        ("if { stop; }", 1),
        ("if true; ", 1),
        ("keep { stop; }", 1),
        ("else { }", 1),
        ("elsif true { } else { }", 1),
        ("if true { } else { } else { }", 1),
        ("if true { } else { } else { keep 1; }", 2),
        ("if true { } elsif 10 true { keep 1; } else { keep 1; }", 3),
        ("elsif true { } else { } elsif true { }", 2),
        ("if anyof (exists 1, true, header) { keep; } else { keep 1; }", 3),
        ("keep :foo :bar; keep :bar; keep :foo;", 2),
        ('unknown; require "fileinto"; fileinto "x";', 1),
        ("if true { } keep; else { }", 1),
        ('keep; require "fileinto";', 1),
        ('if true { require "fileinto"; }', 1),
        ('require ["a", "fileinto", "b"];', 2),
        ('redirect "nobody";', 1),
        ('redirect "a@b@c";', 1),
        ('if address "subject" "x" { }', 1),
        ('if header :comparator "i;nothing" "a b" "c" { }', 1),
        ('require "variables"; set "9" "${99}";', 1),
        ('require "variables"; set "a.b" "x"; set "ok" "${99}";', 2),
        ("keep keep;", 1),
    ],
)
def test_number_of_entries(text: str, count: int) -> None:
    assert len(errors_of(text)) == count, errors_of(text)


@pytest.mark.parametrize(
    "text",
    [
        'if anyof (exists "a", true, header) { keep; } else { keep 1; }',
        "if allof (false, keep, foo) { keep 1; }",
        "if true { } elsif header { } else { keep 1; }",
        'require "ihave"; if allof (ihave "none", none) { none; }',
        'require "ihave"; if not ihave "none" { keep; } else { none; }',
    ],
)
def test_what_is_statically_dead_is_not_checked(text: str) -> None:
    compiled(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('if header "a b" "c" { }', "'a b' is not a valid header field name"),
        ('require "date"; if date "date" "century" "20" { }', "unknown date part"),
        ('require "date"; if currentdate :zone "CET" "year" "20" { }', "is no zone"),
        ('require "mboxmetadata"; if metadata "a" "x" "y" { }', "no valid annotation"),
        ('require "enotify"; notify :options "a=b" "mailto:a@b.example";', "knows no options"),
    ],
)
def test_what_is_doubtful_is_a_warning(text: str, said: str) -> None:
    warnings = compiled(text).warnings
    assert [said in warning.text for warning in warnings] == [True]
    assert warnings[0].render().startswith("test:1:")
    assert ": warning: " in warnings[0].render()


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        (
            'if header :tag "a" "b" { }',
            r"^unknown tagged argument ':tag' for the header test .*only once",
        ),
        (
            'if header 1 "b" { }',
            r"header test .*string list .* 1 \(header names\), but .* number ",
        ),
        (
            "if address 1 2 { }",
            r"address test expects .*string list .* 1 \(header list\),.* number .* found",
        ),
        ('if address "to" 2 { }', r"argument 2 \(key list\)"),
        ('if address "to" :is "b" { }', r"unexpected .*':is' .* address test"),
        ('if header "a" { }', r" header test requires 2 .*, but 1 "),
        ("if address { }", r" address test requires 2 .* 0 .* specified$"),
        ('if header "a" "b" true { }', r"header test accepts no sub-tests.* specified"),
        ("header;", r" use test 'header' .* command"),
        ('if address "frop" "x" { }', r"'frop' .*not allowed .*address test"),
        ('require "fileinto"; fileinto "x" keep;', r"^missing semicolon .* fileinto "),
        ('if address "to" "x" matches { }', r"^missing colon .*matches.* tag .* address test$"),
        ('fileinto "x";', r"unknown command 'fileinto' \(extension 'fileinto' brings it"),
        ('if header :count "eq" "a" "1" { }', r"extension 'relational' brings it"),
    ],
)
def test_words(text: str, pattern: str) -> None:
    assert any(re.search(pattern, error) for error in errors_of(text)), errors_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "if false { foo :bar; }",
        "if not true { foo; } else { keep; }",
        "if true { } elsif foo { bar; } else { baz; }",
        "if allof (true, false) { foo; }",
        'require "ihave"; if ihave "no.such" { nosuch "x"; } else { keep; }',
        'require "ihave"; if not ihave "fileinto" { error "x"; } fileinto "a";',
        'require ["comparator-i;octet", "comparator-i;ascii-casemap"];',
    ],
)
def test_what_is_statically_false_is_not_checked(text: str) -> None:
    compiled(text)


@pytest.mark.parametrize(
    ("stage", "text", "is_legal"),
    [
        (Stage.DATA, 'require "fileinto"; fileinto "a";', False),
        (Stage.ROUTE, 'require "fileinto"; fileinto "a";', True),
        (Stage.RCPT, 'if header "a" "b" { stop; }', False),
        (Stage.DATA, 'if header "a" "b" { stop; }', True),
        (Stage.RCPT, 'require "envelope"; if envelope "to" "b" { stop; }', True),
        (Stage.MAIL, 'require "envelope"; if envelope "to" "b" { stop; }', False),
        (Stage.CONNECT, 'require "envelope"; if envelope "from" "b" { stop; }', False),
        (Stage.RCPT, "keep;", False),
        (Stage.DATA, "keep;", True),
        (Stage.RCPT, 'require "vnd.columba.smtp"; reply "550 no";', True),
        (Stage.BOUNCE, 'require "vnd.columba.smtp"; reply "550 no";', False),
        (Stage.DATA, 'require "vnd.columba.route"; route :mx;', False),
        (Stage.ROUTE, 'require "vnd.columba.route"; route :mx;', True),
        (Stage.RCPT, 'require "reject"; reject "no";', False),
        (Stage.DATA, 'require "reject"; reject "no";', True),
        (Stage.CONNECT, 'require "environment"; if environment "name" "x" { stop; }', True),
    ],
)
def test_each_stage_has_its_words(stage: Stage, text: str, is_legal: bool) -> None:
    if is_legal:
        compiled(text, stage)
        return
    (error,) = errors_of(text, stage)
    assert f"the {stage.value} stage" in error
