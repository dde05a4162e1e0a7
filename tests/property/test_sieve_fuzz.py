"""Whatever octets come: a script compiles or has errors, and a message can be tested. Nothing raises."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from columba.sieve.engine import CompileErrors, Failed, Finished, Outcome, Script, compile_script
from columba.sieve.lang.diagnose import Diagnosis
from columba.sieve.lang.errors import ErrorLog, Source
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.parser import is_grammatical
from columba.sieve.lang.stage import Stage
from columba.sieve.lang.tokens import Lexer
from columba.sieve.run.actions import Reject
from columba.sieve.run.compare import ASCII_CASEMAP, OCTET, fold_ascii
from columba.sieve.run.envelope import Envelope, Path, parse_path
from columba.sieve.run.match import parse_glob
from columba.sieve.run.values import truncate
from tests.fakes.sieve import compiled, outcome_of

WORDS = [
    *("require", "if", "elsif", "else", "stop", "keep", "discard", "redirect", "fileinto"),
    *("reject", "set", "string", "header", "address", "envelope", "exists", "size", "not"),
    *("allof", "anyof", "true", "false", "lookup", "route", "reply", "ihave", "error", "foo"),
    *(":is", ":contains", ":matches", ":count", ":value", ":comparator", ":all", ":copy"),
    *(":over", ":as", ":mx", ":relay", ":lower", ":length", ":nonsense"),
    *('"i;octet"', '"a"', '"${1}"', '"${a.b}"', '"subject"', '"from"', '"eq"', '"*?*"', '"a@b"'),
    *('["a", "b"]', "[", "]", "(", ")", "{", "}", ";", ",", "1", "99999999999999999999", "10K"),
    *('"fileinto"', '"variables"', '"envelope"', '"${hex:zz}"', "text:\na\n.\n", "# c\n", "/*"),
    *('"', "@", "\\", "\x00", ":", "é", "text:"),
]
TOKENS = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)
REQUIRE = (
    'require ["fileinto", "variables", "envelope", "copy", "relational", "subaddress", "reject",'
    ' "environment", "ihave", "encoded-character", "vnd.columba.lookup", "vnd.columba.smtp"];'
)
STAGES = st.sampled_from(list(Stage))

EVERYTHING = compiled(
    REQUIRE.replace(' "vnd.columba.smtp"', ' "comparator-i;ascii-numeric"')
    + r"""
    if header :matches ["subject", "from", "x-a"] ["*<*>*", "?*", "*"] {
        set :upperfirst :quotewildcard "a" "${1}${2}";
        set :length "b" "${0}";
    }
    if address :matches :localpart ["from", "to", "cc"] "*" { set "c" "${1}"; }
    if address :detail :contains ["from", "to"] "" { set "d" "x"; }
    if header :count "ge" ["received", "to"] "1" { set "e" "${e}${a}"; }
    if header :value "lt" :comparator "i;ascii-numeric" "x-a" "5" { set "f" "x"; }
    if header :contains :comparator "i;octet" "subject" "${a}" { set "g" "${hex:ff}"; }
    if allof (exists ["from", "to"], size :over 10) { fileinto :copy "${a}x"; }
    if envelope :domain :is "to" ["b.example", "${c}"] { redirect "a@b.example"; }
    """
)


@given(TOKENS)
@settings(max_examples=300)
def test_the_search_for_mistakes_and_the_grammar_agree(text: str) -> None:
    source = Source(text.encode(), "fuzz")
    log = ErrorLog(source)
    found = Diagnosis(source, Lexer(source.text, log, Limits()).tokens(), log, Limits())
    found.run()
    assert is_grammatical(found.tokens) or len(log)


def check(octets: bytes, stage: Stage) -> Script | CompileErrors:
    result = compile_script(octets, "fuzz", stage)
    if isinstance(result, CompileErrors):
        assert result.errors
        assert result.render().startswith("fuzz:")
        for error in result.errors:
            assert error.position.line >= 1
            assert error.position.column >= 1
    return result


def check_outcome(outcome: Outcome) -> None:
    """What leaves the engine is UTF-8."""
    assert isinstance(outcome, Finished | Failed)
    if isinstance(outcome, Finished):
        texts = [*outcome.variables.values(), *map(repr, outcome.actions)]
        assert all(text.encode() is not None for text in texts)


@given(st.binary(max_size=300), STAGES)
def test_any_octets_compile_or_have_errors(octets: bytes, stage: Stage) -> None:
    check(octets, stage)


@given(TOKENS, STAGES)
@settings(max_examples=400)
def test_any_words_compile_or_have_errors(text: str, stage: Stage) -> None:
    for octets in (text.encode(), (REQUIRE + text).encode()):
        script = check(octets, stage)
        if isinstance(script, Script):
            check_outcome(outcome_of(script, tables={"a": {"a": "v"}}))


@given(st.binary(max_size=400))
@settings(max_examples=200)
def test_any_octets_are_a_message(octets: bytes) -> None:
    check_outcome(outcome_of(EVERYTHING, message=octets))


FIELD = st.tuples(
    st.sampled_from(["From", "To", "Cc", "Subject", "X-A", "Received"]),
    st.text('ab@.,;:<>()[]"\\=?utf-8qB_ \t\r\n\x00é*+', max_size=60),
)


@given(st.lists(FIELD, max_size=8), st.binary(max_size=40))
@settings(max_examples=200)
def test_any_fields_can_be_tested(fields: list[tuple[str, str]], body: bytes) -> None:
    block = "".join(f"{name}: {value}\r\n" for name, value in fields)
    message = block.encode() + b"\r\n" + body
    check_outcome(outcome_of(EVERYTHING, message=message))


def matches_slowly(pattern: str, text: str) -> bool:
    """Match by the definition, with all the backtracking that it takes."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(matches_slowly(pattern[1:], text[i:]) for i in range(len(text) + 1))
    if pattern[0] == "\\" and len(pattern) > 1:
        return text[:1] == pattern[1] and matches_slowly(pattern[2:], text[1:])
    return bool(text) and pattern[0] in ("?", text[0]) and matches_slowly(pattern[1:], text[1:])


@given(st.text("ab*?\\", max_size=7), st.text("ab*?\\\n", max_size=8))
@settings(max_examples=500)
def test_globs_match_as_defined(pattern: str, text: str) -> None:
    spans = parse_glob(pattern).spans(text)
    assert (spans is not None) is matches_slowly(pattern, text)
    if spans is not None:
        assert all(0 <= start <= end <= len(text) for start, end in spans)
        assert spans == sorted(spans)


@given(st.text(max_size=20), st.text("*ae\u00e9\u1e9b", max_size=5))
def test_captures_of_unicode_casemap_are_parts_of_the_text(text: str, pattern: str) -> None:
    script = compiled(
        'require ["variables"]; if string :comparator "i;unicode-casemap" :matches "${t}" "${p}"'
        ' { set "all" "${0}"; set "one" "${1}"; }'
    )
    outcome = outcome_of(script, variables={"t": text, "p": pattern})
    assert isinstance(outcome, Finished)
    assert outcome.variables.get("one", "") in text
    assert outcome.variables.get("all", text) == text


def test_an_evil_pattern_is_no_slower() -> None:
    pattern = "*a?" * 200 + "b"
    assert parse_glob(pattern).spans("a" * 20_000) is None


@given(st.text(max_size=40))
def test_paths_come_back(text: str) -> None:
    path = parse_path(text)
    if path is not None:
        assert parse_path(str(path)) == path


@given(st.text(max_size=40), st.integers(0, 60))
def test_truncation_keeps_to_the_limit(text: str, limit: int) -> None:
    short = truncate(text, limit)
    assert text.startswith(short)
    assert len(short.encode()) <= limit


@given(st.text(max_size=30))
def test_folding_keeps_the_length(text: str) -> None:
    folded = fold_ascii(text)
    assert len(folded) == len(text)
    assert fold_ascii(folded) == folded
    assert ASCII_CASEMAP.fold(text) == folded
    assert OCTET.fold(text) == text


@pytest.mark.parametrize("octets", [b"\xff\xfe", b"keep;\xff", b'redirect "\xff@b.example";'])
def test_octets_that_are_no_utf8(octets: bytes) -> None:
    check(octets, Stage.DATA)


def test_octets_that_are_no_utf8_do_not_leave_the_engine() -> None:
    script = compiled(
        REQUIRE + 'if envelope :matches "to" "*" { set "a" "${1}${hex:ff}"; } reject "${a}";'
    )
    outcome = outcome_of(script, envelope=Envelope(None, (Path("x\udcff", "b.example"),)))
    assert isinstance(outcome, Finished)
    assert outcome.variables == {"a": "x\ufffd@b.example\ufffd"}
    assert outcome.actions == (Reject("x\ufffd@b.example\ufffd"),)
    bad = compiled(REQUIRE + 'set "a" "${hex:ff}@b.example"; redirect "${a}";')
    assert isinstance(outcome_of(bad), Failed)
