"""A store's calls over a simulated network: late, lost, or done although the answer is lost.

A request that was sent is on its way by itself: it may be done after its sender gave up, was stopped or died.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from columba.common.errors import StoreError, UnavailableError
from columba.queue.store.base import (
    ABSENT,
    Chunks,
    Condition,
    Guarantees,
    Object,
    ObjectStore,
    Page,
)
from columba.queue.store.calls import StoreCalls
from tests.fakes.sim_loop import SimLoop

T = TypeVar("T")
TIMEOUT_S = 10.0


@dataclass(slots=True)
class Net:
    """How one node reaches the store just now. Probabilities from 0 to 1, times in seconds."""

    lost_requests: float = 0.0
    lost_answers: float = 0.0
    slow: float = 0.0  # requests that arrive only after up to a minute
    torn: float = 0.0


class SimCalls(StoreCalls):
    """One process's calls."""

    def __init__(self, loop: SimLoop, store: ObjectStore, net: Net, chance: random.Random) -> None:
        self._loop, self._inner, self.net, self._chance = loop, store, net, chance

    @property
    def guarantees(self) -> Guarantees:
        return self._inner.guarantees

    async def get(self, key: str) -> Object:
        return await self._call(lambda: self._inner.get(key))

    async def get_file(self, key: str, target: Path, size: int) -> int:
        data = (await self.get(key)).data
        return _write(target, data)

    async def put(self, key: str, data: bytes, condition: Condition) -> str:
        return await self._call(lambda: self._inner.put(key, data, condition))

    async def put_chunks(self, key: str, chunks: Chunks, size: int, condition: Condition) -> str:
        data = b"".join(chunks())
        return await self._call(lambda: self._inner.put(key, data, condition))

    async def copy(self, key: str, target: str, size: int, folder: Path) -> None:
        data = (await self.get(key)).data
        await self.put(target, data, ABSENT)

    async def pages(self, prefix: str) -> AsyncIterator[tuple[str, ...]]:
        after, more = "", True
        while more:
            limit = 1 if self._chance.random() < self.net.torn else 1000
            page = await self._page(prefix, after, limit)
            yield page.keys
            after, more = (page.keys[-1], page.more) if page.keys else (after, False)

    async def delete(self, key: str) -> None:
        await self._call(lambda: self._inner.delete(key))

    def close(self) -> None:
        return

    async def _page(self, prefix: str, after: str, limit: int) -> Page:
        return await self._call(lambda: self._inner.list(prefix, after, limit))

    async def _call(self, act: Callable[[], T]) -> T:
        chance, net = self._chance, self.net
        answer: asyncio.Future[T] = self._loop.create_future()
        there_s, back_s = chance.expovariate(100.0), chance.expovariate(100.0)
        if chance.random() < net.slow:
            there_s = chance.uniform(0.0, 60.0)
        is_lost = chance.random() < net.lost_answers

        def done() -> None:
            try:
                result = act()
            except StoreError as error:
                tell = partial(_fail, answer, error)
            else:
                tell = partial(_succeed, answer, result)
            if not is_lost:
                self._loop.outside(back_s, tell)

        if chance.random() >= net.lost_requests:
            self._loop.outside(there_s, done)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await answer
        except TimeoutError as error:
            raise UnavailableError("no answer in time") from error


def _succeed(answer: "asyncio.Future[T]", result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: "asyncio.Future[T]", error: StoreError) -> None:
    if not answer.done():
        answer.set_exception(error)


def _write(target: Path, data: bytes) -> int:
    return target.write_bytes(data)
