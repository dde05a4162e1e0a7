import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from columba.common.config.schema import UNLIMITED, Declared, Kind
from columba.common.config.units import Scalar, format_value, parse_value


def declared(kind: Kind) -> Declared:
    return Declared(kind, "", "", ("one", "two"))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind.BOOL, "yes", True),
        (Kind.BOOL, "Y", True),
        (Kind.BOOL, "1", True),
        (Kind.BOOL, "No", False),
        (Kind.UINT, "0042", 42),
        (Kind.UINT, "unlimited", UNLIMITED),
        (Kind.OCTAL, "0660", 0o660),
        (Kind.OCTAL, "0", 0),
        (Kind.SIZE, "10", 10),
        (Kind.SIZE, "10 k", 10240),
        (Kind.SIZE, "10KiB", 10240),
        (Kind.SIZE, "1MB", 1 << 20),
        (Kind.SIZE, "2G", 2 << 30),
        (Kind.SIZE, "7B", 7),
        (Kind.TIME, "0", 0.0),
        (Kind.TIME, "10s", 10.0),
        (Kind.TIME, "2 m", 120.0),
        (Kind.TIME, "1 hour", 3600.0),
        (Kind.TIME, "3days", 259200.0),
        (Kind.TIME, "1w", 604800.0),
        (Kind.TIME, "250 ms", 0.25),
        (Kind.TIME, "250msecs", 0.25),
        (Kind.TIME, "infinite", float(UNLIMITED)),
        (Kind.PORT, "65535", 65535),
        (Kind.ENUM, "two", "two"),
        (Kind.STRLIST, "a, b c", ["a", "b", "c"]),
        (Kind.STRLIST, "", []),
        (Kind.STR, " x ", " x "),
    ],
)
def test_values(kind: Kind, text: str, value: Scalar) -> None:
    assert parse_value(declared(kind), text) == value


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (Kind.BOOL, "true", "Invalid boolean value: true (use yes or no)"),
        (Kind.BOOL, "0", "Invalid boolean value: 0 (use yes or no)"),
        (Kind.UINT, "-1", "Invalid number -1: Not a valid number"),
        (Kind.UINT, "٣", "Invalid number ٣: Not a valid number"),
        (Kind.OCTAL, "089", "Invalid number: 089"),
        (Kind.SIZE, "10x", "Invalid size: 10x"),
        (Kind.SIZE, "k", "Invalid size: k"),
        (Kind.SIZE, "99999999T", "Size is too large: 99999999T"),
        (Kind.TIME, "10", "Time interval '10' is missing units (add e.g. 's' for seconds)"),
        (Kind.TIME, "10 fortnights", "Invalid time interval: 10 fortnights"),
        (Kind.TIME, "soon", "Invalid time interval: soon"),
        (Kind.PORT, "65536", "Invalid port number 65536"),
        (Kind.ENUM, "three", "Invalid value: three (use one of: one, two)"),
    ],
)
def test_errors_are_dovecots_words(kind: Kind, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words[:8])) as caught:
        parse_value(declared(kind), text)
    assert str(caught.value) == words


@given(st.integers(0, UNLIMITED - 1))
def test_sizes_survive_formatting(size: int) -> None:
    assert parse_value(declared(Kind.SIZE), format_value(Kind.SIZE, size)) == size


@given(st.integers(0, 10**9))
def test_times_survive_formatting(milliseconds: int) -> None:
    text = format_value(Kind.TIME, milliseconds / 1000)
    assert parse_value(declared(Kind.TIME), text) == pytest.approx(milliseconds / 1000)


@given(st.text(), st.sampled_from(Kind))
def test_any_text_is_a_value_or_an_error(text: str, kind: Kind) -> None:
    try:
        parse_value(declared(kind), text)
    except ValueError as error:
        assert str(error)
