"""What the settings of a test file mean to the engine."""

import re
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Final

from columba.sieve.lang.limits import Limits, list_name
from columba.sieve.lang.stage import Stage

_TIME: Final = re.compile(r"(\d+)\s*(ms|s|m|h|d)?")
_UNIT_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MIN_VALUE_SIZE: Final = 4000
STAGE: Final = "columba_stage"  # ours: the stage that scripts are compiled for
TABLE: Final = "columba_table/"  # ours: columba_table/NAME/KEY = value
USE: Final = "columba_special_use/"  # ours: columba_special_use/FOLDER = flags
TIME: Final = "columba_time"  # ours: seconds since 1970
TESTER_LIMITS: Final = Limits(cpu_ms=30_000)  # a file of tests blocks nobody
LISTS: Final = "sieve_extlists_list"
LIST_KEY: Final = "priv/sieve/extlists/"


def limits_of(settings: dict[str, str]) -> Limits:
    """Return the limits that the settings ask for."""
    limits = TESTER_LIMITS
    cpu_ms = _time_ms(settings.get("sieve_max_cpu_time", ""), limits.cpu_ms)
    actions = _count(settings.get("sieve_max_actions", ""), limits.actions)
    redirects = _count(settings.get("sieve_max_redirects", ""), limits.redirects)
    size = settings.get("sieve_variables_max_value_size") or settings.get(
        "sieve_variables_max_variable_size", ""
    )
    return replace(
        limits,
        cpu_ms=cpu_ms,
        actions=actions,
        redirects=redirects,
        includes=_count(settings.get("sieve_include_max_includes", ""), limits.includes),
        include_depth=_count(
            settings.get("sieve_include_max_nesting_depth", ""), limits.include_depth
        ),
        variables=_count(settings.get("sieve_variables_max_scope_size", ""), limits.variables),
        variable_bytes=max(_MIN_VALUE_SIZE, _count(size, limits.variable_bytes)),
        options=dict(settings),
        lists=lists_of(settings),
        delimiters=settings.get("recipient_delimiter") or limits.delimiters,
    )


def stage_of(settings: dict[str, str]) -> Stage:
    """Return the stage that scripts are compiled for; an unknown name is a plain script."""
    name = settings.get(STAGE, "")
    return Stage(name) if name in Stage.__members__.values() else Stage.DELIVERY


def tables_of(settings: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return the look-up tables that a test file pretends."""
    tables: dict[str, dict[str, str]] = {}
    for name, value in settings.items():
        if name.startswith(TABLE):
            table, _, key = name.removeprefix(TABLE).partition("/")
            tables.setdefault(table, {})[key] = value
    return tables


def time_of(settings: dict[str, str], now_s: float) -> float:
    """Return the seconds since 1970 that a test file pretends, else those that it is now."""
    return float(_count(settings.get(TIME, ""), 0)) or now_s


def uses_of(settings: dict[str, str]) -> dict[str, str]:
    """Return the folder of each special use that a test file pretends."""
    return {
        use.lower(): name.removeprefix(USE)
        for name, uses in settings.items()
        if name.startswith(USE)
        for use in uses.split()
    }


def lists_of(settings: dict[str, str]) -> dict[str, frozenset[str]]:
    """Return what the lists of extlists hold; a list without a readable file holds nothing."""
    lists: dict[str, frozenset[str]] = {}
    for key in settings.get(LISTS, "").split():
        name = settings.get(f"{LISTS}/{key}/name", key)
        path = settings.get(f"{LISTS}/{key}/dict/file/path", "")
        lists[list_name(name)] = _items(FilePath(path)) if path else frozenset()
    return lists


def _items(path: FilePath) -> frozenset[str]:
    """Return the keys of a file of keys and values, line by line in turn."""
    try:
        lines = path.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return frozenset()
    return frozenset(key.removeprefix(LIST_KEY) for key in lines[::2] if key.startswith(LIST_KEY))


def _time_ms(value: str, default: int) -> int:
    match = _TIME.fullmatch(value.strip())
    return int(match[1]) * _UNIT_MS[match[2] or "s"] if match else default


def _count(value: str, default: int) -> int:
    return int(value) if value.strip().isdecimal() else default
