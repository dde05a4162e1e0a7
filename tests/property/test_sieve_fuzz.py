"""Whatever octets come: a script compiles or has errors, and a message can be tested. Nothing raises."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from columba.sieve.engine import Failed, Finished, Script
from columba.sieve.ext.registry import language
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
from tests.fakes.sieve_fuzz import EVERYTHING, compiled_or_errors, outcome_of_message

LANGUAGE = language()
EVERY_WORD = [
    word for known in (LANGUAGE.core, *LANGUAGE.extensions.values()) for word in known.words
]
WORDS = [
    *sorted({word.name for word in EVERY_WORD}),
    *sorted({f":{tag.name}" for word in EVERY_WORD for tag in word.tags}),
    *(
        ":count",
        ":value",
        ":regex",
        ":index",
        ":mime",
        ":anychild",
        ":copy",
        ":flags",
        "foo",
        ":foo",
    ),
    *('"i;octet"', '"a"', '"${1}"', '"${a.b}"', '"subject"', '"from"', '"eq"', '"*?*"', '"a@b"'),
    *('["a", "b"]', "[", "]", "(", ")", "{", "}", ";", ",", "1", "99999999999999999999", "10K"),
    *('"fileinto"', '"variables"', '"envelope"', '"${hex:zz}"', "text:\na\n.\n", "# c\n", "/*"),
    *('"', "@", "\\", "\x00", ":", "é", "text:", '"mailto:a@b.example"', '"/private/x"', '"year"'),
    *[";", "{", "}", ";"] * 8,
]
TOKENS = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)
CAPABILITIES = [
    name
    for name in sorted(LANGUAGE.extensions)
    if isinstance(compiled_or_errors(f'require "{name}";'.encode(), Stage.DELIVERY), Script)
]
REQUIRE = "require [" + ", ".join(f'"{name}"' for name in CAPABILITIES) + "];"
STAGES = st.sampled_from(list(Stage))

ALL = compiled(EVERYTHING)


@given(TOKENS)
@settings(max_examples=300)
def test_the_search_for_mistakes_and_the_grammar_agree(text: str) -> None:
    source = Source(text.encode(), "fuzz")
    log = ErrorLog(source)
    found = Diagnosis(source, Lexer(source.text, log, Limits()).tokens(), log, Limits())
    found.run()
    assert is_grammatical(found.tokens) or len(log)


@given(st.binary(max_size=300), STAGES)
def test_any_octets_compile_or_have_errors(octets: bytes, stage: Stage) -> None:
    compiled_or_errors(octets, stage)


@given(TOKENS, STAGES)
@settings(max_examples=400)
def test_any_words_compile_or_have_errors(text: str, stage: Stage) -> None:
    for octets in (text.encode(), (REQUIRE + text).encode()):
        script = compiled_or_errors(octets, stage)
        if isinstance(script, Script):
            outcome_of_message(script, b"From: a@b\r\n\r\nx\r\n")


@given(st.binary(max_size=400))
@settings(max_examples=200)
def test_any_octets_are_a_message(octets: bytes) -> None:
    outcome_of_message(ALL, octets)


FIELD = st.tuples(
    st.sampled_from(["From", "To", "Cc", "Subject", "X-A", "Received"]),
    st.text('ab@.,;:<>()[]"\\=?utf-8qB_ \t\r\n\x00é*+', max_size=60),
)


@given(st.lists(FIELD, max_size=8), st.binary(max_size=40))
@settings(max_examples=200)
def test_any_fields_can_be_tested(fields: list[tuple[str, str]], body: bytes) -> None:
    block = "".join(f"{name}: {value}\r\n" for name, value in fields)
    message = block.encode() + b"\r\n" + body
    outcome_of_message(ALL, message)


PIECE = st.sampled_from(
    [
        *(
            b"\r\n",
            b"\r\n\r\n",
            b"--b",
            b"--b--",
            b"--c",
            b"text",
            b" ",
            b"=C3=",
            b"YQ==",
            b"\xff\xfe",
        ),
        *(b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: message/rfc822\r\n"),
        *(
            b"Content-Type: text/html; charset=utf-16\r\n",
            b'Content-Type: multipart/x; boundary="c"\r\n',
        ),
        *(
            b"Content-Type: text/plain; name*1*=%ff; name*0*=x'y'%\r\n",
            b"Content-Type:\r\n",
            b"\x00",
        ),
        *(
            b"Content-Transfer-Encoding: base64\r\n",
            b"Content-Transfer-Encoding: quoted-printable\r\n",
        ),
        *(
            b"Content-Disposition: attachment; filename==?x?q?y?=\r\n",
            b"Subject: =?utf-7?q?+?=\r\n",
        ),
    ]
)


@given(st.lists(PIECE, max_size=20).map(b"".join))
@settings(max_examples=200)
def test_any_structure_can_be_tested(message: bytes) -> None:
    outcome_of_message(ALL, message)


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
    compiled_or_errors(octets, Stage.DATA)


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
