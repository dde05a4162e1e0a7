"""Dates."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from columba.common.mail.date import format_date, parse_date, timestamp


@given(st.integers(0, 253402300799))
def test_what_is_written_is_read(wall_s: int) -> None:
    when = parse_date(format_date(wall_s))
    assert when is not None
    assert timestamp(when) == wall_s


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("Fri, 21 Nov 1997 09:55:06 -0600", (1997, 11, 21, 15, 55, 6)),  # RFC 5322 appendix A
        ("21 Nov 97 09:55:06 GMT", (1997, 11, 21, 9, 55, 6)),
        (
            "Thu,\r\n 13\r\n Feb\r\n 1969\r\n 23:32\r\n -0330 (Newfoundland Time)",
            (1969, 2, 14, 3, 2, 0),
        ),
        ("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", (1997, 11, 21, 15, 55, 6)),
        ("Mon, 1 Jan 01 00:00 EST", (2001, 1, 1, 5, 0, 0)),
        ("Sat, 31 Dec 2016 23:59:60 +0000", (2016, 12, 31, 23, 59, 59)),
        ("1 Jan 2020 00:00:00", (2020, 1, 1, 0, 0, 0)),
        ("1 Jan 2020 00:00:00 Z (a (nested) one)", (2020, 1, 1, 0, 0, 0)),
    ],
)
def test_forms(text: str, utc: tuple[int, int, int, int, int, int]) -> None:
    when = parse_date(text)
    assert when is not None
    assert when.astimezone(UTC) == datetime(*utc, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "32 Jan 2020 00:00:00 +0000", "1 Foo 2020 00:00:00 +0000",
             "1 Jan 2020 24:00:00 +0000", "1 Jan 2020 00:00:00 +9960", "1 Jan 2020 00:00:00 +0000" + " " * 300],
)  # fmt: skip
def test_no_dates(text: str) -> None:
    assert parse_date(text) is None


@given(st.text())
def test_never_raises(text: str) -> None:
    assert parse_date(text) is None or parse_date(text) is not None


def test_the_zone_is_kept() -> None:
    when = parse_date("1 Jul 2003 10:52:37 +0200")
    assert when is not None
    assert when.utcoffset() == timedelta(hours=2)
