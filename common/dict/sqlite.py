"""The embedded dict: one SQLite file that the processes of a machine share.

`sqlite:/var/lib/columba/dict.db`. Each process has one connection, used off the loop by one thread, so that calls
keep their order. The journal is a write-ahead log without fsync at each commit: a kill of a process loses
nothing, a power cut may lose the last moments, never the file. Expired values are swept while others are written.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from columba.common.dict.base import MARK_S, Add, Change, Drop, Put, number
from columba.common.dict.memory import MARKS
from columba.common.errors import UnavailableError
from columba.common.off_loop import OffLoop

BUSY_S: Final = 5.0  # how long one process waits for another's write
SWEEP_S: Final = 60.0
SWEEP_ROWS: Final = 1000
T = TypeVar("T")
_SCHEMA: Final = """
create table if not exists entries (key text primary key, value text not null, until_s real) without rowid;
create index if not exists entries_until on entries (until_s) where until_s is not null;
"""


class SqliteDict:
    """A Dict in a file; it is made at first use."""

    def __init__(self, path: Path, now_s: Callable[[], float] = time.time) -> None:
        self._path, self._now_s = path, now_s
        self._thread = OffLoop(1, "dict")
        self._connection: sqlite3.Connection | None = None
        self._swept_s = 0.0

    async def get(self, key: str, timeout_s: float) -> str | None:
        """Return a value, None when there is none."""
        return await self._run(timeout_s, lambda c: self._find(c, key))

    async def set(self, key: str, value: str, timeout_s: float, expires_s: int = 0) -> None:
        """Set a value."""
        change = Put(key, value, expires_s)
        await self._write(timeout_s, lambda c: self._apply(c, change))

    async def set_new(self, key: str, value: str, timeout_s: float, expires_s: int = 0) -> str:
        """Set a value unless there is one; return the one that is there now."""

        def put(connection: sqlite3.Connection) -> str:
            known = self._find(connection, key)
            if known is None:
                self._apply(connection, Put(key, value, expires_s))
            return value if known is None else known

        return await self._write(timeout_s, put)

    async def increment(self, key: str, amount: int, timeout_s: float, expires_s: int = 0) -> int:
        """Add to a number and return it."""

        def add(connection: sqlite3.Connection) -> int:
            self._apply(connection, Add(key, amount, expires_s))
            return number(self._find(connection, key))

        return await self._write(timeout_s, add)

    async def delete(self, key: str, timeout_s: float) -> None:
        """Remove a value, if it is there."""
        await self._write(timeout_s, lambda c: self._apply(c, Drop(key)))

    async def commit(self, mark: str, changes: Sequence[Change], timeout_s: float) -> bool:
        """Do all the changes in one transaction unless the mark was seen before."""

        def change_all(connection: sqlite3.Connection) -> bool:
            if self._find(connection, MARKS + mark) is not None:
                return False
            for change in changes:
                self._apply(connection, change)
            self._apply(connection, Put(MARKS + mark, "", MARK_S))
            return True

        return await self._write(timeout_s, change_all)

    def close(self) -> None:
        """Let the file go, after what runs."""
        self._thread.close()

    async def _run(self, timeout_s: float, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._thread.run(timeout_s, self._guarded, work)
        except TimeoutError as error:
            raise UnavailableError(f"{self._path} does not answer in time") from error

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._open())
        except (sqlite3.Error, OSError) as error:
            self._drop()
            raise UnavailableError(f"{self._path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(
                self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            connection.executescript(_SCHEMA)
            self._connection = connection
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    async def _write(self, timeout_s: float, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work in one transaction that no other process can come between."""
        return await self._run(timeout_s, lambda connection: self._change(connection, work))

    def _change(self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
        connection.execute("begin immediate")
        try:
            result = work(connection)
            self._sweep(connection)
            connection.execute("commit")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("rollback")
            raise
        return result

    def _sweep(self, connection: sqlite3.Connection) -> None:
        now_s = self._now_s()
        if now_s - self._swept_s >= SWEEP_S:
            gone = connection.execute(
                "delete from entries where key in"
                " (select key from entries where until_s <= ? limit ?)",
                (now_s, SWEEP_ROWS),
            ).rowcount
            if (
                gone < SWEEP_ROWS
            ):  # else the next write goes on: who floods us must not outrun the sweep
                self._swept_s = now_s

    def _find(self, connection: sqlite3.Connection, key: str) -> str | None:
        row = connection.execute(
            "select value from entries where key = ? and (until_s is null or until_s > ?)",
            (key, self._now_s()),
        ).fetchone()
        return None if row is None else str(row[0])

    def _apply(self, connection: sqlite3.Connection, change: Change) -> None:
        match change:
            case Put(key, value, expires_s):
                until_s = self._now_s() + expires_s if expires_s else None
                connection.execute(
                    "insert or replace into entries (key, value, until_s) values (?, ?, ?)",
                    (key, value, until_s),
                )
            case Add(key, amount, expires_s):
                self._add(connection, key, amount, expires_s)
            case _:
                connection.execute("delete from entries where key = ?", (change.key,))

    def _add(self, connection: sqlite3.Connection, key: str, amount: int, expires_s: int) -> None:
        known = self._find(connection, key)
        if known is None:
            self._apply(connection, Put(key, str(amount), expires_s))
            return
        connection.execute(
            "update entries set value = ? where key = ?", (str(number(known) + amount), key)
        )
