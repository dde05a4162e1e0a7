"""What one member has promised and accepted, in SQLite: the acceptor's side of Paxos.

The rules: a promise is never taken back; nothing older than a promise is accepted; both are on disk before they are
answered. `batch` makes one transaction of many requests, so that they share one fsync. A witness keeps the content
of leases alone, and of everything else what was accepted, not what it says. One thread uses a ledger.

A ledger that is new may stand for one that was lost with its promises: it has no vote before the others have told what
they know (catchup.py).
"""

import errno
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from columba.common.errors import FullError, UnavailableError
from columba.queue.lease import LEASES
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
    Join,
    Joined,
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
CREATE TABLE IF NOT EXISTS own (one INTEGER PRIMARY KEY, ledger TEXT NOT NULL, votes INTEGER NOT NULL, made_s INTEGER);
INSERT OR IGNORE INTO own SELECT 1, lower(hex(randomblob(16))), EXISTS (SELECT 1 FROM object),
  CAST(strftime('%s', 'now') AS INTEGER);
CREATE TABLE IF NOT EXISTS joined (name TEXT PRIMARY KEY);
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
            self.name = str(self._db.execute("SELECT ledger FROM own").fetchone()[0])
            self.votes = bool(self._one("SELECT votes FROM own"))
            self.made_s = self._one("SELECT made_s FROM own")  # wall clock
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
            with suppress(sqlite3.Error):  # a disk that fails has rolled back already
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
            self._set_content(asked.key, content if holds else None)
        self._set(asked.key, max(asked.ballot, asked.then), asked.ballot, version, holds)
        return Done()

    def learn(self, change: Change, content: Content) -> None:
        """Take over what a peer has accepted and promised, before we vote; a content that nobody has may be lacking."""
        entry, version = self._entry(change.key), change.version
        promised = max(entry.promised, change.promised, change.accepted)
        has_content = self._holds(change.key, version) and self._has(version, content)
        if entry is NOTHING:
            self._insert(change.key, promised)
        is_news = change.accepted > entry.accepted
        if is_news or (change.accepted == entry.accepted and has_content):
            self._set_content(change.key, content if has_content else None)
            self._set(change.key, promised, change.accepted, version, has_content)
            return
        self._db.execute(
            "UPDATE object SET promised_n = ?, promised_by = ? WHERE key = ?",
            (*promised, change.key),
        )

    def begin_voting(self) -> None:
        """Vote from now on, durably."""
        with self.batch():
            self._db.execute("UPDATE own SET votes = 1")
        self.votes = True

    def join(self, asked: Join) -> Joined:
        """Remember that a member votes."""
        added = self._db.execute("INSERT OR IGNORE INTO joined VALUES (?)", (asked.name,))
        return Joined(added.rowcount == 0)

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
            Change(row[0], row[1], entry.accepted, entry.version, entry.promised)
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

    def _set_content(self, key: str, content: Content) -> None:
        self._db.execute("UPDATE object SET content = ? WHERE key = ?", (content, key))

    def _set(
        self, key: str, promised: Ballot, accepted: Ballot, version: Version, has_content: bool
    ) -> None:
        self._last += 1
        self._db.execute(
            "UPDATE object SET promised_n = ?, promised_by = ?, accepted_n = ?, accepted_by = ?, etag = ?, "
            "size = ?, present = ?, blob = ?, write = ?, has_content = ?, change = ?, changed_s = ? WHERE key = ?",
            (
                *promised,
                *accepted,
                version.etag,
                version.size,
                version.present,
                version.blob,
                version.write,
                has_content,
                self._last,
                time.time(),
                key,
            ),
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
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        kind = FullError if is_full else UnavailableError
        raise kind(f"replica: {error.strerror or error}") from error
