"""A real queue process: what nobody was told of, and what nobody may be told yet."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from columba.common.ipc import wire
from columba.queue.store.file import FileStore
from tests.fakes.queue_process import all_as, bench_in, intake

pytestmark = pytest.mark.slow
HEADER, BODY = b"From: sender@example.org\r\nSubject: test\r\n", b"body\r\n"


async def test_reports_are_held_while_bounces_are_soft(tmp_path: Path) -> None:
    async with bench_in(tmp_path, soft_bounce=True) as bench:
        await bench.queue()
        await bench.play_sieve(all_as("failed", code=550, enhanced="5.1.1", text="no"))
        assert await bench.ask(intake("a@example.net"), HEADER, BODY) == wire.Stored()
        await bench.wait_for(lambda: any(r.kind == "generated" for r in bench.records()))
        (report,) = (r for r in bench.records() if r.kind == "generated")
        assert report.hold == "soft_bounce"
        assert report.pending and not report.active


async def test_what_a_dead_caller_had_stored_is_fenced_at_once(tmp_path: Path) -> None:
    async with bench_in(tmp_path, queue_fresh_delay=60.0) as bench:
        await bench.queue()
        await bench.play_sieve(all_as("delivered"))
        await bench.wait_for(lambda: bool(bench.directory.ready("sieve")))
        await asyncio.sleep(0.3)  # the queue has heard of it as well
        bench.sieve_died()
        await bench.wait_for(lambda: bench.directory.is_dead("sieve.0.1"))
        await asyncio.sleep(0.3)
        asked = intake("a@example.net")
        handoff = msgspec.structs.replace(asked.handoff, path=("sieve.0.1",), fence=b"k")
        asked = msgspec.structs.replace(asked, handoff=handoff)
        assert await bench.ask(asked, HEADER, BODY) == wire.Stored()
        store = FileStore(bench.store_folder)
        await bench.wait_for(lambda: bool(store.list("fence/").keys), 5)
