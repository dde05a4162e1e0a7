"""Reports speak their reader's language, where there are words for it."""

import pytest

from columba.common.log.event import Event
from columba.common.mail.dsn import Action, Fate, Report, write_dsn
from columba.common.mail.dsn_words import ENGLISH, WordsError, choose, fill, words_of
from columba.common.mail.header import Header
from columba.queue.templates import load_words


@pytest.mark.parametrize(
    ("accepted", "written", "language"),
    [
        ("", "", "en"),
        ("de", "", "de"),
        ("de-AT, en;q=0.5", "", "de"),
        ("en;q=0.4, fr;q=0.9", "de", "fr"),
        ("ja, fr;q=0.1", "", "fr"),
        ("ja", "de-CH", "de"),
        ("fr;q=0", "", "en"),
        ("*, fr", "", "en"),
        ("en, de", "", "en"),
        ("???, de;q=x", "fr", "fr"),
    ],
)
def test_the_dearest_language_that_there_are_words_for(
    accepted: str, written: str, language: str
) -> None:
    assert choose(accepted, written, {"de", "fr"}) == language


def test_what_a_translation_lacks_is_english() -> None:
    words = words_of({"greeting": "Hallo von $host."}, "de")
    assert fill(words.greeting, host="mx.example.org") == "Hallo von mx.example.org."
    assert words.failed == ENGLISH.failed


@pytest.mark.parametrize(
    "table",
    [
        {"greetings": "x"},
        {"greeting": 1},
        {"greeting": "$hots"},
        {"said": "100 $"},
        {"until": "$host"},
    ],
)
def test_a_mistake_in_a_translation_is_named(table: dict[str, object]) -> None:
    with pytest.raises(WordsError):
        words_of(table, "de")


def test_the_shipped_translations_are_whole() -> None:
    lines: list[str] = []
    words = load_words("", Event(lambda _level, text: lines.append(text)))
    assert {"de", "es", "fr"} <= set(words)
    assert lines == []
    for each in words.values():
        assert each.failed != ENGLISH.failed
        assert each.closing != ENGLISH.closing


def test_a_report_in_german_says_all_that_an_english_one_says() -> None:
    fate = Fate("b@example.net", Action.DELAYED, "4.4.1", "451 no answer", "mx1", retry_until_s=9e8)
    words = load_words("", Event(lambda _level, _text: None))["de"]
    report = Report("1", "mx.example.org", 1.0, "a@example.org", (fate,), Header(b""), words=words)
    written = write_dsn(report)
    assert "verzögert" in written.header.text("Subject")
    assert b"Content-Language: de" in written.body
    assert b"mx1 antwortete: 451 no answer" in written.body
    assert b"Will-Retry-Until:" in written.body
