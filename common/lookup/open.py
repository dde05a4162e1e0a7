"""From a URL to a look-up table. docs/lookups.md says what each kind is.

Nothing is opened before the first question. Back ends that need a driver say its name when it is not installed.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol, cast

from columba.common.config.general import LookupTable
from columba.common.errors import ConfigError
from columba.common.lookup.aliases import Aliases
from columba.common.lookup.base import Table
from columba.common.lookup.cached import CachedTable
from columba.common.lookup.lines import parse_inline
from columba.common.lookup.pooled import Connect, PooledTable
from columba.common.lookup.sqlite import SqliteTable
from columba.common.lookup.tables import KINDS, FileTable, InlineTable, load_entries
from columba.common.off_loop import OffLoop

# Scheme of a URL to the module that makes connections for it, and the package of columba that brings its driver.
SERVERS: Final[Mapping[str, tuple[str, str]]] = {
    "pgsql": ("pgsql", "postgresql"),
    "postgresql": ("pgsql", "postgresql"),
    "mysql": ("mysql", "mysql"),
    "redis": ("redis", "redis"),
    "rediss": ("redis", "redis"),
    "redis+unix": ("redis", "redis"),
    "ldap": ("ldap", "ldap"),
    "ldaps": ("ldap", "ldap"),
    "ldapi": ("ldap", "ldap"),
    "socketmap": ("socketmap", ""),
    "tcp": ("tcp_table", ""),
    "userdb": ("userdb", ""),
}


POOL: Final = 8  # of a table that is a URL alone
CACHE_S: Final = 5.0


class Backend(Protocol):
    """A module of a kind of server."""

    def make(self, settings: LookupTable) -> Connect:
        """Return what connects; raises ConfigError for a URL or query that is wrong."""
        ...


def open_table(name: str, settings: LookupTable, off_loop: OffLoop) -> Table:
    """Return the table; raises ConfigError when the URL is none that we know."""
    try:
        return _open(name, settings, off_loop)
    except ConfigError as error:
        raise ConfigError(f"lookup {name}: {error.text}", error.file, error.line) from error


def open_url(name: str, url: str, off_loop: OffLoop) -> Table:
    """Return a table that is a URL alone, without a query of its own; raises ConfigError."""
    return open_table(name, _of_url(url), off_loop)


def open_tables(tables: Mapping[str, LookupTable], off_loop: OffLoop) -> dict[str, Table]:
    """Return all tables by name; raises ConfigError."""
    return {name: open_table(name, settings, off_loop) for name, settings in tables.items()}


def check_table(name: str, settings: LookupTable) -> None:
    """Raise ConfigError for the first mistake of a table: its URL, its query, its file if it is there."""
    off_loop = OffLoop(1, "check")
    open_table(name, settings, off_loop).close()
    off_loop.close()
    scheme, _, rest = settings.url.partition(":")
    if scheme not in KINDS or not Path(rest).is_file():
        return
    try:
        entries, _ = load_entries(Path(rest), KINDS[scheme])
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"lookup {name}: {rest}: {error}") from error
    if isinstance(entries, Aliases) and entries.mistakes:
        raise entries.mistakes[0]


def check_url(name: str, url: str) -> None:
    """Raise ConfigError for the first mistake of a table that is a URL alone."""
    check_table(name, _of_url(url))


def _of_url(url: str) -> LookupTable:
    account = {"username": "", "password": "", "query": ""}
    return LookupTable(url=url, pool_size=POOL, cache_ttl=CACHE_S, **account)


def _open(name: str, settings: LookupTable, off_loop: OffLoop) -> Table:
    scheme, _, rest = settings.url.partition(":")
    if scheme == "inline":
        return InlineTable(parse_inline(rest))
    if scheme in KINDS:
        if not rest.startswith("/"):
            raise ConfigError(f"{scheme}: needs an absolute path")
        return FileTable(Path(rest), KINDS[scheme], off_loop)
    if scheme == "sqlite":
        return SqliteTable(rest, settings.query)
    if scheme not in SERVERS:
        known = ", ".join(("inline", *KINDS, "sqlite", *SERVERS))
        raise ConfigError(f"no table of kind {scheme!r} ({known})")
    table = PooledTable(name, _backend(scheme).make(settings), settings.pool_size)
    return CachedTable(table, settings.cache_ttl) if settings.cache_ttl else table


def _backend(scheme: str) -> Backend:
    module, extra = SERVERS[scheme]
    try:
        return cast(Backend, importlib.import_module(f"columba.common.lookup.{module}"))
    except ModuleNotFoundError as error:
        text = f"{scheme}: needs the package {error.name}: pip install columba[{extra}]"
        raise ConfigError(text) from error
