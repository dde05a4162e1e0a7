"""The gets and puts of the `s3:` store on the event loop, for the many small objects of a queue.

What they say and mean is the same as in s3.py, and so are the tries. The credentials are read by the calls in threads:
the leases of others are listed every few seconds.
"""

import asyncio
import time
from hashlib import sha256
from typing import Final

from columba.common.faultpoint import reached
from columba.queue.store import s3_words as words
from columba.queue.store.base import OBJECT_LIMIT, Condition, Object, check_key
from columba.queue.store.s3_line import AGAIN, IDLE_S, KEPT, Answer, Ask, Line, say
from columba.queue.store.s3_link import Link
from columba.queue.store.s3_wire import WireError, request_head

_ANSWER_MAX: Final = OBJECT_LIMIT + (1 << 16)


class S3Direct:
    """One bucket, below one prefix, for one event loop."""

    def __init__(self, line: Line, prefix: str) -> None:
        self._line, self._prefix = line, prefix
        self._idle: list[tuple[float, Link]] = []
        self._is_closed = False

    async def get(self, key: str) -> Object:
        """Return an object's content."""
        return words.object_of(key, await self._send(words.get_ask(self._path(key))))

    async def put(self, key: str, data: bytes, condition: Condition) -> str:
        """Write an object."""
        reached("s3.put")
        ask = words.put_ask(self._path(key), Ask("PUT", data=data), condition)
        answer = await self._send(ask)
        if words.is_doubtful(key, ask, answer):
            there = await self._send(Ask("HEAD", ask.key))
            if not words.is_own(ask, there):
                raise words.lost(key, answer)
            return words.etag_of(key, there)
        reached("s3.put.done")
        return words.etag_of(key, answer)

    def close(self) -> None:
        """Close the connections that are not in use, and keep none from now on."""
        self._is_closed = True
        while self._idle:
            self._idle.pop()[1].close()

    async def _send(self, ask: Ask) -> Answer:
        """Return the server's final answer; UnavailableError when there is none in time."""
        tries = self._line.tries(ask)
        digest = sha256(ask.data).hexdigest()
        while True:
            try:
                async with asyncio.timeout(self._line.try_s(tries.until_s)):
                    answer = await self._once(ask, digest)
                if answer.status not in AGAIN:
                    return tries.marked(answer)
                problem = say(answer)
            except TimeoutError:
                problem = "no answer: too slow"
            except (OSError, WireError) as error:
                problem = f"{type(error).__name__}: {error}"
            await asyncio.sleep(tries.wait_s(problem))

    async def _once(self, ask: Ask, digest: str) -> Answer:
        link = self._young() or await self._connect()
        try:
            url, headers = self._line.request(ask, digest)
            head, data = await link.ask(
                ask.method, request_head(ask.method, url, headers), ask.data
            )
        except BaseException:
            link.close()
            raise
        if head.keeps and link.is_open and len(self._idle) < KEPT and not self._is_closed:
            self._idle.append((time.monotonic(), link))
        else:
            link.close()
        return Answer(head.status, head.headers, data)

    def _young(self) -> Link | None:
        """Return a kept connection that the server has not closed for its age."""
        while self._idle:
            since_s, link = self._idle.pop()
            if link.is_open and time.monotonic() - since_s < IDLE_S:
                return link
            link.close()
        return None

    async def _connect(self) -> Link:
        host, port, tls = self._line.address
        name = host if tls is not None else None
        _, link = await asyncio.get_running_loop().create_connection(
            lambda: Link(_ANSWER_MAX), host, port, ssl=tls, server_hostname=name
        )
        return link

    def _path(self, key: str) -> str:
        return self._prefix + check_key(key)
