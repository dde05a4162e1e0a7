"""Read the settings of extensions: words that stand in Limits.options under Pigeonhole's names.

Pure. What can't be read counts as not set.
"""

import re
from collections.abc import Mapping
from typing import Final

_TIME: Final = re.compile(r"(\d{1,9})\s*([a-z]*)")
_UNITS_S: Final = {
    "": 1,
    "s": 1,
    "secs": 1,
    "m": 60,
    "mins": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
}


def is_yes(options: Mapping[str, str], name: str, default: bool = False) -> bool:
    """Return a setting of yes or no."""
    value = options.get(name, "").strip().lower()
    return default if not value else value in {"yes", "true", "1", "y"}


def names_in(options: Mapping[str, str], name: str) -> frozenset[str]:
    """Return the words of a list, in lower case."""
    return frozenset(options.get(name, "").lower().split())


def seconds(options: Mapping[str, str], name: str, default: int) -> int:
    """Return a duration in seconds."""
    match = _TIME.fullmatch(options.get(name, "").strip().lower())
    unit = _UNITS_S.get(match[2]) if match else None
    return int(match[1]) * unit if match and unit is not None else default


def number(options: Mapping[str, str], name: str, default: int) -> int:
    """Return a number."""
    value = options.get(name, "").strip()
    return int(value) if value.isdecimal() and len(value) < 10 else default
