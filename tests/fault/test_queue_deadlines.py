"""Deadlines, delays and confirmations with a real queue process, killed where a report could be doubled or lost."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from columba.common.ipc import wire
from columba.common.ipc.server import Incoming
from columba.queue.record import Record
from tests.fakes.queue_process import Bench, all_as, bench_in, intake


def reports(bench: Bench) -> list[Record]:
    return [r for r in bench.records() if r.kind == "generated"]


def asking(*notify: str, **fields: object) -> wire.Intake:
    """Return an intake whose sender asks for these reports."""
    request = intake("a@x.example", **fields)
    people = tuple(
        msgspec.convert(
            {**msgspec.to_builtins(r, builtin_types=(bytes,)), "notify": notify}, wire.Recipient
        )
        for r in request.handoff.recipients
    )
    return msgspec.structs.replace(
        request, handoff=msgspec.structs.replace(request.handoff, recipients=people)
    )


async def hang(call: Incoming) -> tuple[wire.Reply, list[bytes]]:
    """Play a sieve-filter in which every try hangs."""
    await asyncio.sleep(60)
    return wire.Busy(), []


async def test_what_has_expired_leaves_although_every_try_hangs(tmp_path: Path) -> None:
    changed: dict[str, object] = {
        "queue_lifetime": 1.0,
        "queue_run_limit": 1,
        "queue_delay_notice": 0.0,
    }
    async with bench_in(tmp_path, **changed) as bench:
        await bench.queue()
        await bench.play_sieve(hang)
        first, second = intake("a@x.example"), intake("b@x.example")
        await bench.ask(first, b"A: b\r\n", b"x")
        await asyncio.sleep(0.5)
        await bench.ask(second, b"A: b\r\n", b"x")
        await bench.wait_for(lambda: bool(reports(bench)))
        (report,) = reports(bench)
        assert b"b@x.example" in report.body
        assert b"4.4.7" in report.body or b"5.4.7" in report.body


@pytest.mark.parametrize("fault", ["", "bounce.stored"])
async def test_a_delay_is_reported_once(tmp_path: Path, fault: str) -> None:
    changed: dict[str, object] = {
        "queue_delay_notice": 1.0,
        "queue_lease_ttl": 1.0,
        "queue_lease_margin": 0.3,
    }
    async with bench_in(tmp_path, **changed) as bench:
        process = await bench.queue(fault)
        await bench.play_sieve(all_as("deferred", code=451, text="busy"))
        await bench.ask(asking("DELAY"), b"Accept-Language: de\r\n", b"x")
        await bench.ask(asking("FAILURE"), b"A: b\r\n", b"x")
        if fault:
            assert await process.wait_end() == -9
            bench.bury(process)
            await bench.queue()
        await bench.wait_for(lambda: bool(reports(bench)))
        await bench.wait_for(lambda: any(p.noticed for r in bench.records() for p in r.recipients))
        (report,) = reports(bench)
        assert b"Action: delayed" in report.body
        assert b"Content-Language: de" in report.body
        assert len(bench.pending()) == 3, "both mails and the report go on"


@pytest.mark.parametrize("fault", ["", "attempt.written", "bounce.stored"])
async def test_a_delivery_is_confirmed_once(tmp_path: Path, fault: str) -> None:
    changed: dict[str, object] = {"queue_lease_ttl": 1.0, "queue_lease_margin": 0.3}

    async def play(call: Incoming) -> tuple[wire.Reply, list[bytes]]:
        assert isinstance(call.request, wire.Handoff)
        kind: wire.OutcomeKind = "deferred" if call.request.kind == "generated" else "delivered"
        reply, parts = await all_as(kind, success="relayed" if kind == "delivered" else "")(call)
        return reply, parts

    async with bench_in(tmp_path, **changed) as bench:
        process = await bench.queue(fault)
        await bench.play_sieve(play)
        request = asking("SUCCESS")
        await bench.ask(request, b"A: b\r\n", b"x")
        if fault:
            assert await process.wait_end() == -9
            bench.bury(process)
            await bench.queue()
        id = request.handoff.id
        await bench.wait_for(lambda: any(r.id == id and r.is_tombstone for r in bench.records()))
        (report,) = reports(bench)
        assert b"Action: relayed" in report.body


async def test_a_confirmation_is_durable_before_the_clients_250(tmp_path: Path) -> None:
    async with bench_in(tmp_path, queue_fresh_delay=3600.0) as bench:
        await bench.queue()
        request = asking("SUCCESS")
        done = wire.Outcome(
            number="1",
            kind="delivered",
            success="delivered",
            address=b"a@x.example",
            route="maildir:",
        )
        bounce = wire.Bounce(handoff=request.handoff, delivered=(done,))
        for _ in range(2):
            assert isinstance(await bench.ask(bounce, b"A: b\r\n", b"x"), wire.Stored)
        (report,) = reports(bench)
        assert b"Action: delivered" in report.body
