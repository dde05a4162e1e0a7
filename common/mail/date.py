"""Dates of mail.

Pure: RFC 5322 §3.3 with the obsolete forms of §4.3. The time comes as an argument; dates are written
in UTC, "+0000", because a mail server's own zone is of no use to anyone.
"""

import calendar
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_NUMBER: Final = {name.lower(): n for n, name in enumerate(_MONTHS, 1)}
# RFC 5322 §4.3: zones by name, in hours; military letters are read as +0000, their signs were confused.
_ZONES: Final = {
    "ut": 0, "gmt": 0, "utc": 0, "edt": -4, "est": -5, "cdt": -5, "cst": -6, "mdt": -6,
    "mst": -7, "pdt": -7, "pst": -8,
}  # fmt: skip
_COMMENT: Final = re.compile(r"\((?:[^()\\]|\\.)*\)")
_DATE: Final = re.compile(
    r"\s*(?:[A-Za-z]{3,9}\s*,?\s*)?(\d{1,2})[\s-]+([A-Za-z]{3})[A-Za-z]*[\s-]+(\d{2,4})\s*,?\s+"
    r"(\d{1,2})\s*:\s*(\d{1,2})(?:\s*:\s*(\d{1,2})(?:\.\d{1,9})?)?\s*([+-]\d{4}|[A-Za-z]{1,5})?(?:\s.*)?"
)
_MAX_LENGTH: Final = 200


def format_date(wall_s: float) -> str:
    """Return seconds since 1970 as an RFC 5322 date-time in UTC."""
    t = datetime.fromtimestamp(int(wall_s), UTC)
    return (
        f"{_DAYS[t.weekday()]}, {t.day} {_MONTHS[t.month - 1]} {t.year:04} "
        f"{t.hour:02}:{t.minute:02}:{t.second:02} +0000"
    )


def parse_date(text: str) -> datetime | None:
    """Return the date-time of a Date field, aware of its zone, or None. Never raises.

    A wrong name of the day is overlooked, and words behind the zone; a leap second is the second before it; no zone
    or "-0000" means UTC.
    """
    if len(text) > _MAX_LENGTH:
        return None
    for _ in range(8):  # nested comments, from the inside out
        shorter = _COMMENT.sub(" ", text)
        if shorter == text:
            break
        text = shorter
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    day, month, year, hour, minute, second, zone = match.groups()
    offset = _offset(zone)
    number = _NUMBER.get(month.lower())
    if offset is None or number is None:
        return None
    try:
        return datetime(
            _year(year), number, int(day), int(hour), int(minute), min(int(second or 0), 59),
            tzinfo=offset,
        )  # fmt: skip
    except ValueError:
        return None


def timestamp(when: datetime) -> int:
    """Return seconds since 1970 of an aware date-time."""
    return calendar.timegm(when.utctimetuple())


def _year(text: str) -> int:
    """RFC 5322 §4.3: 00–49 is 2000–2049; 50–99 and three digits count from 1900."""
    year = int(text)
    if len(text) == 2 and year < 50:
        return year + 2000
    return year + 1900 if len(text) < 4 else year


def _offset(zone: str | None) -> timezone | None:
    if zone is None:
        return UTC
    if zone[0] not in "+-":
        return timezone(timedelta(hours=_ZONES.get(zone.lower(), 0)))
    minutes = int(zone[1:3]) * 60 + int(zone[3:5])
    if int(zone[3:5]) > 59 or minutes >= 24 * 60:
        return None
    return timezone(timedelta(minutes=-minutes if zone[0] == "-" else minutes))
