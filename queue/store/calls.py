"""A store's calls for an event loop: bounded, each with a deadline, off the loop where they block.

A call past its deadline is UnavailableError: what it wrote, if anything, is unknown, as after any
UnavailableError.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from columba.common.errors import UnavailableError
from columba.common.off_loop import OffLoop
from columba.queue.store.base import (
    ABSENT,
    Chunks,
    Condition,
    Guarantees,
    HasDirect,
    Object,
    ObjectStore,
    Page,
)

P = ParamSpec("P")
T = TypeVar("T")
_PER_THREAD: Final = 4
_DIRECT_MAX: Final = 1 << 18  # octets that are hashed and encrypted on the loop at most
PAGE: Final = 100_000  # a store in files reads the whole folder for each page


class StoreCalls:
    """One store, as an event loop uses it."""

    def __init__(self, store: ObjectStore, threads: int, timeout_s: float) -> None:
        """threads: how many calls are under way at most; of those that need none, four times as many."""
        self._store, self._timeout_s = store, timeout_s
        self._off_loop = OffLoop(threads, "store")
        self._direct = store.direct() if isinstance(store, HasDirect) else None
        self._room = asyncio.Semaphore(_PER_THREAD * threads)

    @property
    def guarantees(self) -> Guarantees:
        """Return what the store promises."""
        return self._store.guarantees

    async def get(self, key: str) -> Object:
        """Return an object; NotFoundError when there is none."""
        if self._direct is not None:
            return await self._without_thread(key, self._direct.get, key)
        return await self._run(key, self._timeout_s, self._store.get, key)

    async def get_file(self, key: str, target: Path, size: int) -> int:
        """Write an object of about this size to a new file and return its size."""
        return await self._run(key, self._time_for(size), self._store.get_file, key, target)

    async def put(self, key: str, data: bytes, condition: Condition) -> str:
        """Write an object and return its etag."""
        if self._direct is not None and len(data) <= _DIRECT_MAX:
            return await self._without_thread(key, self._direct.put, key, data, condition)
        return await self._run(key, self._timeout_s, self._store.put, key, data, condition)

    async def put_chunks(self, key: str, chunks: Chunks, size: int, condition: Condition) -> str:
        """Write an object in pieces and return its etag; each MiB has a second more."""
        put = self._store.put_chunks
        return await self._run(key, self._time_for(size), put, key, chunks, size, condition)

    async def copy(self, key: str, target: str, size: int, folder: Path) -> None:
        """Write an object of about this size again under a key that is absent, by way of the folder."""
        timeout_s = 2 * self._time_for(size)
        await self._run(target, timeout_s, _copy, self._store, key, target, folder)

    async def pages(self, prefix: str) -> AsyncIterator[tuple[str, ...]]:
        """Yield all keys below a prefix, in order, a page at a time; each page has its own deadline."""
        after, more = "", True
        while more:
            page = await self._list(prefix, after)
            yield page.keys
            after, more = (page.keys[-1], page.more) if page.keys else (after, False)

    async def delete(self, key: str) -> None:
        """Remove an object; none is fine."""
        await self._run(key, self._timeout_s, self._store.delete, key)

    def close(self) -> None:
        """Take no more calls."""
        self._off_loop.close()
        if self._direct is not None:
            self._direct.close()
        self._store.close()

    async def _list(self, prefix: str, after: str) -> Page:
        limit = min(PAGE, self.guarantees.page_keys)
        return await self._run(prefix, self._timeout_s, self._store.list, prefix, after, limit)

    def _time_for(self, size: int) -> float:
        return self._timeout_s + size / (1 << 20)

    async def _run(
        self, what: str, timeout_s: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        try:
            return await self._off_loop.run(timeout_s, call, *args, **kwargs)
        except TimeoutError as error:
            raise UnavailableError(f"{what}: no answer in time") from error

    async def _without_thread(
        self, what: str, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        try:
            async with asyncio.timeout(self._timeout_s), self._room:
                return await call(*args, **kwargs)
        except TimeoutError as error:
            raise UnavailableError(f"{what}: no answer in time") from error


def _copy(store: ObjectStore, key: str, target: str, folder: Path) -> None:
    path = folder / f"copy.{secrets.token_hex(8)}"
    try:
        size = store.get_file(key, path)
        store.put_chunks(target, lambda: _pieces(path), size, ABSENT)
    finally:
        path.unlink(missing_ok=True)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 18):
            yield chunk
