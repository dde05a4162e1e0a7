"""Measure the queue: intake and drain of one real process, a takeover, and a million messages in memory."""

import asyncio
import bisect
import gc
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import uvloop

from bench import report
from columba.common import ids
from columba.common.ipc import wire
from columba.common.ipc.server import Incoming
from columba.common.log.event import Event
from columba.common.off_loop import OffLoop
from columba.queue import message
from columba.queue.index import PAGE, Leaf
from columba.queue.lease import Terms
from columba.queue.owner import Owners
from columba.queue.record import changed, encode
from columba.queue.retry import RetryPolicy
from columba.queue.schedule import Schedule
from columba.queue.shelf import Shelf, key_of
from columba.queue.stock import Stock
from columba.queue.store.base import ABSENT, Guarantees, Page
from columba.queue.store.calls import StoreCalls
from columba.queue.store.open import open_store
from tests.fakes.clock import FakeClock
from tests.fakes.memory_store import MemoryStore
from tests.fakes.queue_process import Bench, all_as, bench_in, intake
from tests.fakes.sim_loop import SimLoop
from tests.fakes.sim_process import Machine, SimClock, SimNode
from tests.peers.all import Peers
from tests.peers.seaweed import Seaweed

HEADER = b"From: <from@sender.test>\r\nTo: <to@sink.test>\r\nSubject: bench\r\n"
BODY = (b"X" * 78 + b"\r\n") * 125  # 10 KB
CALLERS = 64
WARM_UP = 200
DESTINATIONS = 50
RATE = 500.0
RATES_S, TAKEOVER_S, MILLION_S = 240.0, 400.0, 240.0  # when a measurement has failed
LEASE_S = 15.0
MILLION = 1_000_000
ADOPTED = 100_000
USUAL: dict[str, object] = {
    "queue_lease_ttl": 30.0,
    "queue_lease_renewal": 5.0,
    "queue_lease_margin": 5.0,
    "queue_relist_interval": 600.0,
    "queue_fresh_delay": 0.0,
}


class Counter:
    """A sieve-filter that delivers at once, and when it was called first and last."""

    def __init__(self) -> None:
        self.times: list[float] = []

    async def __call__(self, call: Incoming) -> tuple[wire.Reply, list[bytes]]:
        """Deliver."""
        self.times.append(time.monotonic())
        return await all_as("delivered")(call)


class Used:
    """The processor time that a process uses for messages."""

    def __init__(self, pid: int) -> None:
        self._stat, self._since_s = Path(f"/proc/{pid}/stat"), 0.0
        self.take(1)

    def take(self, messages: int) -> float:
        """Return the milliseconds for each message since the last call."""
        fields = self._stat.read_text().rpartition(")")[2].split()
        used_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        before_s, self._since_s = self._since_s, used_s
        return (used_s - before_s) / messages * 1000


def rates(folder: Path, messages: int, **changed: object) -> tuple[float, float]:
    """Return the intake and the drain of one queue process, in messages/s."""
    return asyncio.run(_rates(folder, messages, {**USUAL, **changed}))


async def _rates(folder: Path, messages: int, settings: dict[str, object]) -> tuple[float, float]:
    async with asyncio.timeout(RATES_S), bench_in(folder, **settings) as bench:
        queue = await bench.queue()
        counter = Counter()
        await bench.play_sieve(counter)
        began = time.monotonic()
        await _fill(bench, WARM_UP, began + 3600.0)
        one_s = (time.monotonic() - began) / WARM_UP
        used = Used(queue.child.pid)
        began = time.monotonic()
        due_s = began + 2.5 * messages * one_s + 2.0  # drain begins after the intake
        await _fill(bench, messages, due_s)
        intake_s = time.monotonic() - began
        if time.monotonic() > due_s:
            raise RuntimeError("the intake took so long that the drain began")
        _say(f"intake: {messages / intake_s:.0f} messages/s, {used.take(messages):.2f} ms each")
        await bench.wait_for(lambda: bool(counter.times), RATES_S)
        used.take(messages)
        await bench.wait_for(lambda: len(counter.times) >= messages, RATES_S)
        drain_s = await _drained(bench, messages) - counter.times[0]
        _say(f"drain: {messages / drain_s:.0f} messages/s, {used.take(messages):.2f} ms each")
        return messages / intake_s, messages / drain_s


def _say(text: str) -> None:
    """Show progress; milliseconds are processor time of the queue process."""
    print(f"  {text}", flush=True)


async def _fill(bench: Bench, messages: int, due_s: float) -> None:
    left = iter(range(messages))

    async def caller() -> None:
        for number in left:
            address = f"to@d{number % DESTINATIONS}.test"
            request = intake(address, due_in_s=due_s - time.monotonic())
            handoff = msgspec.structs.replace(request.handoff, body=wire.Body(size=len(BODY)))
            request = msgspec.structs.replace(request, handoff=handoff)
            reply = await bench.ask(request, HEADER, BODY, wait_s=30.0)
            if not isinstance(reply, wire.Stored):
                raise RuntimeError(f"not stored: {reply}")

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


async def _drained(bench: Bench, messages: int) -> float:
    """Return when the last tombstone was written: the log tells."""
    for _ in range(int(RATES_S * 10)):
        if bench.log().count("Removed: ") >= messages:
            break
        await asyncio.sleep(0.1)
    return time.monotonic()


def s3_url(peers: Peers) -> str:
    """Start a server and return the URL of a new part of its bucket."""
    return peers.keep(Seaweed(peers.folder)).bucket.url()


def takeover_s(peers: Peers, count: int = ADOPTED) -> float:
    """Return the seconds from a node's death to the first delivery of what another adopted."""
    server = peers.keep(Seaweed(peers.folder))
    url = server.bucket.url("takeover")
    # Of its own ttl an owner waits twice before it lists again: this one is to learn nothing of what is put below it.
    settings = {**USUAL, "queue_lease_ttl": 3600.0, "queue_url": url}
    return uvloop.run(_takeover_s(peers.folder, settings, count))


async def _takeover_s(folder: Path, settings: dict[str, object], count: int) -> float:
    async with asyncio.timeout(TAKEOVER_S), bench_in(folder, **settings) as bench:
        doomed = await bench.queue()
        (lease,) = bench.objects.list("lease/").keys
        await _prefill(bench, lease.removeprefix("lease/"), count)
        other = str(folder / "other")
        bench.settings = replace(bench.settings, state_dir=other, queue_lease_ttl=LEASE_S)
        await bench.queue()
        counter = Counter()
        await bench.play_sieve(counter)
        await asyncio.sleep(6.0)  # it has seen the other's lease
        doomed.kill()
        began = time.monotonic()
        if counter.times:
            raise RuntimeError("the owner knew of the messages")
        _say("killed the owner")
        await bench.wait_for(lambda: bool(counter.times), TAKEOVER_S)
        return counter.times[0] - began


async def _prefill(bench: Bench, owner: str, count: int) -> None:
    """Write records as an intake does, as fast as the store takes them."""
    request = intake("to@d1.test")
    policy = RetryPolicy(fresh_s=0.0)
    record = message.record_of(request, HEADER, b"body\r\n", time.time(), policy)
    store = StoreCalls(open_store(bench.settings), 16, 60.0)
    left = iter(range(1, count + 1))

    async def put() -> None:
        for number in left:
            name = ids.new_id()
            octets = encode(changed(record, id=name, name=name))
            await store.put(key_of(owner, name), octets, ABSENT)
            if number % 20_000 == 0 or number == count:
                _say(f"{number} of {count} messages are in the bucket")

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(put())
    store.close()


class Sorted(MemoryStore):
    """A bucket of many keys that is asked for its list alone."""

    def __init__(self, keys: list[str]) -> None:
        super().__init__()
        self._keys = keys

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        """Return keys in order."""
        if not prefix.startswith("env/"):
            return super().list(prefix, after, limit)
        at = bisect.bisect_right(self._keys, after)
        own = tuple(key[:4] + key[4:] for key in self._keys[at : at + limit])  # not our strings
        return Page(own, at + limit < len(self._keys))

    @property
    def guarantees(self) -> Guarantees:
        """Return what S3 promises."""
        return super().guarantees


def million() -> tuple[float, float, float]:
    """Return octets a message, seconds until the first is due to be tried, and until all are known."""
    return asyncio.run(asyncio.wait_for(_million(), MILLION_S))


async def _million() -> tuple[float, float, float]:
    loop = SimLoop()
    machine = Machine("0" * 12, SimClock(loop, random.Random(0)))
    loop.close()
    owner = f"{machine.name}-0"
    names = sorted(ids.new_id() for _ in range(MILLION))
    store = Sorted([key_of(owner, name) for name in names])
    for number in range(0, MILLION, PAGE):
        rows = [
            (n, 1.9e9, f"mx:d{i % 1000}.test", f"s{i % 5000}", 1.95e9, 1, 1, False)
            for i, n in enumerate(names[number : number + PAGE], number)
        ]
        rows[0] = (rows[0][0], 0.0, *rows[0][2:])
        leaf = msgspec.msgpack.encode(Leaf(at_s=1.8e9, rows=rows))
        store.put(f"index/{owner}/{number // PAGE:06d}", leaf, ABSENT)
    async with _stock(store, machine) as stock:
        await stock.owners.begin()
        gc.collect()
        before, began = _resident(), time.monotonic()
        task = asyncio.create_task(stock.load_owner(owner))
        await stock.wake.wait()
        first_s = time.monotonic() - began
        if await task != MILLION:
            raise RuntimeError("not all are listed")
        return (_resident() - before) / MILLION, first_s, time.monotonic() - began


@asynccontextmanager
async def _stock(store: MemoryStore, machine: Machine) -> AsyncIterator[Stock]:
    calls, off_loop = StoreCalls(store, 4, 60.0), OffLoop(2, "bench")
    event, clock = Event(lambda _level, _text: None), FakeClock(1.8e9)
    terms = Terms(30_000_000_000, 5_000_000_000)
    owners = Owners(calls, SimNode(machine), off_loop, clock=clock, terms=terms, event=event)
    yield Stock(
        Shelf(calls),
        owners,
        Schedule(100, 20),
        clock=clock,
        policy=RetryPolicy(),
        tombstone_s=1e6,
        event=event,
    )
    calls.close()
    off_loop.close()


def _resident() -> int:
    """Return the octets of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def file_rows(peers: Peers, messages: int, rounds: int) -> list[report.Row]:
    """Measure intake and drain on files."""
    taken, left = rates(peers.folder, messages)
    return [
        report.reaches("queue on files, intake", taken, RATE),
        report.reaches("queue on files, drain", left, RATE),
    ]


def s3_rows(peers: Peers, messages: int, rounds: int) -> list[report.Row]:
    """Measure intake and drain on S3."""
    taken, left = rates(peers.folder, messages, queue_url=s3_url(peers))
    return [
        report.reaches("queue on S3, intake", taken, RATE),
        report.reaches("queue on S3, drain", left, RATE),
    ]


def takeover_rows(peers: Peers, messages: int, rounds: int) -> list[report.Row]:
    """Measure the time to the first delivery after a takeover."""
    return [report.within(f"takeover of {ADOPTED:,} messages", takeover_s(peers), "s", 25.0)]


def million_rows(peers: Peers, messages: int, rounds: int) -> list[report.Row]:
    """Measure memory and start with a million messages."""
    octets, first_s, all_s = million()
    print(f"  the first is due after {first_s:.2f} s", flush=True)
    return [
        report.within("memory per queued message", octets, "octets", 400.0),
        report.within("start with a million messages", all_s, "s", 60.0),
    ]
