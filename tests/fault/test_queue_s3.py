"""A real queue process on a real S3 server: either killed while mail comes in, the server frozen past the lease."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from columba.common.errors import PeerError
from columba.common.ipc import wire
from columba.common.ipc.server import Incoming
from columba.queue.store.keyring import key_line
from tests.fakes.plain_s3 import plain_s3
from tests.fakes.queue_process import Bench, all_as, bench_in, intake
from tests.peers.all import open_folder
from tests.peers.seaweed import Bucket, Seaweed

pytestmark = [pytest.mark.slow, pytest.mark.peer]
HEADER, BODY = b"From: sender@example.org\r\nSubject: test\r\n", b"body\r\n"
STILL: dict[str, object] = {"queue_lease_renewal": 60.0, "queue_lease_ttl": 300.0}
PROBE_PUTS, PROBE_DONE = 5, 2  # of the start, and one more for the lease


@pytest.fixture
async def bench(s3_bucket: Bucket, tmp_path: Path) -> AsyncIterator[Bench]:
    keys = tmp_path / "keys"
    keys.touch(0o600)
    keys.write_text(key_line(b"k" * 32, 0.0))
    async with bench_in(tmp_path, queue_url=s3_bucket.url(), queue_key_file=str(keys)) as bench:
        yield bench


@pytest.fixture(scope="module")
def victim() -> Iterator[Seaweed]:
    """Give a server that may be killed and frozen."""
    with open_folder() as folder:
        server = Seaweed(folder)
        try:
            yield server
        finally:
            server.stop()


async def store(
    bench: Bench, request: wire.Intake, body: bytes = BODY, wait_s: float = 8.0
) -> bool:
    try:
        reply = await bench.ask(request, HEADER, body, wait_s=wait_s)
    except PeerError:
        return False
    return isinstance(reply, wire.Stored)


def all_done(bench: Bench, count: int) -> bool:
    records = bench.records()
    return len(records) >= count and all(record.is_tombstone for record in records)


async def ended(bench: Bench) -> None:
    """Wait until nobody is to be served any more; each look reads the whole bucket."""
    for _ in range(30):
        if not await asyncio.to_thread(bench.pending):
            return
        await asyncio.sleep(1.0)
    raise AssertionError(f"still there: {bench.pending()[:5]}")


class Taker:
    """A played sieve-filter that delivers, and counts what it got."""

    def __init__(self) -> None:
        self.got: Counter[str] = Counter()
        self.bodies: list[bytes] = []

    async def __call__(self, call: Incoming) -> tuple[wire.Reply, list[bytes]]:
        assert isinstance(call.request, wire.Handoff)
        self.got[call.request.id] += 1
        return await all_as("delivered")(call)


@pytest.mark.parametrize(
    ("point", "is_stored"),
    [
        (f"s3.put:{PROBE_PUTS + 2}", False),
        (f"s3.put.done:{PROBE_DONE + 2}", True),
    ],
)
async def test_killed_while_it_stores_it_said_nothing_false(
    bench: Bench, point: str, is_stored: bool
) -> None:
    doomed = await bench.queue(point)
    request = intake("a@example.net")
    assert not await store(bench, request, wait_s=2.0), "it died before it could answer"
    assert await doomed.wait_end() == -signal.SIGKILL
    bench.bury(doomed)
    assert bool(bench.pending()) is is_stored
    await bench.queue()
    assert await store(bench, request), "the caller's second try"
    assert bench.pending() == [(request.handoff.id, "1")], "and it is there once"
    taker = Taker()
    await bench.play_sieve(taker)
    await bench.wait_for(lambda: all_done(bench, 1))
    assert taker.got == {request.handoff.id: 1}


async def test_what_was_stored_survives_kills_of_the_server(
    victim: Seaweed, tmp_path: Path
) -> None:
    async with bench_in(tmp_path, queue_url=victim.bucket.url(), queue_store_timeout=3.0) as bench:
        await bench.queue()
        stored: list[str] = []

        async def load() -> None:
            until = time.monotonic() + 4.0
            while time.monotonic() < until:
                request = intake("a@example.net", due_in_s=10.0)
                if await store(bench, request):
                    stored.append(request.handoff.id)
                await asyncio.sleep(0.05)

        loads = [asyncio.create_task(load()) for _ in range(4)]
        for _ in range(2):
            await asyncio.sleep(1.0)
            victim.kill()
            victim.start()  # from this thread, with which it would die
        await asyncio.gather(*loads)
        assert len(stored) > 20
        taker = Taker()
        await bench.play_sieve(taker)
        await bench.wait_for(lambda: set(stored) <= set(taker.got), 60.0)
        await ended(bench)
        assert max(taker.got.values()) == 1


async def test_a_server_that_is_frozen_past_the_lease_loses_and_doubles_nothing(
    victim: Seaweed, tmp_path: Path
) -> None:
    fast = {"queue_store_timeout": 1.0, "queue_lease_ttl": 2.0}
    async with bench_in(tmp_path, queue_url=victim.bucket.url(), **fast) as bench:
        await bench.queue()
        requests = [intake("a@example.net", due_in_s=3.0) for _ in range(10)]
        for request in requests:
            assert await store(bench, request)
        victim.freeze()
        try:
            late = intake("late@example.net")
            began = time.monotonic()
            assert not await store(bench, late)
            assert time.monotonic() - began < 5.0, "no answer would be worse than no"
            await asyncio.sleep(4.0)
        finally:
            victim.thaw()
        taker = Taker()
        await bench.play_sieve(taker)
        await bench.wait_for(lambda: {r.handoff.id for r in requests} <= set(taker.got), 40.0)
        await ended(bench)
        assert max(taker.got.values()) == 1
        assert late.handoff.id not in taker.got, "what was refused was taken back"
        assert "can't be renewed" in bench.log()


async def test_a_store_that_lacks_conditions_is_refused_at_start(tmp_path: Path) -> None:
    with plain_s3(tmp_path) as url:
        async with bench_in(tmp_path, queue_url=url) as bench:
            process = bench.begin()
            assert await process.wait_end() == 78
            assert "If-None-Match: * overwrites" in process.log.read_text()
