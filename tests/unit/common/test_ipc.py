"""Calls over real ZeroMQ sockets: answers, deadlines, busy, death, cancel, malformed frames."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import zmq

from columba.common.errors import NoPeerError, PeerGoneError, PeerLateError
from columba.common.ipc import wire
from columba.common.ipc.calls import Caller, preferred
from columba.common.ipc.client import Call
from columba.common.ipc.directory import Directory
from columba.common.ipc.pump import make_socket
from columba.common.ipc.server import Answer, Incoming, Server
from columba.common.log.event import Event
from columba.common.log.level import Level


def slot(number: int, state: str = "ready", generation: int = 1) -> wire.Slot:
    return wire.Slot(service="work", slot=number, pid=1, generation=generation, state=state)  # type: ignore[arg-type]  # tests name states by text


class Bench:
    """One worker's server, a directory that knows it, a caller."""

    def __init__(self, run: Path) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        (run / "work").mkdir()
        (run / "anvil").mkdir()
        self.run = run
        self.lines: list[str] = []
        self.event = Event(lambda _level, text: self.lines.append(text), floor=Level.DEBUG)
        self.directory = Directory(self.context, str(run))
        self.caller = Caller(self.context, str(run), self.directory)
        self.seen: list[Incoming] = []
        self.release = asyncio.Event()
        self.unsent: list[wire.Reply] = []
        self.number = 0
        self.servers: list[Server] = []

    def serve(self, number: int, limit: int = 2) -> Server:
        server = Server(
            self.context,
            self.run / "work" / f"{number}.1",
            limit,
            self._handle,
            self.event,
            uids=frozenset({os.getuid()}),
            on_unsent=lambda _call, reply: self.unsent.append(reply),
            on_change=lambda: None,
        )
        self.servers.append(server)
        return server

    def tell(self, *slots: wire.Slot) -> None:
        self.number += 1
        self.directory.take(wire.Directory(number=self.number, slots=slots))

    async def _handle(self, call: Incoming) -> Answer:
        self.seen.append(call)
        assert isinstance(call.request, wire.Stage)
        if call.request.id == "crash":
            raise RuntimeError("boom")
        if call.request.id == "wait":
            await self.release.wait()
        return wire.Verdict(text=call.request.id), [*call.parts]

    def stage(self, id: str, seconds: float = 5.0) -> wire.Stage:
        deadline_ns = time.monotonic_ns() + int(seconds * 1e9)
        return wire.Stage(stage="rcpt", deadline_ns=deadline_ns, client=wire.Client(), id=id)

    def close(self) -> None:
        self.caller.close()
        self.directory.close()
        for server in self.servers:
            server.close()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()
    made.context.destroy(0)


def until(seconds: float) -> int:
    return time.monotonic_ns() + int(seconds * 1e9)


async def wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_an_answer_comes_with_its_parts_and_peer(bench: Bench) -> None:
    bench.serve(0)
    bench.tell(slot(0))
    answer = await bench.caller.call("work", bench.stage("a"), [b"x", b""], until_ns=until(5))
    assert answer.reply == wire.Verdict(text="a")
    assert answer.parts == [b"x", b""]
    assert answer.peer == "work.0.1"


async def test_no_worker_is_an_error_within_the_handoff_wait(bench: Bench) -> None:
    began = time.monotonic()
    with pytest.raises(NoPeerError):
        await bench.caller.call("work", bench.stage("a"), until_ns=until(5))
    assert time.monotonic() - began < 1


async def test_a_busy_worker_sends_the_caller_to_the_next(bench: Bench) -> None:
    bench.serve(0, limit=1)
    bench.serve(1, limit=1)
    bench.tell(slot(0), slot(1))
    async with asyncio.TaskGroup() as group:
        calls = [
            group.create_task(bench.caller.call("work", bench.stage("wait"), until_ns=until(5)))
            for _ in range(2)
        ]
        await wait_for(lambda: len(bench.seen) == 2)
        with pytest.raises(NoPeerError):
            await bench.caller.call("work", bench.stage("third"), until_ns=until(5))
        bench.release.set()
    assert {c.result().peer for c in calls} == {"work.0.1", "work.1.1"}


async def test_a_late_answer_is_late_and_then_stray(bench: Bench) -> None:
    bench.serve(0)
    bench.tell(slot(0))
    with pytest.raises(PeerLateError):
        await bench.caller.call("work", bench.stage("wait"), until_ns=until(0.05))
    bench.release.set()
    answer = await bench.caller.call("work", bench.stage("next"), until_ns=until(5))
    assert answer.reply == wire.Verdict(text="next")


async def test_death_fails_the_calls_in_flight_at_once(bench: Bench) -> None:
    bench.serve(0)
    bench.tell(slot(0))
    async with asyncio.TaskGroup() as group:
        call = group.create_task(gone(bench))
        await wait_for(lambda: len(bench.seen) == 1)
        bench.tell(slot(0, "dead"))
    assert call.result() < 1


async def gone(bench: Bench) -> float:
    began = time.monotonic()
    with pytest.raises(PeerGoneError):
        await bench.caller.call("work", bench.stage("wait"), until_ns=until(30))
    return time.monotonic() - began


async def test_a_call_past_its_deadline_is_not_begun(bench: Bench) -> None:
    bench.serve(0)
    bench.tell(slot(0))
    answer = await bench.caller.call("work", bench.stage("a", -1), until_ns=until(5))
    assert answer.reply == wire.Expired()
    assert not bench.seen


async def test_cancel_reaches_the_handler(bench: Bench) -> None:
    bench.serve(0)
    bench.tell(slot(0))
    calls: list[Call] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(
            bench.caller.call("work", bench.stage("wait"), until_ns=until(5), on_call=calls.append)
        )
        await wait_for(lambda: len(bench.seen) == 1)
        calls[0].cancel()
        await wait_for(lambda: bench.seen[0].is_cancelled)
        bench.release.set()


async def test_a_crash_is_an_answer_and_a_line(bench: Bench) -> None:
    bench.serve(0)
    bench.tell(slot(0))
    answer = await bench.caller.call("work", bench.stage("crash"), until_ns=until(5))
    assert answer.reply == wire.Crashed(text="RuntimeError")
    assert any("boom" in line for line in bench.lines)


async def test_garbage_is_logged_and_dropped(bench: Bench) -> None:
    server = bench.serve(0)
    bench.tell(slot(0))
    raw = make_socket(bench.context, zmq.DEALER)
    raw.setsockopt(zmq.IMMEDIATE, 0)
    raw.connect(f"ipc://{bench.run}/work/0.1")
    for frames in ([b"x"], [b"n", b"\xc1"], [b"n", b"\x91" * 100_000], [b"", b"", b"", b""]):
        raw.send_multipart(frames)
    await wait_for(lambda: server.malformed == 4)
    answer = await bench.caller.call("work", bench.stage("a"), until_ns=until(5))
    assert answer.reply == wire.Verdict(text="a")
    assert sum("malformed" in line for line in bench.lines) == 4
    raw.close(0)


async def test_a_foreign_user_is_not_heard(bench: Bench) -> None:
    server = bench.serve(0)
    server._uids = frozenset({12345})
    bench.tell(slot(0))
    with pytest.raises(PeerLateError):
        await bench.caller.call("work", bench.stage("a"), until_ns=until(0.2))
    assert not bench.seen


async def test_an_answer_to_a_dead_caller_is_handed_back(bench: Bench) -> None:
    bench.serve(0)
    raw = make_socket(bench.context, zmq.DEALER)
    raw.setsockopt(zmq.IMMEDIATE, 0)
    raw.connect(f"ipc://{bench.run}/work/0.1")
    raw.send_multipart([b"12345678", wire.ENCODER.encode(bench.stage("wait"))])
    await wait_for(lambda: len(bench.seen) == 1)
    raw.close(0)
    await asyncio.sleep(0.1)
    bench.release.set()
    await wait_for(lambda: bench.unsent == [wire.Verdict(text="wait")])


async def test_draining_answers_busy(bench: Bench) -> None:
    server = bench.serve(0)
    bench.tell(slot(0))
    await bench.caller.call("work", bench.stage("a"), until_ns=until(5))
    server.stop_taking()
    assert server.available == 0
    with pytest.raises(NoPeerError):
        await bench.caller.call("work", bench.stage("b"), until_ns=until(5))
    assert await server.wait_idle(1)


def test_a_key_stays_on_its_slot_when_others_go() -> None:
    slots = [slot(n) for n in range(5)]
    first = preferred(slots, "example.org")[0]
    rest = [s for s in slots if s.slot in {first.slot, 0, 1}]
    assert preferred(rest, "example.org")[0] == first


async def test_an_older_table_is_ignored_and_a_missing_worker_is_dead(bench: Bench) -> None:
    dead: list[str] = []
    bench.directory.on_dead(lambda s: dead.append(s.name))
    bench.tell(slot(0), slot(1))
    bench.tell(slot(1))
    bench.directory.take(wire.Directory(number=1, slots=(slot(0), slot(1))))
    assert [s.name for s in bench.directory.ready("work")] == ["work.1.1"]
    assert dead == ["work.0.1"]
    assert bench.directory.is_dead("work.0.1")
    assert not bench.directory.is_dead("work.9.9")
