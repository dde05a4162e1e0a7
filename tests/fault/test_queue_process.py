"""A real queue process, killed at each step: what it answered `Stored` for is there in the next life."""

import asyncio
import os
import resource
import signal
from pathlib import Path

import msgspec
import pytest

from columba.common.errors import PeerError
from columba.common.ipc import wire
from columba.common.ipc.server import Incoming
from columba.queue import lease as leases
from columba.queue.record import BOUNCED, DELIVERED, DISOWNED, INLINE_LIMIT
from columba.queue.store.file import FileStore
from tests.fakes.queue_process import Bench, all_as, bench_in, intake

pytestmark = pytest.mark.slow
HEADER, BODY = b"From: sender@example.org\r\nSubject: test\r\n", b"body\r\n"
# No renewal comes between, so that the second put of a life is that of the first intake.
STILL: dict[str, object] = {"queue_lease_renewal": 60.0, "queue_lease_ttl": 300.0}


async def store(bench: Bench, request: wire.Intake, body: bytes = BODY) -> bool:
    """Tell whether the queue said Stored."""
    try:
        reply = await bench.ask(request, HEADER, body, wait_s=5.0)
    except PeerError:
        return False
    return isinstance(reply, wire.Stored)


def states(bench: Bench) -> list[str]:
    return [p.state for r in bench.records() for p in r.recipients]


def all_done(bench: Bench) -> bool:
    records = bench.records()
    return bool(records) and all(record.is_tombstone for record in records)


async def test_a_stored_message_is_delivered_and_leaves_a_tombstone(tmp_path: Path) -> None:
    async with bench_in(tmp_path) as bench:
        seen: list[Incoming] = []

        async def play(call: Incoming) -> tuple[wire.Reply, list[bytes]]:
            seen.append(call)
            return await all_as("delivered", hop="mx.test[192.0.2.1]:25")(call)

        await bench.queue()
        request = intake("a@example.net", "b@example.net")
        assert await store(bench, request)
        assert len(bench.pending()) == 2
        await bench.play_sieve(play)
        await bench.wait_for(lambda: all_done(bench))
        assert states(bench) == [DELIVERED, DELIVERED]
        assert [call.parts for call in seen] == [[HEADER, BODY]]
        handoff = seen[0].request
        assert isinstance(handoff, wire.Handoff)
        assert (handoff.step, handoff.origin, handoff.attempt) == ("dkim", "queue", 1)
        assert handoff.envelope == request.handoff.envelope
        assert handoff.client == request.handoff.client
        await bench.wait_for(lambda: bench.log().count("Delivered from the queue") >= 2)
        assert bench.log().count("Delivered from the queue") == 2


@pytest.mark.parametrize(
    ("point", "is_stored"),
    [
        ("file.written:2", False),
        ("file.named:2", True),
        ("file.synced:2", True),
        ("intake.stored", True),
        ("intake.answer", True),
    ],
)
async def test_killed_while_it_stores_it_said_nothing_false(
    tmp_path: Path, point: str, is_stored: bool
) -> None:
    async with bench_in(tmp_path, **STILL) as bench:
        doomed = await bench.queue(point)
        request = intake("a@example.net")
        assert not await store(bench, request), "it died before it could answer"
        assert await doomed.wait_end() == -signal.SIGKILL
        bench.bury(doomed)
        assert bool(bench.pending()) is is_stored
        await bench.queue()
        assert await store(bench, request), "the caller's second try"
        assert bench.pending() == [(request.handoff.id, "1")], "and it is there once"
        await bench.play_sieve(all_as("delivered"))
        await bench.wait_for(lambda: all_done(bench))


@pytest.mark.parametrize("point", ["file.synced:2", "intake.body", "file.written:3"])
async def test_killed_while_it_stores_a_large_body(tmp_path: Path, point: str) -> None:
    async with bench_in(tmp_path, **STILL) as bench:
        doomed = await bench.queue(point)
        body = os.urandom(INLINE_LIMIT) * 3
        request = intake("a@example.net")
        assert not await store(bench, request, body)
        assert await doomed.wait_end() == -signal.SIGKILL
        bench.bury(doomed)
        assert bench.pending() == []
        await bench.queue()
        assert await store(bench, request, body)
        found: list[bytes] = []

        async def play(call: Incoming) -> tuple[wire.Reply, list[bytes]]:
            assert isinstance(call.request, wire.Handoff)
            found.append((bench.spool / call.request.body.spool).read_bytes())
            return await all_as("delivered")(call)

        await bench.play_sieve(play)
        await bench.wait_for(lambda: all_done(bench))
        assert found == [body]
        await bench.wait_for(lambda: list(bench.spool.iterdir()) == [])


async def test_what_was_stored_survives_a_kill(tmp_path: Path) -> None:
    async with bench_in(tmp_path) as bench:
        process = await bench.queue()
        requests = [intake("a@example.net", "b@example.net") for _ in range(20)]
        for request in requests:
            assert await store(bench, request)
        bench.bury(process)
        await bench.play_sieve(all_as("delivered"))
        await bench.queue()
        await bench.wait_for(lambda: all_done(bench))
        assert sorted(states(bench)) == [DELIVERED] * 40


@pytest.mark.parametrize("point", ["attempt.claimed", "attempt.answered", "attempt.written"])
async def test_killed_during_a_try_it_is_in_doubt_and_then_tried_again(
    tmp_path: Path, point: str
) -> None:
    async with bench_in(tmp_path) as bench:
        calls: list[wire.Request] = []

        async def play(call: Incoming) -> tuple[wire.Reply, list[bytes]]:
            calls.append(call.request)
            return await all_as("delivered")(call)

        await bench.play_sieve(play)
        doomed = await bench.queue(point)
        assert await store(bench, intake("a@example.net"))
        assert await doomed.wait_end() == -signal.SIGKILL
        bench.bury(doomed)
        await bench.queue()
        if point != "attempt.written":
            await bench.wait_for(lambda: "Found an attempt that did not end" in bench.log())
        await bench.wait_for(lambda: all_done(bench))
        assert states(bench) == [DELIVERED]
        assert len(calls) == {"attempt.claimed": 1, "attempt.answered": 2}.get(point, 1)


async def test_a_late_outcome_ends_the_doubt(tmp_path: Path) -> None:
    async with bench_in(tmp_path, queue_in_doubt_time=60.0) as bench:
        await bench.queue()
        request = intake("a@example.net", "b@example.net", in_doubt=True)
        assert await store(bench, request)
        await bench.play_sieve(all_as("delivered"))
        outcomes = (
            wire.Outcome(number="1", kind="delivered", address=b"a@example.net"),
            wire.Outcome(number="2", kind="refused", code=451, address=b"b@example.net"),
        )
        settle = wire.Settle(id=request.handoff.id, outcomes=outcomes)
        assert await bench.ask(settle) == wire.Done()
        assert await bench.ask(settle) == wire.Done(), "twice is harmless"
        await bench.wait_for(lambda: all_done(bench))
        assert states(bench) == [DELIVERED, DELIVERED]


async def test_an_outcome_before_its_intake_takes_effect(tmp_path: Path) -> None:
    async with bench_in(tmp_path) as bench:
        await bench.queue()
        request = intake("a@example.net")
        done = wire.Outcome(number="1", kind="delivered", address=b"a@example.net")
        await bench.ask(wire.Settle(id=request.handoff.id, outcomes=(done,), fence=b"key"))
        assert await store(bench, request)
        await bench.wait_for(lambda: all_done(bench))
        assert states(bench) == [DELIVERED]
        told = await bench.ask(wire.FenceAsk(base=b"key", originals=(b"a@example.net",)))
        assert isinstance(told, wire.FenceTold)
        assert [(f.finals, f.id) for f in told.fenced] == [
            ((b"a@example.net",), request.handoff.id)
        ]


async def test_a_disowned_intake_has_no_effect(tmp_path: Path) -> None:
    async with bench_in(tmp_path) as bench:
        await bench.queue()
        early, late = intake("a@example.net", by="one"), intake("a@example.net", by="one")
        assert await store(bench, early)
        for request in (early, late):
            disown = wire.Disown(id=request.handoff.id, numbers=("1",), by="one")
            assert await bench.ask(disown) == wire.Done()
        await bench.wait_for(lambda: all_done(bench))
        assert states(bench) == [DISOWNED, DISOWNED]
        assert not await store(bench, late), "the intake that was disowned comes at last"
        other = msgspec.structs.replace(late, by="another")
        assert await store(bench, other), "somebody else takes it over after all"
        assert bench.pending() == [(late.handoff.id, "1")]


async def test_what_a_second_caller_relies_on_can_t_be_disowned(tmp_path: Path) -> None:
    async with bench_in(tmp_path) as bench:
        await bench.queue()
        request = intake("a@example.net", by="one")
        disown = wire.Disown(id=request.handoff.id, numbers=("1",), by="one")
        assert await store(bench, request)
        assert await store(bench, msgspec.structs.replace(request, by="another"))
        await bench.ask(disown)
        assert bench.pending() == [(request.handoff.id, "1")]
        await bench.ask(disown)
        assert bench.pending() == [(request.handoff.id, "1")]


async def test_a_doubt_that_comes_after_a_take_over_holds(tmp_path: Path) -> None:
    async with bench_in(tmp_path, queue_in_doubt_time=8.0) as bench:
        await bench.queue()
        request = intake("a@example.net", by="the caller of a dead signer", due_in_s=1.0)
        assert await store(bench, request)
        doubt = msgspec.structs.replace(request, by="delivery", in_doubt=True)
        assert await store(bench, doubt)
        await bench.play_sieve(all_as("delivered"))
        await asyncio.sleep(2.0)
        assert bench.pending() == [(request.handoff.id, "1")], "not tried while it is in doubt"


async def test_a_final_failure_makes_one_dsn_although_it_is_killed(tmp_path: Path) -> None:
    async with bench_in(tmp_path) as bench:

        async def play(call: Incoming) -> tuple[wire.Reply, list[bytes]]:
            assert isinstance(call.request, wire.Handoff)
            if call.request.kind == "generated":
                return await all_as("delivered")(call)
            return await all_as("failed", code=550, enhanced="5.1.1", text="no such user")(call)

        await bench.play_sieve(play)
        doomed = await bench.queue("bounce.stored")
        assert await store(bench, intake("a@example.net"))
        assert await doomed.wait_end() == -signal.SIGKILL
        bench.bury(doomed)
        await bench.queue()
        await bench.wait_for(lambda: all_done(bench))
        assert sorted(states(bench)) == sorted([BOUNCED, DELIVERED])
        assert len(bench.records()) == 2


@pytest.mark.parametrize(("may_queue", "kind"), [("yes", "generated"), ("no", "received")])
async def test_a_part_that_failed_is_reported_once_or_held(
    tmp_path: Path, may_queue: str, kind: str
) -> None:
    async with bench_in(tmp_path) as bench:
        await bench.queue()
        request = intake("a@example.net", "b@example.net")
        handoff = msgspec.structs.replace(request.handoff, may_queue=may_queue)
        failed = wire.Outcome(number="2", kind="failed", code=550, address=b"b@example.net")
        for _ in range(2):
            asked = wire.Bounce(handoff=handoff, failed=(failed,))
            assert await bench.ask(asked, HEADER, BODY) == wire.Stored()
        (record,) = bench.records()
        assert record.kind == kind
        assert bool(record.hold) is (may_queue == "no")


async def test_an_expired_message_leaves_with_a_dsn_although_nobody_is_there(
    tmp_path: Path,
) -> None:
    async with bench_in(tmp_path, queue_lifetime=1.0) as bench:
        await bench.queue()
        assert await store(bench, intake("a@example.net"))
        await bench.wait_for(lambda: BOUNCED in states(bench))
        dsn = next(record for record in bench.records() if record.kind == "generated")
        assert dsn.step == "route"
        assert dsn.envelope["sender"] == b""
        assert dsn.recipients[0].spec["address"] == b"sender@example.org"
        assert b"4.4.7" in dsn.body or b"5.4.7" in dsn.body


async def test_two_deaths_of_a_worker_make_poison(tmp_path: Path) -> None:
    async with bench_in(tmp_path, queue_in_doubt_time=0.5) as bench:
        deaths = 0

        async def play(call: Incoming) -> tuple[wire.Reply, list[bytes]]:
            nonlocal deaths
            deaths += 1
            bench.sieve_died()
            await asyncio.sleep(30)
            return wire.Busy(), []

        await bench.play_sieve(play)
        await bench.queue()
        assert await store(bench, intake("a@example.net"))
        await bench.wait_for(lambda: [r.deaths for r in bench.records()] == [1])
        await bench.play_sieve(play)
        await bench.wait_for(lambda: "Held as poison" in bench.log())
        await bench.play_sieve(all_as("delivered"))
        rows = await bench.ask_admin("list")
        assert [row["state"] for row in rows] == ["held"]
        assert deaths == 2
        await bench.ask_admin("release", id=rows[0]["id"])
        await bench.wait_for(lambda: all_done(bench))
        assert states(bench) == [DELIVERED]


async def test_an_error_of_a_worker_is_no_death(tmp_path: Path) -> None:
    async with bench_in(tmp_path, queue_in_doubt_time=0.2) as bench:
        calls = 0

        async def play(call: Incoming) -> tuple[wire.Reply, list[bytes]]:
            nonlocal calls
            calls += 1
            return (wire.Crashed(), []) if calls < 4 else await all_as("delivered")(call)

        await bench.play_sieve(play)
        await bench.queue()
        assert await store(bench, intake("a@example.net"))
        await bench.wait_for(lambda: all_done(bench))
        assert states(bench) == [DELIVERED]


async def test_a_read_only_store_is_not_stored(tmp_path: Path) -> None:
    async with bench_in(tmp_path) as bench:
        await bench.queue()
        (bench.store_folder / "env").write_text("no folder")  # nothing can be made below it
        reply = await bench.ask(intake("a@example.net"), HEADER, BODY)
        assert isinstance(reply, wire.NotStored)


async def test_a_full_disk_is_not_stored_and_room_is_used_again(tmp_path: Path) -> None:
    async with bench_in(tmp_path, **STILL) as bench:
        process = await bench.queue()
        big, unlimited = b"x" * 20_000, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        request = intake("a@example.net", by="one")
        resource.prlimit(process.child.pid, resource.RLIMIT_FSIZE, (5000, unlimited[1]))
        reply = await bench.ask(request, HEADER, big)
        assert isinstance(reply, wire.NotStored)
        assert await store(bench, intake("small@example.net")), "what fits is stored"
        resource.prlimit(process.child.pid, resource.RLIMIT_FSIZE, unlimited)
        assert await store(bench, msgspec.structs.replace(request, by="another"), big)
        assert len(bench.pending()) == 2


async def test_a_stop_in_order_gives_the_lease_back(tmp_path: Path) -> None:
    async with bench_in(tmp_path) as bench:
        process = await bench.queue()
        assert await store(bench, intake("a@example.net", due_in_s=60.0))
        process.child.terminate()
        assert await process.wait_end() == 0, bench.log()
        objects = FileStore(bench.store_folder)
        (key,) = objects.list("lease/").keys
        assert leases.decode(objects.get(key).data).holder == ""
        await bench.queue()
        assert leases.decode(objects.get(key).data).epoch == 2
        assert len(bench.pending()) == 1


async def test_another_node_adopts_what_a_dead_one_had(tmp_path: Path) -> None:
    async with bench_in(tmp_path) as bench:
        dead = await bench.queue()
        requests = [intake("a@example.net") for _ in range(10)]
        for request in requests:
            assert await store(bench, request)
        bench.bury(dead)
        (tmp_path / "state" / "queue-node").rename(tmp_path / "gone")  # another machine's state
        await bench.play_sieve(all_as("delivered"))
        await bench.queue()
        assert len(bench.pending()) == 10, "it does not touch them before the lease is stale"
        await bench.wait_for(lambda: all_done(bench))
        assert states(bench) == [DELIVERED] * 10
        assert "Adopted a lease" in bench.log()


async def test_an_administrator_sees_and_changes(tmp_path: Path) -> None:
    async with bench_in(tmp_path) as bench:
        await bench.queue()
        one = intake("a@example.net")
        assert await store(bench, one)
        await asyncio.sleep(0.01)  # ids of one millisecond are in no order
        two = intake("b@example.net", due_in_s=3600.0)
        assert await store(bench, two)
        rows = await bench.ask_admin("list")
        assert [row["recipients"] for row in rows] == [["a@example.net"], ["b@example.net"]]
        await bench.ask_admin("hold", id=one.handoff.id)
        assert [row["state"] for row in await bench.ask_admin("list")] == ["held", "waiting"]
        await bench.play_sieve(all_as("delivered"))
        await bench.ask_admin("flush", id=two.handoff.id)
        await bench.wait_for(lambda: [id for id, _ in bench.pending()] == [one.handoff.id])
        await bench.ask_admin("delete", id=one.handoff.id)
        await bench.wait_for(lambda: all_done(bench))
        assert await bench.ask_admin("list") == []
        shown = await bench.ask_admin("show", id=two.handoff.id)
        assert shown[0]["state"] == DELIVERED
