"""What one member has promised and accepted, in SQLite: the acceptor's side of Paxos.

The rules: a promise is never taken back; nothing older than a promise is accepted; both are on disk before they are
answered. `batch` makes one transaction of many requests, so that they share one fsync. A witness keeps the content
of leases alone, and of everything else what was accepted, not what it says. One thread uses a ledger.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from columba.common.errors import FullError, UnavailableError
from columba.queue.store.replica.blobs import Blobs
from columba.queue.store.replica.words import (
    NAMES_LIMIT,
    NEVER,
    PIECE,
    Accept,
    Ballot,
    Change,
    Done,
    Fetch,
    Known,
    Lacking,
    Listed,
    Name,
    Names,
    Piece,
    Prepare,
    Read,
    Refused,
    Version,
)

LEASES: Final = "lease/"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS object (
  key TEXT PRIMARY KEY,
  promised_n INTEGER NOT NULL, promised_by TEXT NOT NULL,
  accepted_n INTEGER NOT NULL, accepted_by TEXT NOT NULL,
  etag TEXT NOT NULL, size INTEGER NOT NULL, present INTEGER NOT NULL, blob TEXT NOT NULL,
  write TEXT NOT NULL,
  content BLOB, has_content INTEGER NOT NULL,
  change INTEGER NOT NULL, changed_s REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS object_change ON object (change);
"""
_FACTS: Final = "promised_n, promised_by, accepted_n, accepted_by, etag, size, present, blob, write, has_content"
_BUSY_S: Final = 10.0
Content = bytes | None


class Entry:
    """A key's row without its content."""

    def __init__(self, row: tuple[int, str, int, str, str, int, int, str, str, int]) -> None:
        self.promised: Ballot = (row[0], row[1])
        self.accepted: Ballot = (row[2], row[3])
        self.version = Version(row[4], row[5], bool(row[6]), row[7], row[8])
        self.has_content = bool(row[9])

    @property
    def known(self) -> Known:
        """Return it as an answer."""
        return Known(self.accepted, self.version, self.has_content)


NOTHING: Final = Entry((0, "", 0, "", "", 0, 0, "", "", 0))


class Ledger:
    """A member's memory."""

    def __init__(self, folder: Path, is_witness: bool) -> None:
        """Open it, or make it; UnavailableError when that can't be."""
        self._is_witness = is_witness
        with _as_store_errors():
            self.blobs = Blobs(folder / "blob")
            self._db = sqlite3.connect(
                folder / "ledger.db",
                timeout=_BUSY_S,
                isolation_level=None,
                check_same_thread=False,
            )
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
            self._last = self._one("SELECT coalesce(max(change), 0) FROM object")
        self._dropped: list[str] = []

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Make one durable change of everything within; FullError, UnavailableError: nothing was changed."""
        last = self._last
        try:
            with _as_store_errors():
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
        except BaseException:
            self._last = last
            self._dropped.clear()
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        for blob in self._dropped:
            self.blobs.drop(blob)
        self._dropped.clear()

    def read(self, asked: Read) -> tuple[Known, Content]:
        """Return what was accepted for a key, and its content if it was asked for and is not large."""
        entry = self._entry(asked.key)
        content = None
        if asked.with_content and entry.has_content and not entry.version.blob:
            content = self._content(asked.key)
        return entry.known, content

    def prepare(self, asked: Prepare) -> Known | Refused:
        """Promise a ballot."""
        entry = self._entry(asked.key)
        if entry.promised > asked.ballot:
            return Refused(entry.promised)
        if entry is NOTHING:
            self._insert(asked.key, asked.ballot)
        else:
            self._db.execute(
                "UPDATE object SET promised_n = ?, promised_by = ? WHERE key = ?",
                (*asked.ballot, asked.key),
            )
        return entry.known

    def accept(self, asked: Accept, content: Content) -> Done | Refused | Lacking:
        """Accept a version; content is None if it comes by blob or is kept."""
        entry = self._entry(asked.key)
        if entry.promised > asked.ballot:
            return Refused(entry.promised)
        version, holds = asked.version, self._holds(asked.key, asked.version)
        is_kept = asked.keep != NEVER
        if is_kept and (entry.accepted != asked.keep or (holds and not entry.has_content)):
            return Lacking()
        if holds and not is_kept and not self._has(version, content):
            return Lacking()
        if entry is NOTHING:
            self._insert(asked.key, asked.ballot)
        if not is_kept:
            if entry.has_content and entry.version.blob not in {"", version.blob}:
                self._dropped.append(entry.version.blob)
            kept = content if holds else None
            self._db.execute("UPDATE object SET content = ? WHERE key = ?", (kept, asked.key))
        self._last += 1
        self._db.execute(
            "UPDATE object SET promised_n = ?, promised_by = ?, accepted_n = ?, accepted_by = ?, etag = ?, "
            "size = ?, present = ?, blob = ?, write = ?, has_content = ?, change = ?, changed_s = ? WHERE key = ?",
            (
                *max(asked.ballot, asked.then),
                *asked.ballot,
                version.etag,
                version.size,
                version.present,
                version.blob,
                version.write,
                holds,
                self._last,
                time.time(),
                asked.key,
            ),
        )
        return Done()

    def names(self, asked: Names) -> Listed:
        """Return keys in order, those of removed objects too."""
        limit = min(asked.limit, NAMES_LIMIT)
        rows = self._db.execute(
            "SELECT key, accepted_n, accepted_by, present FROM object WHERE key > ? AND key >= ? AND key < ? "
            "AND accepted_n > 0 ORDER BY key LIMIT ?",
            (asked.after, asked.prefix, asked.prefix + "\x7f", limit + 1),
        ).fetchall()
        names = tuple(Name(key, (n, by), bool(present)) for key, n, by, present in rows[:limit])
        return Listed(names, len(rows) > limit)

    def fetch(self, asked: Fetch) -> tuple[Done | Lacking, Content]:
        """Return a part of the content that was accepted under a ballot."""
        entry = self._entry(asked.key)
        if entry.accepted != asked.ballot or not entry.has_content:
            return Lacking(), None
        if entry.version.blob:
            return Done(), self.blobs.part(entry.version.blob, asked.offset, PIECE)
        return Done(), (self._content(asked.key) or b"")[asked.offset : asked.offset + PIECE]

    def take(self, piece: Piece, content: bytes) -> Done | Lacking:
        """Write a part of a content that an Accept will name."""
        if self._is_witness:
            return Done()
        return Done() if self.blobs.write(piece, content) else Lacking()

    def changes(self, after: int, limit: int) -> tuple[Change, ...]:
        """Return what was accepted after one's own number, in that order."""
        rows = self._db.execute(
            f"SELECT change, key, {_FACTS} FROM object WHERE change > ? ORDER BY change LIMIT ?",
            (after, min(limit, NAMES_LIMIT)),
        )
        return tuple(
            Change(row[0], row[1], entry.accepted, entry.version)
            for row in rows
            for entry in [Entry(row[2:])]
        )

    def removed(self, before_s: float, limit: int) -> list[Name]:
        """Return keys whose objects were removed before an instant of the wall clock."""
        rows = self._db.execute(
            "SELECT key, accepted_n, accepted_by FROM object WHERE present = 0 AND accepted_n > 0 "
            "AND changed_s < ? LIMIT ?",
            (before_s, limit),
        )
        return [Name(key, (n, by), False) for key, n, by in rows]

    def forget(self, name: Name) -> None:
        """Drop the row of a removed object, if it is still the one that was named."""
        self._db.execute(
            "DELETE FROM object WHERE key = ? AND accepted_n = ? AND accepted_by = ? AND present = 0",
            (name.key, *name.accepted),
        )

    def blobs_in_use(self) -> set[str]:
        """Return the names of all contents that stand in files."""
        return {row[0] for row in self._db.execute("SELECT blob FROM object WHERE blob <> ''")}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def accepted(self, key: str) -> Ballot:
        """Return the ballot of what was accepted for a key."""
        return self._entry(key).accepted

    def _has(self, version: Version, content: Content) -> bool:
        """Tell whether the content of a version is here, whole."""
        if version.blob:
            return self.blobs.has(version.blob, version.size)
        return content is not None and len(content) == version.size

    def _holds(self, key: str, version: Version) -> bool:
        return version.present and (not self._is_witness or key.startswith(LEASES))

    def _entry(self, key: str) -> Entry:
        row = self._db.execute(
            f"SELECT {_FACTS} FROM object WHERE key = ?",
            (key,),
        ).fetchone()
        return Entry(row) if row else NOTHING

    def _content(self, key: str) -> Content:
        row = self._db.execute("SELECT content FROM object WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _insert(self, key: str, promised: Ballot) -> None:
        self._db.execute(
            "INSERT INTO object VALUES (?, ?, ?, 0, '', '', 0, 0, '', '', NULL, 0, 0, ?)",
            (key, *promised, time.time()),
        )

    def _one(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0])


@contextmanager
def _as_store_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        is_full = "full" in str(error)
        raise (FullError if is_full else UnavailableError)(f"replica: {error}") from error
    except OSError as error:
        raise UnavailableError(f"replica: {error.strerror or error}") from error
