"""date (RFC 5260 §4, §5): the tests date and currentdate.

Pure. The time of the run comes with it. Without a zone the local one holds, which here is UTC.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from columba.common.mail.date import parse_date
from columba.sieve.core.fields import chosen_fields
from columba.sieve.core.matching import MATCH_TAGS, value_test
from columba.sieve.core.tests import field_names
from columba.sieve.lang.binding import Bound
from columba.sieve.lang.compiler import Compiler
from columba.sieve.lang.stage import EVERYWHERE, MESSAGE
from columba.sieve.lang.words import Extension, Kind, Positional, Tag, Word
from columba.sieve.run.code import Code
from columba.sieve.run.state import Run
from columba.sieve.run.values import Text

_ZONE: Final = re.compile(r"([+-])(\d\d)(\d\d)")
_JULIAN_OFFSET: Final = 678_576  # day 1 of datetime's count is 0001-01-01; MJD 0 is 1858-11-17
_DAY_NAMES: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH_NAMES: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip


def _zone_text(when: datetime) -> str:
    minutes = round((when.utcoffset() or timedelta()).total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}{rest:02}"


def _date_text(when: datetime) -> str:
    day, month = _DAY_NAMES[when.weekday()], _MONTH_NAMES[when.month - 1]
    return f"{day}, {when.day:02} {month} {when.year:04} {when:%H:%M:%S} {_zone_text(when)}"


def _iso(when: datetime) -> str:
    zone = _zone_text(when)
    shown = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return f"{when.year:04}-{when:%m-%dT%H:%M:%S}{shown}"


# RFC 5260 §4.2
_PARTS: Final[dict[str, Callable[[datetime], str]]] = {
    "year": lambda when: f"{when.year:04}",
    "month": lambda when: f"{when.month:02}",
    "day": lambda when: f"{when.day:02}",
    "date": lambda when: f"{when.year:04}-{when.month:02}-{when.day:02}",
    # The day by the zone's own calendar; datetime counts days from 0001-01-01 as 1.
    "julian": lambda when: str(when.toordinal() - _JULIAN_OFFSET),
    "hour": lambda when: f"{when.hour:02}",
    "minute": lambda when: f"{when.minute:02}",
    "second": lambda when: f"{when.second:02}",
    "time": lambda when: f"{when:%H:%M:%S}",
    "iso8601": _iso,
    "std11": _date_text,
    "zone": _zone_text,
    "weekday": lambda when: str((when.weekday() + 1) % 7),
}

DatePart = Callable[[Run, datetime], str | None]


def parse_zone(text: str) -> tzinfo | None:
    """Return the zone that "+hhmm" or "-hhmm" names, or None."""
    match = _ZONE.fullmatch(text)
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    if minutes >= 24 * 60:
        return None
    return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))


def build_date(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5260 §4: the date of a field, read behind its last semicolon if it has one."""
    names = field_names(compiler, (bound.string(0),))
    part = _date_part(compiler, bound, 1)
    fields = chosen_fields(compiler, bound, names)
    if fields is None:
        return None

    def values(run: Run) -> Sequence[str]:
        # Of several fields the first one counts, whether it holds a date or not.
        for field in fields(run)[:1]:
            when = parse_date(field.text.rpartition(";")[2])
            value = part(run, when) if when is not None else None
            return () if value is None else (value,)
        return ()

    return value_test(compiler, bound, values, bound.strings(2))


def build_currentdate(compiler: Compiler, bound: Bound) -> Code | None:
    """RFC 5260 §5."""
    part = _date_part(compiler, bound, 0)

    def values(run: Run) -> Sequence[str]:
        value = part(run, datetime.fromtimestamp(int(run.wall_s), UTC))
        return () if value is None else (value,)

    return value_test(compiler, bound, values, bound.strings(1))


def _date_part(compiler: Compiler, bound: Bound, index: int) -> DatePart:
    """Return what makes the wanted part of a date; warns of what is no part, or no zone."""
    node, zone_node = bound.string(index), bound.parameter("zone")
    name = compiler.text(node)
    if name.constant is not None and name.constant.lower() not in _PARTS:
        compiler.warn(node.at, f"unknown date part '{node.value[:40]}': the test is never true")
    zone: Text | None = None
    if zone_node is not None:
        zone = compiler.text(zone_node)
        if zone.constant is not None and parse_zone(zone.constant) is None:
            text = f"'{zone_node.value[:40]}' is no zone of the form +hhmm or -hhmm"
            compiler.warn(zone_node.at, f"{text}; the zone is UTC")
    keeps_zone = bound.has("originalzone")

    def part(run: Run, when: datetime) -> str | None:
        make = _PARTS.get(name.get(run).lower())
        target = UTC if zone is None else parse_zone(zone.get(run)) or UTC
        try:
            return make(when if keeps_zone else when.astimezone(target)) if make else None
        except OverflowError:
            return None

    return part


_ZONES: Final = "zone"
_ZONE_TAG: Final = Tag("zone", _ZONES, Kind.STRING)
_PART: Final = Positional(Kind.STRING, "date part")
_KEYS: Final = Positional(Kind.STRINGS, "key list")

DATE: Final = Extension(
    "date",
    words=(
        Word(
            "date",
            True,
            build_date,
            (Positional(Kind.STRING, "header name"), _PART, _KEYS),
            (*MATCH_TAGS, _ZONE_TAG, Tag("originalzone", _ZONES)),
            stages=MESSAGE,
        ),
        Word(
            "currentdate",
            True,
            build_currentdate,
            (_PART, _KEYS),
            (*MATCH_TAGS, _ZONE_TAG),
            stages=EVERYWHERE,
        ),
    ),
)
