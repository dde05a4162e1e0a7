"""The `replica:` store: the queue's objects on several members, with the store's contract (store/base.py).

Every call asks all members and counts when a majority agrees, so that any two calls have a member in common: reads
see what was written, conditional puts are ordered, and a part that was cut off can do nothing. A new mail counts only
once `copies` members have it. The first process of a machine that opens the store runs its member.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from columba.common.errors import (
    ConditionError,
    FullError,
    NotFoundError,
    StoreError,
    UnavailableError,
)
from columba.queue.store.base import (
    OBJECT_LIMIT,
    Chunks,
    Condition,
    Guarantees,
    Object,
    Page,
    check_key,
)
from columba.queue.store.replica.line import Answers, Ask, Lines
from columba.queue.store.replica.members import Members
from columba.queue.store.replica.merge import merge
from columba.queue.store.replica.register import Register, Source, State
from columba.queue.store.replica.words import INLINE, NAMES_LIMIT, PIECE, Listed, Names, Version

GONE: Final = Version()
_PAUSE_S: Final = 0.2


class ReplicaStore:
    """The store as one process uses it."""

    def __init__(
        self,
        members: Members,
        keys: tuple[bytes, bytes],
        timeout_s: float,
        on_close: Callable[[], None],
    ) -> None:
        """timeout_s: of one call. on_close is called when the store is closed."""
        self._members, self._timeout_s, self._on_close = members, timeout_s, on_close
        self._lines = Lines(members.peers, keys)
        self._register = Register(members, self._lines)

    @property
    def guarantees(self) -> Guarantees:
        """Return that nodes share it."""
        return Guarantees(shared=True, page_keys=NAMES_LIMIT)

    def wait_majority(self, timeout_s: float) -> None:
        """Wait until a majority answers; UnavailableError if it does not. A member that may not vote yet says no."""
        until_s = time.monotonic() + timeout_s
        while True:
            try:
                self._register.read("probe/majority", until_s)
                return
            except UnavailableError:
                if time.monotonic() + _PAUSE_S >= until_s:
                    raise
                time.sleep(_PAUSE_S)

    def get(self, key: str) -> Object:
        """Return an object of at most OBJECT_LIMIT octets."""
        state, until_s = self._present(key)
        if state.version.size > OBJECT_LIMIT:
            raise StoreError(f"{key}: larger than {OBJECT_LIMIT} octets")
        parts = [
            self._register.content(key, state, offset, until_s)
            for offset in range(0, state.version.size, PIECE)
        ]
        return Object(b"".join(parts), state.version.etag)

    def get_file(self, key: str, target: Path) -> int:
        """Write an object to a new file, piece by piece."""
        state, until_s = self._present(key)
        until_s += state.version.size / (1 << 20)
        try:
            with target.open("xb") as file:
                for offset in range(0, state.version.size, PIECE):
                    file.write(self._register.content(key, state, offset, until_s))
        except OSError as error:
            raise FullError(f"{target.name}: {error.strerror}") from error
        return state.version.size

    def put(self, key: str, data: bytes, condition: Condition) -> str:
        """Write an object on a majority."""
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return self._put(
            key, etag, len(data), lambda offset, count: data[offset : offset + count], condition
        )

    def put_chunks(self, key: str, chunks: Chunks, size: int, condition: Condition) -> str:
        """Write an object of this size, piece by piece; chunks is called once to know the etag, then to send."""
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in chunks():
            digest.update(chunk)
        return self._put(key, digest.hexdigest(), size, _Reader(chunks).part, condition)

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        """Return keys in order, from what a majority of members has."""
        until_s, limit = time.monotonic() + self._timeout_s, min(limit, NAMES_LIMIT)
        while True:
            keys, last, more = merge(
                self._names(prefix, after, limit, until_s), self._members.majority
            )
            if keys or not more:
                return Page(tuple(keys[:limit]), more or len(keys) > limit)
            after = last

    def delete(self, key: str) -> None:
        """Remove an object."""
        check_key(key)
        until_s = time.monotonic() + self._timeout_s
        try:
            self._register.change(key, lambda now: GONE if now.present else None, None, until_s)
        except ConditionError:
            return  # there is none

    def close(self) -> None:
        """Let go of the connections, and of the member if it is ours."""
        self._lines.close()
        self._on_close()

    def _present(self, key: str) -> tuple[State, float]:
        check_key(key)
        until_s = time.monotonic() + self._timeout_s
        state = self._register.read(key, until_s)
        if not state.version.present:
            raise NotFoundError(f"{key}: no such object")
        return state, until_s

    def _put(self, key: str, etag: str, size: int, source: Source, condition: Condition) -> str:
        check_key(key)
        until_s = time.monotonic() + self._timeout_s + size / (1 << 20)
        blob = secrets.token_hex(16) if size > INLINE else ""
        wanted = Version(etag, size, True, blob, secrets.token_hex(8))

        def change(now: Version) -> Version | None:
            if condition.absent:
                return None if now.present else wanted
            if condition.etag:
                return wanted if now.present and now.etag == condition.etag else None
            return wanted

        return self._register.change(key, change, source, until_s).version.etag

    def _names(self, prefix: str, after: str, limit: int, until_s: float) -> tuple[Listed, ...]:
        need = self._members.majority
        ask = Ask(Names(prefix, after, limit + 1))
        heard: Answers = self._lines.ask(
            dict.fromkeys(self._lines.peers, ask), lambda heard: len(heard) >= need, until_s
        )
        listed = tuple(a.reply for a in heard.values() if isinstance(a.reply, Listed))
        if len(listed) < need:
            raise UnavailableError(
                f"replica: {len(listed)} members list {prefix!r}, {need} are needed"
            )
        return listed


class _Reader:
    """Chunks as a content that is read from its beginning to its end, again from the beginning if need be."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks, self._left, self._at = chunks, iter(chunks()), 0
        self._held = b""

    def part(self, offset: int, count: int) -> bytes:
        """Return the octets from offset on."""
        if offset < self._at:
            self._left, self._at, self._held = iter(self._chunks()), 0, b""
        while len(self._held) < offset - self._at + count:
            chunk = next(self._left, None)
            if chunk is None:
                break
            self._held += chunk
        self._held = self._held[offset - self._at :]
        self._at = offset
        return self._held[:count]
