"""Tables in SQLite files: `sqlite:/path` and a query. The file is opened for reading alone, off the loop."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from columba.common.errors import ConfigError, UnavailableError
from columba.common.lookup.base import UNSURE, Peeked
from columba.common.lookup.rows import ROWS, value_of
from columba.common.lookup.template import parse_query
from columba.common.off_loop import OffLoop

BUSY_S: Final = 1.0


class SqliteTable:
    """The first column of what a query finds; several rows are joined."""

    def __init__(self, path: str, query: str) -> None:
        """Raise ConfigError for a path that is not absolute, or a query without a place for the key."""
        if not path.startswith("/"):
            raise ConfigError("sqlite: needs an absolute path")
        self._path = Path(path)
        self._query = parse_query(query, lambda n: f"?{n}")
        self._thread = OffLoop(1, "sqlite")
        self._connection: sqlite3.Connection | None = None

    def peek(self, key: str) -> Peeked:
        """Know nothing without reading."""
        return UNSURE

    async def get(self, key: str, timeout_s: float) -> str | None:
        """Return the value of a key, None when there is none; raises UnavailableError."""
        values = self._query.values(key)
        if values is None:
            return None
        try:
            return await self._thread.run(timeout_s, self._ask, values)
        except TimeoutError as error:
            raise UnavailableError(f"{self._path} does not answer in time") from error

    def close(self) -> None:
        """Let the file go, after what runs."""
        self._thread.close()

    def _ask(self, values: tuple[str, ...]) -> str | None:
        try:
            if self._connection is None:
                self._connection = sqlite3.connect(
                    f"file:{quote(str(self._path))}?mode=ro",
                    uri=True,
                    timeout=BUSY_S,
                    check_same_thread=False,
                )
            return value_of(self._connection.execute(self._query.text, values).fetchmany(ROWS))
        except sqlite3.Error as error:
            connection, self._connection = self._connection, None
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
            raise UnavailableError(f"{self._path}: {error}") from error
