"""A child's life: what it inherits, its event loop, signals, status records, draining.

A service is a class made by `make(context)` with start, available, note and drain. The child begins with
`run(make, SettingsClass)` in its __main__.py. It ends when the master says TERM, when the dead pipe hangs up
(the master is gone), or by itself after restart_request_count calls; in all three it drains first.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import setproctitle
import uvloop
import zmq

from columba.common import loopwatch
from columba.common.clock import from_now
from columba.common.config.handed import load_settings
from columba.common.errors import EX_SOFTWARE, ColumbaError
from columba.common.ipc import master, tlsfiles
from columba.common.ipc.calls import Caller
from columba.common.ipc.directory import Directory
from columba.common.ipc.server import Handler, OnUnsent, Server
from columba.common.ipc.tlsfiles import TlsFiles
from columba.common.log.event import Event, stderr_sink, trace_of
from columba.common.log.level import Level
from columba.common.loopwatch import LoopWatch
from columba.common.metrics.push import Pusher
from columba.common.metrics.registry import Registry, gauge
from columba.common.off_loop import OffLoop

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
GC_ALLOCATIONS: Final = 20_000  # a mail leaves few cycles: look for them seldom
DRAIN_RESERVE_S: Final = 1.0
BEAT_GAP_S: Final = 0.05  # between two status records, however often something changes
PUSH_S: Final = 5.0
CLIENTS: Final = gauge("columba_clients", "Clients or calls that are served now.", ("service",))
REQUESTS: Final = gauge(
    "columba_requests", "Clients or calls that the living processes have taken.", ("service",)
)


@dataclass(frozen=True, slots=True)
class Birth:
    """What the master said in the environment."""

    service: str
    slot: int
    generation: int
    run: Path
    client_limit: int
    request_limit: int  # 0 = unlimited
    hang_limit_s: float
    shutdown_timeout_s: float
    status_fd: int
    dead_fd: int
    is_debug: bool
    listeners: tuple[master.Listener, ...]
    tls: TlsFiles = tlsfiles.NONE
    news_fd: int = -1  # -1: nothing changes while the process lives

    @property
    def name(self) -> str:
        """Return "service.slot.generation"."""
        return f"{self.service}.{self.slot}.{self.generation}"


def read_birth(environment: dict[str, str]) -> Birth:
    """Return what the master said; raises KeyError or ValueError when it was not the master who started us."""
    env = environment
    return Birth(
        service=env[master.ENV_SERVICE],
        slot=int(env[master.ENV_SLOT]),
        generation=int(env[master.ENV_GENERATION]),
        run=Path(env[master.ENV_RUN]),
        client_limit=int(env.get(master.ENV_CLIENT_LIMIT, "1000")),
        request_limit=int(env.get(master.ENV_RESTART_REQUEST_COUNT, "0")),
        hang_limit_s=int(env.get(master.ENV_HANG_LIMIT_MS, "30000")) / 1000,
        shutdown_timeout_s=int(env.get(master.ENV_SHUTDOWN_TIMEOUT_MS, "30000")) / 1000,
        status_fd=int(env[master.ENV_STATUS_FD]),
        dead_fd=int(env[master.ENV_DEAD_FD]),
        is_debug=env.get(master.ENV_DEBUG) == "1",
        listeners=tuple(master.load_listeners(env.get(master.ENV_LISTENERS, ""))),
        tls=tlsfiles.load(_content(int(env[master.ENV_TLS_FD])))
        if master.ENV_TLS_FD in env
        else tlsfiles.NONE,
        news_fd=int(env.get(master.ENV_NEWS_FD, "-1")),
    )


def _content(fd: int) -> bytes:
    """Return what a memfd holds, and close it."""
    try:
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


class Context(Generic[S_co]):
    """What a service works with. `is_draining` becomes true once and stays so."""

    def __init__(self, birth: Birth, settings: S_co) -> None:
        floor = Level.DEBUG if birth.is_debug else Level.INFO
        self.birth, self.settings = birth, settings
        self.event = Event(stderr_sink, floor=floor)
        self.off_loop = OffLoop(4, "off-loop")
        self.zmq: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.directory = Directory(self.zmq, str(birth.run))
        self.caller = Caller(self.zmq, str(birth.run), self.directory)
        self.metrics = Registry()
        self.is_draining = False
        self.drain_until_ns = 0
        # Called in a thread with what the master hands over: contexts for many names take seconds.
        self.on_tls: Callable[[TlsFiles], None] | None = None
        self._tls_turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """Return this process's name, "service.slot.generation"."""
        return self.birth.name

    def serve(self, handler: Handler, on_unsent: OnUnsent) -> Server:
        """Bind this worker's socket and answer calls on it."""
        folder = self.birth.run / self.birth.service
        path = folder / f"{self.birth.slot}.{self.birth.generation}"
        return Server(
            self.zmq,
            path,
            self.birth.client_limit,
            handler,
            self.event,
            uids=allowed_uids(self.birth.run),
            on_unsent=on_unsent,
            on_change=self.changed,
        )

    def changed(self) -> None:
        """Have a status record written soon: room was gained or lost, or the note changed."""
        self._changed.set()

    def stop(self) -> None:
        """Begin to drain, then end."""
        self._stop.set()

    def spawn(self, work: Coroutine[object, object, None], what: str) -> "asyncio.Task[None]":
        """Run work beside everything else; an error of it is logged and ends nothing else."""
        task = asyncio.get_running_loop().create_task(self._guard(work, what))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def take_news(self) -> None:
        """Read what the master hands over while the process runs."""
        try:
            with socket.socket(fileno=os.dup(self.birth.news_fd)) as news:
                word, fds, _, _ = socket.recv_fds(news, 64, 1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            word, fds = b"", []
        if not word:
            asyncio.get_running_loop().remove_reader(self.birth.news_fd)
            return
        try:
            for fd in fds:
                self.spawn(self._take_tls(tlsfiles.load(_content(fd))), "certificates")
        except ColumbaError as error:
            self._unused(error)

    async def wait_changed(self, timeout_s: float) -> None:
        """Wait until changed() is called, at most timeout_s."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        self._changed.clear()

    async def wait_stop(self) -> None:
        """Wait until it is time to drain; the master's signals and the dead pipe bound this wait."""
        await self._stop.wait()

    def close(self) -> None:
        """Let go of everything."""
        for task in self._tasks:
            task.cancel()
        self.caller.close()
        self.directory.close()
        self.off_loop.close()

    async def _take_tls(self, files: TlsFiles) -> None:
        """Hand new certificates to the service, after those that came before."""
        if self.on_tls is None:
            return
        async with self._tls_turn:
            try:
                await self.off_loop.run(self.birth.hang_limit_s, self.on_tls, files)
            except (ColumbaError, TimeoutError) as error:
                self._unused(error)

    def _unused(self, error: Exception) -> None:
        self.event.error("New certificates are not used", error=str(error))

    async def _guard(self, work: Coroutine[object, object, None], what: str) -> None:
        try:
            await work
        except ColumbaError as error:
            self.event.error("Background work failed", what=what, error=str(error))
        except Exception as error:  # the job loop
            self.event.crashed("Background work crashed", error, what=what)


class Service(Protocol):
    """What a service offers to its life."""

    async def start(self) -> None:
        """Begin to serve; return when ready."""
        ...

    def available(self) -> int:
        """Return how many more clients or calls are taken."""
        ...

    def total(self) -> int:
        """Return how many clients or calls were taken so far."""
        ...

    def active(self) -> int:
        """Return how many clients or calls are served now."""
        ...

    def note(self) -> int:
        """Return the service's own figure for the directory (32 bits)."""
        ...

    async def drain(self, until_ns: int) -> None:
        """Take nothing new, finish what runs by until_ns, let go."""
        ...


Make = Callable[[Context[S]], Service]


def run(make: Make[S], settings_class: type[S]) -> int:
    """Live the life of a child; return the exit status."""
    try:
        birth = read_birth(dict(os.environ))
    except (KeyError, ValueError) as error:
        sys.stderr.write(f"This program is started by columba's master: {error!r}\n")
        return EX_SOFTWARE
    setproctitle.setproctitle(f"columba/{birth.service}")
    event = Event(stderr_sink)
    try:
        settings = load_settings(settings_class)
        return uvloop.run(_live(make, birth, settings))
    except ColumbaError as error:
        event.fatal(str(error))
        return error.exit_code
    except Exception as error:  # service main
        event.fatal("Unforeseen error", error=repr(error), trace=trace_of(error))
        return EX_SOFTWARE


def allowed_uids(run: Path) -> frozenset[int]:
    """Return the users whose processes may call us: root, ourselves, the owners of the services' folders."""
    owners = {entry.stat().st_uid for entry in run.iterdir() if entry.is_dir()}
    return frozenset({0, os.getuid(), *owners})


async def _live(make: Make[S], birth: Birth, settings: S) -> int:
    context = Context(birth, settings)
    loop = asyncio.get_running_loop()
    service = make(context)
    for number in (signal.SIGTERM, signal.SIGQUIT):
        loop.add_signal_handler(number, context.stop)
    loop.add_signal_handler(signal.SIGINT, _idle_stop, context, service)
    loop.add_reader(birth.dead_fd, _master_gone, context)
    await service.start()
    if birth.news_fd >= 0:
        loop.add_reader(birth.news_fd, context.take_news)
    watch = _watch_loop(context)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 50)
    beat = context.spawn(_beat(context, service), "status records")
    pushes = context.spawn(_push(context, service), "metrics")
    await context.wait_stop()
    timeout_s = max(1.0, birth.shutdown_timeout_s - DRAIN_RESERVE_S)
    context.drain_until_ns = from_now(timeout_s)
    context.is_draining = True
    context.changed()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s + DRAIN_RESERVE_S / 2):
            await service.drain(context.drain_until_ns)
    beat.cancel()
    pushes.cancel()
    if watch is not None:
        watch.close()
    context.close()
    return 0


def _watch_loop(context: Context[S]) -> LoopWatch | None:
    """Have a blocked loop told in the log, where the environment asks for it."""

    def tell(how: str, ms: int, stack: str) -> None:
        context.event.warning("Loop blocked", how=how, ms=ms, stack=stack)

    limit = loopwatch.limit_ms()
    return LoopWatch(limit, tell) if limit else None


async def _beat(context: Context[S], service: Service) -> None:
    birth = context.birth
    while True:
        if birth.request_limit and service.total() >= birth.request_limit:
            context.stop()
        available = max(0, service.available())
        if context.is_draining:
            available = master.AVAILABLE_RETIRING
        _write_status(
            birth, master.Status(os.getpid(), birth.generation, available, service.note())
        )
        await asyncio.sleep(BEAT_GAP_S)
        await context.wait_changed(birth.hang_limit_s / 4)


async def _push(context: Context[S], service: Service) -> None:
    """Push the counts every PUSH_S, and once more at the end."""
    name = context.birth.service
    pusher = Pusher(context.birth.run, context.name, context.metrics)
    try:
        while True:
            context.metrics.set(CLIENTS, name, value=service.active())
            context.metrics.set(REQUESTS, name, value=service.total())
            pusher.push()
            await asyncio.sleep(PUSH_S)
    finally:
        pusher.close()


def _write_status(birth: Birth, status: master.Status) -> None:
    try:
        os.write(birth.status_fd, status.pack())
    except BlockingIOError:
        return  # the pipe is full of records: the master has enough to read
    except OSError:
        return  # the master is gone: the dead pipe tells


def _idle_stop(context: Context[S], service: Service) -> None:
    if service.active() == 0:
        context.stop()
    else:
        context.changed()


def _master_gone(context: Context[S]) -> None:
    asyncio.get_running_loop().remove_reader(context.birth.dead_fd)
    context.event.warning("The master is gone, ending")
    context.stop()
