"""A real queue process, and the others' ends of its sockets: directory, callers, a sieve-filter that a test plays."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import zmq

from columba.common import ids
from columba.common.config.load import defaults
from columba.common.ipc import master, wire
from columba.common.ipc.calls import Caller
from columba.common.ipc.directory import Directory
from columba.common.ipc.server import Incoming, Server
from columba.common.log.event import Event
from columba.queue.record import Record, decode
from columba.queue.settings import Settings
from columba.queue.store.base import ObjectStore
from columba.queue.store.open import open_store

ROOT = Path(__file__).resolve().parent.parent.parent
PDEATHSIG = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
FAST: dict[str, object] = {
    "queue_fresh_delay": 0.3,
    "queue_retry_first": 0.2,
    "queue_retry_max": 0.5,
    "queue_lease_renewal": 0.2,
    "queue_lease_ttl": 3.0,
    "queue_lease_margin": 0.5,
    "queue_in_doubt_time": 1.5,
    "queue_relist_interval": 1.0,
}
Play = Callable[[Incoming], Awaitable[tuple[wire.Reply, list[bytes]]]]


class QueueProcess:
    """One life of `python -m columba.queue`."""

    def __init__(self, bench: "Bench", generation: int, fault: str = "") -> None:
        self.generation = generation
        status_read, status_write = os.pipe()
        dead_read, self._dead = os.pipe()
        settings_fd = os.memfd_create("settings", 0)
        os.write(settings_fd, msgspec.json.encode(bench.settings))
        env = {
            **os.environ,
            master.ENV_SERVICE: "queue",
            master.ENV_SLOT: "0",
            master.ENV_GENERATION: str(generation),
            master.ENV_RUN: str(bench.run),
            master.ENV_STATUS_FD: str(status_write),
            master.ENV_DEAD_FD: str(dead_read),
            master.ENV_SETTINGS_FD: str(settings_fd),
            "COLUMBA_FAULT": fault,
            "PYTHONPATH": str(ROOT),
        }
        self.log = bench.folder / f"log.{generation}"
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                [*PDEATHSIG, sys.executable, "-m", "columba.queue"],
                env=env,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                pass_fds=(status_write, dead_read, settings_fd),
                process_group=0,
            )
        for fd in (status_write, dead_read, settings_fd):
            os.close(fd)
        self._status = status_read

    async def wait_ready(self) -> None:
        """Wait for the first status record."""
        data = await asyncio.wait_for(asyncio.to_thread(os.read, self._status, 4096), 30)
        assert data, self.log.read_text()

    async def wait_end(self) -> int:
        """Return the exit status."""
        return await asyncio.wait_for(asyncio.to_thread(self.child.wait), 30)

    async def wait_stopped(self) -> None:
        """Wait until it stands at the step that its fault names."""
        for _ in range(1500):
            if self._is_stopped():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"it did not come so far\n{self.log.read_text()[-4000:]}")

    def _is_stopped(self) -> bool:
        status = Path(f"/proc/{self.child.pid}/stat").read_text()
        return status.rpartition(")")[2].split()[0] == "T"

    def go_on(self) -> None:
        """Let it go on from there."""
        self.child.send_signal(signal.SIGCONT)

    def lose_master(self) -> None:
        """Do what it sees of its master's death."""
        os.close(self._dead)
        self._dead = -1

    def kill(self) -> None:
        """End it as a power cut would, if it still lives."""
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait(10)

    def close(self) -> None:
        self.kill()
        for fd in (self._dead, self._status):
            if fd >= 0:
                os.close(fd)


class Bench:
    """The run directory around queue processes."""

    def __init__(self, folder: Path, run: Path, **changed: object) -> None:
        self.folder, self.run = folder, run
        self.store_folder, self.spool = folder / "store", folder / "spool"
        for path in (self.spool, *(run / n for n in ("queue", "sieve", "anvil", "admin"))):
            path.mkdir()
        self.settings = defaults(
            Settings,
            **{
                "hostname": "mx.example.org",
                "base_dir": str(run),
                "state_dir": str(folder / "state"),
                "spool_dir": str(self.spool),
                "postmaster_address": "postmaster@example.org",
                "queue_url": f"file:{self.store_folder}",
                **FAST,
                **changed,
            },
        )
        self._objects: ObjectStore | None = None
        self._zmq: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._publisher = self._zmq.socket(zmq.PUB)
        self._publisher.bind(f"ipc://{run}/anvil/directory")
        self.directory = Directory(self._zmq, str(run))
        self.caller = Caller(self._zmq, str(run), self.directory)
        self._slots: dict[str, wire.Slot] = {}
        self._number = 0
        self._sieves: list[Server] = []
        self.processes: list[QueueProcess] = []
        self._publish = asyncio.get_running_loop().create_task(self._publishing())

    def begin(self, fault: str = "") -> QueueProcess:
        """Start a queue process."""
        process = QueueProcess(self, len(self.processes) + 1, fault)
        self.processes.append(process)
        return process

    async def queue(self, fault: str = "") -> QueueProcess:
        """Start a queue process and wait until it is ready."""
        process = self.begin(fault)
        await process.wait_ready()
        self._add("queue", process.generation)
        await self._wait(
            lambda: any(s.generation == process.generation for s in self.directory.ready("queue"))
        )
        return process

    async def play_sieve(self, play: Play) -> None:
        """Answer handoffs as the test says."""
        generation = 1 + sum(name.startswith("sieve.") for name in self._slots)
        sieve = Server(
            self._zmq,
            self.run / "sieve" / f"0.{generation}",
            1000,
            play,
            Event(lambda _level, _text: None),
            uids=frozenset({os.getuid()}),
            on_unsent=lambda _call, _reply: None,
            on_change=lambda: None,
        )
        self._sieves.append(sieve)
        self._add("sieve", generation)

    def bury(self, process: QueueProcess) -> None:
        """Kill a process and have the directory say so."""
        process.kill()
        name = f"queue.0.{process.generation}"
        self._slots[name] = msgspec.structs.replace(self._slots[name], state="dead")
        self._number += 1

    async def ask_admin(self, command: str, **fields: object) -> list[dict[str, object]]:
        """Return the rows of an admin request."""
        reader, writer = await asyncio.open_unix_connection(str(self.run / "admin" / "queue.0"))
        writer.write(json.dumps({"command": command, **fields}).encode() + b"\n")
        rows: list[dict[str, object]] = []
        more = True
        while more:
            answer = json.loads(await asyncio.wait_for(reader.readline(), 10))
            assert answer["ok"], answer
            rows += answer["rows"]
            more = answer.get("more", False)
        writer.close()
        return rows

    def sieve_died(self) -> None:
        """Have the directory say that the played sieve-filters are dead."""
        for name, slot in self._slots.items():
            if slot.service == "sieve":
                self._slots[name] = msgspec.structs.replace(slot, state="dead")
        self._number += 1

    async def ask(
        self, request: wire.Request, header: bytes = b"", body: bytes = b"", wait_s: float = 10.0
    ) -> wire.Reply:
        """Call the queue."""
        until_ns = time.monotonic_ns() + int(wait_s * 1e9)
        return (await self.caller.call("queue", request, [header, body], until_ns=until_ns)).reply

    @property
    def objects(self) -> ObjectStore:
        """Return the store that the processes use."""
        if self._objects is None:
            self._objects = open_store(self.settings)
        return self._objects

    def records(self) -> list[Record]:
        """Return what the store holds."""
        return [decode(self.objects.get(key).data) for key in self.objects.list("env/").keys]

    def pending(self) -> list[tuple[str, str]]:
        """Return (id, number) of everybody that is still to be served."""
        return sorted((r.id, p.number) for r in self.records() for p in r.pending)

    async def wait_for(self, check: Callable[[], bool], wait_s: float = 20.0) -> None:
        """Wait until check holds."""
        await self._wait(check, wait_s)

    def log(self) -> str:
        """Return all lines of all lives."""
        return "".join(process.log.read_text() for process in self.processes)

    def close(self) -> None:
        self._publish.cancel()
        if self._objects is not None:
            self._objects.close()
        for process in self.processes:
            process.close()
        for sieve in self._sieves:
            sieve.close()
        self.caller.close()
        self.directory.close()
        self._publisher.close(0)
        self._zmq.destroy(0)
        shutil.rmtree(self.run, ignore_errors=True)

    def _add(self, service: str, generation: int) -> None:
        slot = wire.Slot(
            service=service, slot=0, pid=os.getpid(), generation=generation, state="ready"
        )
        self._slots[slot.name] = slot
        self._number += 1

    async def _publishing(self) -> None:
        while True:
            table = wire.Directory(number=self._number, slots=tuple(self._slots.values()))
            self._publisher.send(wire.ENCODER.encode(table))
            await asyncio.sleep(0.02)

    async def _wait(self, check: Callable[[], bool], wait_s: float = 20.0) -> None:
        until = time.monotonic() + wait_s
        while not check():
            assert time.monotonic() < until, f"did not come true\n{self.log()[-6000:]}"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def bench_in(folder: Path, **changed: object) -> AsyncIterator[Bench]:
    """Give a run directory with a path short enough for a socket."""
    bench = Bench(folder, Path(tempfile.mkdtemp(prefix="cq", dir="/tmp")), **changed)
    try:
        yield bench
    finally:
        bench.close()


def intake(*addresses: str, **fields: object) -> wire.Intake:
    """Return an intake of a small trusted mail for these addresses."""
    handoff = wire.Handoff(
        id=ids.new_id(),
        step="dkim",
        deadline_ns=0,
        envelope=wire.Envelope(sender=b"sender@example.org", arrived_s=time.time()),
        client=wire.Client(trusted=True, login="sender"),
        recipients=tuple(
            wire.Recipient(number=str(n), address=address.encode())
            for n, address in enumerate(addresses, 1)
        ),
        body=wire.Body(size=6),
        may_queue="yes",
    )
    return msgspec.convert({"handoff": handoff, **fields}, wire.Intake)


def all_as(kind: wire.OutcomeKind, **fields: object) -> Play:
    """Play a sieve-filter that answers every recipient alike."""

    async def play(call: Incoming) -> tuple[wire.Reply, list[bytes]]:
        assert isinstance(call.request, wire.Handoff)
        outcomes = tuple(
            msgspec.convert(
                {"number": r.number, "kind": kind, "address": r.address, **fields}, wire.Outcome
            )
            for r in call.request.recipients
        )
        return wire.Outcomes(outcomes=outcomes), []

    return play
