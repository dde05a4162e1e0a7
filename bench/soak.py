"""Hold 10,000 idle clients in one smtpd while others send, and measure memory and latency.

Memory is what the process' private pages grow by, from before the clients to when all have had their answer to
EHLO, divided by their number. The senders' latency is that of whole mails to a sink behind the chain, with
the idle clients and, before, without them.
"""

import asyncio
import resource
import smtplib
import ssl
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from bench import report
from tests.fakes.stack import Options, Stack
from tests.peers.all import Peers
from tests.peers.sink import Sink

CLIENTS: Final = 10_000
SENDERS: Final = 20
SIZE_BYTES: Final = 10_000
PARALLEL: Final = 200  # clients that connect at a time
GOALS: Final = {"plain": 8.0, "TLS": 40.0}  # KiB resident for each idle client
LATENCY_GOAL: Final = 2.0  # times that of a server without idle clients, at the 95th percentile
MORE: Final = """
service smtpd {{
  process_limit = 1
  client_limit = {clients}
}}
"""


@dataclass(frozen=True)
class Wait:
    """How long mails took, in ms."""

    median: float
    p95: float
    p99: float
    most: float

    def __str__(self) -> str:
        """Return the line that is printed."""
        return f"median {self.median:.1f}, p95 {self.p95:.1f}, p99 {self.p99:.1f}, max {self.most:.1f} ms"


class Holder:
    """Idle clients in a thread with a loop of its own."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._held: list[asyncio.StreamWriter] = []

    def open(self, port: int, clients: int, context: ssl.SSLContext | None) -> float:
        """Open clients that say EHLO and then nothing; return how long it took, in seconds."""
        began = time.monotonic()
        work = asyncio.run_coroutine_threadsafe(self._open(port, clients, context), self._loop)
        work.result(600)
        return time.monotonic() - began

    def close(self) -> None:
        """Close all."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _open(self, port: int, clients: int, context: ssl.SSLContext | None) -> None:
        room = asyncio.Semaphore(PARALLEL)

        async def one(number: int) -> None:
            at = f"127.0.{1 + number // 250}.{1 + number % 250}"
            async with room, asyncio.timeout(120):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=context, local_addr=(at, 0)
                )
                await reader.readline()
                writer.write(b"EHLO idle.sender.test\r\n")
                while (await reader.readline())[3:4] == b"-":
                    continue
                self._held.append(writer)

        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(one(number))

    async def _close(self) -> None:
        for writer in self._held:
            writer.transport.abort()
        await asyncio.sleep(0.1)


@contextmanager
def holding() -> Iterator[Holder]:
    """Give a holder and close it."""
    holder = Holder()
    try:
        yield holder
    finally:
        holder.close()


def resident_kib(pid: int) -> int:
    """Return the private resident memory of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    found = {line.split(":")[0]: line.split() for line in lines if ":" in line}
    return int(found["Private_Dirty"][1]) + int(found["Private_Clean"][1])


def send(port: int, seconds: float) -> Wait:
    """Have all senders send for so long; each mail has a connection of its own."""
    end = time.monotonic() + seconds
    body = b"From: <from@sender.test>\r\nTo: <to@sink.test>\r\nSubject: soak\r\n\r\n"
    body += (b"x" * 78 + b"\r\n") * (SIZE_BYTES // 80)

    def one(number: int) -> list[float]:
        taken = []
        while time.monotonic() < end:
            began = time.monotonic()
            with smtplib.SMTP("127.0.0.1", port, "client.sender.test", 60) as client:
                mark = f"Message-ID: <{number}.{time.monotonic_ns()}@sender.test>\r\n"
                client.sendmail("from@sender.test", ["to@sink.test"], mark.encode() + body)
            taken.append((time.monotonic() - began) * 1000)
        return taken

    with ThreadPoolExecutor(SENDERS) as pool:
        times = sorted(ms for each in pool.map(one, range(SENDERS)) for ms in each)
    cuts = statistics.quantiles(times, n=100)
    return Wait(statistics.median(times), cuts[94], cuts[98], times[-1])


def soak(peers: Peers, clients: int, seconds: float) -> list[report.Row]:
    """Measure plain and TLS clients; return a row for each, and one for the latency."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    sink = peers.sink(dump=False)
    rows = []
    for kind, name in (("plain", "smtp"), ("TLS", "submissions")):
        rows += _one(peers, sink, kind, name, clients, seconds)
    return rows


def _one(
    peers: Peers, sink: Sink, kind: str, name: str, clients: int, seconds: float
) -> list[report.Row]:
    more = MORE.format(clients=clients + 200)
    options = Options(relay=f"127.0.0.1:{sink.port}", more=more)
    stack = peers.keep(Stack(peers.folder / f"soak-{kind}", options))
    context = None
    if kind == "TLS":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    (pid,) = stack.pids("smtpd")
    before = send(stack.ports["smtp"], seconds)
    empty = resident_kib(pid)
    with holding() as holder:
        took_s = holder.open(stack.ports[name], clients, context)
        each = (resident_kib(pid) - empty) / clients
        print(f"  {kind}: {clients} clients in {took_s:.1f} s, {each:.2f} KiB each", flush=True)
        during = send(stack.ports["smtp"], seconds)
    print(f"  without them: {before}\n  with them: {during}", flush=True)
    stack.stop()
    waits = report.slower(
        f"mail beside {clients} idle {kind} clients, p95", during.p95, before.p95, "without them",
        LATENCY_GOAL,
    )  # fmt: skip
    return [report.within(f"memory of an idle {kind} client", each, "KiB", GOALS[kind]), waits]
