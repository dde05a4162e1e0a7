"""A store whose gets and puts go the way of the event loop, so that the tests of blocking stores hold for it too."""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

import uvloop

from columba.queue.store.base import Chunks, Condition, Guarantees, HasDirect, Object, Page
from columba.queue.store.s3 import S3Store
from columba.queue.store.sealed import SealedStore

T = TypeVar("T")


class OnLoop:
    """A store and a thread with a loop for what it can do on one."""

    def __init__(self, inner: S3Store | SealedStore) -> None:
        assert isinstance(inner, HasDirect)
        direct = inner.direct()
        assert direct is not None
        self._inner, self._direct = inner, direct
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    @property
    def guarantees(self) -> Guarantees:
        return self._inner.guarantees

    def get(self, key: str) -> Object:
        return self._wait(self._direct.get(key))

    def get_file(self, key: str, target: Path) -> int:
        return self._inner.get_file(key, target)

    def put(self, key: str, data: bytes, condition: Condition) -> str:
        return self._wait(self._direct.put(key, data, condition))

    def put_chunks(self, key: str, chunks: Chunks, size: int, condition: Condition) -> str:
        return self._inner.put_chunks(key, chunks, size, condition)

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        return self._inner.list(prefix, after, limit)

    def delete(self, key: str) -> None:
        self._inner.delete(key)

    def close(self) -> None:
        async def end() -> None:
            self._direct.close()
            await asyncio.sleep(0)

        self._wait(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._inner.close()

    def _wait(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)
