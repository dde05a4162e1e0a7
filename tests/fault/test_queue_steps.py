"""At each step of an intake and of a try, the queue, its S3 server, or its master is killed.

The queue stops itself at the step (common/faultpoint.py), and goes on into what is left. All steps are played at
once, each with a queue process of its own: the harm is one.
"""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from columba.common.errors import PeerError
from columba.common.ipc import wire
from columba.common.ipc.server import Incoming
from columba.queue.record import INLINE_LIMIT
from tests.fakes.queue_process import Bench, QueueProcess, all_as, bench_in, intake
from tests.peers.all import open_folder
from tests.peers.seaweed import Seaweed

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(180)]
HEADER, BODY = b"From: sender@example.org\r\nSubject: test\r\n", os.urandom(INLINE_LIMIT + 10)
STEPS = (
    "intake.body", "intake.stored", "intake.answer", "attempt.claimed", "attempt.answered", "attempt.written",
    "bounce.stored",
)  # fmt: skip
LASTING: dict[str, object] = {
    "queue_store_timeout": 2.0,
    "queue_lease_ttl": 60.0,
    "queue_lease_margin": 5.0,
    "queue_in_doubt_time": 1.0,
}


class Scene:
    """One queue process that stands at a step, with a mail that some caller wants stored."""

    def __init__(self, step: str, bench: Bench, process: QueueProcess) -> None:
        self.step, self.bench, self.process = step, bench, process
        self.request = intake("a@example.net")
        self.got: Counter[str] = Counter()

    async def begin(self) -> None:
        """Have the mail stored, tried, or reported, up to the step."""
        await asyncio.to_thread(
            self._is_done
        )  # so that it has tried out the store while that lives
        await self.bench.play_sieve(self._deliver)
        self._first = asyncio.create_task(self.ask(8.0))
        await self.process.wait_stopped()

    async def ask(self, wait_s: float, by: str = "") -> bool:
        """Ask for the mail to be stored; tell whether the queue said that it is."""
        request = msgspec.structs.replace(self.request, by=by)
        try:
            return await self.bench.ask(request, HEADER, BODY, wait_s=wait_s) == wire.Stored()
        except PeerError:
            return False

    async def end(self) -> None:
        """Have it stored by all means, wait for its end, and see that it was delivered once."""
        is_stored = await self._first
        for number in range(60):
            if is_stored:
                break
            await asyncio.sleep(0.2)
            is_stored = await self.ask(3.0, f"caller {number}")
        for _ in range(200):
            if await asyncio.to_thread(self._is_done):
                break
            await asyncio.sleep(0.3)
        else:
            raise AssertionError(f"{self.step}: not done\n{self.bench.log()[-3000:]}")
        most = 2 if self.step == "attempt.answered" else 1  # nobody knows what its hop has said
        assert 1 <= self.got[self.request.handoff.id] <= most, (self.step, self.got)
        assert len(self.got) == (2 if self.step == "bounce.stored" else 1), (self.step, self.got)

    async def begin_again(self, status: int) -> None:
        """Start the queue anew once it has ended so."""
        assert await self.process.wait_end() == status, self.bench.log()
        self.bench.bury(self.process)
        await self.bench.queue()

    def _is_done(self) -> bool:
        records = self.bench.records()
        return bool(records) and all(record.is_tombstone for record in records)

    async def _deliver(self, call: Incoming) -> tuple[wire.Reply, list[bytes]]:
        assert isinstance(call.request, wire.Handoff)
        self.got[call.request.id] += 1
        if self.step == "bounce.stored" and call.request.kind != "generated":
            return await all_as("failed", code=550, enhanced="5.1.1", text="nobody")(call)
        return await all_as("delivered")(call)


@contextlib.asynccontextmanager
async def scenes(folder: Path, server: Seaweed) -> AsyncIterator[list[Scene]]:
    """Give one scene for each step, all standing at theirs."""
    async with contextlib.AsyncExitStack() as stack:
        benches = []
        for step in STEPS:
            (folder / step).mkdir()
            url = server.bucket.url()
            benches.append(
                await stack.enter_async_context(bench_in(folder / step, queue_url=url, **LASTING))
            )
        steps = zip(STEPS, benches, strict=True)
        processes = await asyncio.gather(*(b.queue(f"{step}:1:stop") for step, b in steps))
        made = [Scene(*each) for each in zip(STEPS, benches, processes, strict=True)]
        await asyncio.gather(*(scene.begin() for scene in made))
        yield made


@pytest.fixture(scope="module")
def victim() -> Iterator[Seaweed]:
    """Give a server that may be killed."""
    with open_folder() as folder:
        server = Seaweed(folder)
        try:
            yield server
        finally:
            server.stop()


async def test_the_queue_killed_at_a_step_loses_and_doubles_nothing(
    victim: Seaweed, tmp_path: Path
) -> None:
    async with scenes(tmp_path, victim) as all_steps:
        for scene in all_steps:
            scene.process.kill()
        await asyncio.gather(*(scene.begin_again(-signal.SIGKILL) for scene in all_steps))
        await asyncio.gather(*(scene.end() for scene in all_steps))


async def test_the_store_killed_at_a_step_loses_and_doubles_nothing(
    victim: Seaweed, tmp_path: Path
) -> None:
    async with scenes(tmp_path, victim) as all_steps:
        victim.kill()
        for scene in all_steps:
            scene.process.go_on()
        await asyncio.sleep(1.0)
        victim.start()  # from this thread, with which it would die
        await asyncio.gather(*(scene.end() for scene in all_steps))


async def test_the_master_killed_at_a_step_loses_and_doubles_nothing(
    victim: Seaweed, tmp_path: Path
) -> None:
    async with scenes(tmp_path, victim) as all_steps:
        for scene in all_steps:
            scene.process.lose_master()
            scene.process.go_on()
        await asyncio.gather(*(scene.begin_again(0) for scene in all_steps))
        await asyncio.gather(*(scene.end() for scene in all_steps))
