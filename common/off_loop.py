"""Run blocking calls in a bounded pool of threads, with a deadline, so that no event loop waits for a disk.

A call that is past its deadline goes on in its thread, because nothing can stop it: its result is unknown
to the caller, and its thread is busy until it ends. Calls that have not begun are dropped at their deadline.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OffLoop:
    """A pool of threads of one event loop."""

    def __init__(self, threads: int, name: str, limit: int = 2000) -> None:
        """At most `limit` calls wait or run at a time; one more is refused."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._limit = limit
        self.active = 0

    async def run(
        self, timeout_s: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what call returns; TimeoutError when it is not done after timeout_s, or too many wait."""
        if self.active >= self._limit:
            raise TimeoutError("too many calls wait for a thread")
        loop = asyncio.get_running_loop()
        self.active += 1
        try:
            future = loop.run_in_executor(self._pool, lambda: call(*args, **kwargs))
            async with asyncio.timeout(timeout_s):
                return await future
        finally:
            self.active -= 1

    def close(self) -> None:
        """Take no more calls; those that run end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
