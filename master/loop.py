"""The master's loop: one selector, no threads, no ZeroMQ.

It starts the services, waits for signals, status records, waiting clients and administrators, and lets the monitor
act. Signal handlers do nothing: the kernel's byte in a socket pair is the event.
"""

import contextlib
import functools
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from columba.common.errors import EX_OK, EX_TEMPFAIL
from columba.common.log.event import Event
from columba.common.log.level import Level
from columba.master.builtin import STOP_ORDER
from columba.master.control import Client, Control
from columba.master.directory import DirectoryPipe
from columba.master.errors import StartError
from columba.master.listen import Listeners
from columba.master.logpipes import LogPipes
from columba.master.monitor import TICK_S, Monitor
from columba.master.notify import notify
from columba.master.nursery import Nursery, Outfit
from columba.master.policy import births, needs_listening
from columba.master.prepare import make_folders, unix_owner
from columba.master.reach import make_log
from columba.master.reload import Check, Configuration, plan
from columba.master.renewal import Renewal
from columba.master.rundir import (
    PidFile,
    first_generation,
    sweep_sockets,
    sweep_spool,
)
from columba.master.state import Service
from columba.master.status import process_rows, service_rows

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
DEAD_MASTER_PATIENCE_S: Final = 5.0
LOG_END_S: Final = 3.0
SOON_S: Final = 0.05


class Master:
    """One running server."""

    def __init__(self, path: str, configuration: Configuration) -> None:
        self._path, self._now = path, configuration
        self._run = Path(configuration.settings.base_dir)
        self._pid_file = PidFile(self._run)
        self._selector = selectors.DefaultSelector()
        self._logs = LogPipes()
        floor = Level.DEBUG if configuration.settings.log_debug else Level.INFO
        self._event = Event(self._logs.own_line, floor=floor)
        self._watched: set[int] = set()
        self._check: Check | None = None
        self._reload_clients: list[Client] = []
        self._reload_again = False
        self._stop_at_s: float | None = None
        self._log_end_s: float | None = None

    def start(self) -> None:
        """Take the run directory, bind the sockets; raises StartError and has then started nothing."""
        configuration = self._now
        names = list(configuration.specs)
        make_folders(configuration)
        crashed = self._pid_file.take()
        try:
            generation = first_generation(self._run, names)
            sweep_sockets(self._run, names)
            sweep_spool(Path(configuration.settings.spool_dir), lambda _: False)
            self._listeners = Listeners(
                unix_owner(configuration.settings), DEAD_MASTER_PATIENCE_S if crashed else 0.0
            )
            self._listeners.change(configuration.specs.values())
            self._control = Control(self._run / "master", self._selector, self._command)
        except StartError:
            self._pid_file.release()
            raise
        self._directory = DirectoryPipe()
        self._renewal = Renewal(configuration.settings, configuration.tls, self._event)
        self._renewal.turn(time.monotonic())
        outfit = Outfit(
            configuration.settings,
            self._renewal,
            self._listeners,
            self._logs,
            self._directory,
        )
        self._nursery = Nursery(outfit, generation, os.environ)
        self._monitor = Monitor(self._nursery, self._event)
        for name in names:
            self._add_service(name)

    def write_pid(self) -> None:
        """Note this process' own PID, after it has gone to the background."""
        self._pid_file.write()

    def run(self) -> int:
        """Serve until told to stop; return the exit code."""
        self._watch_signals()
        for warning in self._now.warnings:
            self._event.warning(warning)
        self._event.info(f"Columba starting up for {', '.join(self._now.specs)}")
        notify("READY=1", f"MAINPID={os.getpid()}", "STATUS=running")
        while not self._is_over():
            for key, _ in self._selector.select(self._timeout_s()):
                action: Callable[[], None] = key.data
                action()
            now_s = time.monotonic()
            self._monitor.turn(now_s)
            if self._renewal.turn(now_s):
                self._monitor.tell_tls(now_s)
            self._go_on_stopping(now_s)
            self._watch_sockets()
            self._logs.flush()
        self._control.close()
        self._listeners.close()
        self._pid_file.release()
        return EX_OK

    def _add_service(self, name: str) -> None:
        spec = self._now.specs[name]
        self._logs.add(name)
        self._monitor.services[name] = Service(spec)
        fd = self._nursery.status_fd(name)
        if fd not in self._selector.get_map():
            hear = functools.partial(self._hear, name)
            self._selector.register(fd, selectors.EVENT_READ, hear)

    def _hear(self, name: str) -> None:
        self._monitor.hear(name, time.monotonic())

    def _timeout_s(self) -> float:
        now_s = time.monotonic()
        due = [TICK_S]
        directory = self._directory.due_in_s(now_s)
        if directory is not None:
            due.append(directory)
        for service in self._monitor.services.values():
            if service.throttled_until_s > now_s:
                due.append(service.throttled_until_s - now_s)
            elif births(service, now_s):
                due.append(0.0)
        if self._stop_at_s is not None or not self._logs.flush():
            due.append(SOON_S)
        return max(0.0, min(due))

    def _watch_signals(self) -> None:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        self._signals = reader, writer
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._selector.register(reader, selectors.EVENT_READ, self._take_signals)

    def _take_signals(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in set(self._signals[0].recv(4096)):
                self._signal(number)
        self._reap()

    def _signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._event.warning(f"Killed with signal {number}")
            self._stop()
        elif number == signal.SIGHUP:
            self._event.warning("SIGHUP received - reloading configuration")
            self._begin_reload()
        elif number == signal.SIGUSR1 and "log" in self._monitor.services:
            self._reopen_log()

    def _reopen_log(self) -> None:
        try:
            make_log(self._now.settings, self._now.specs["log"])
        except StartError as error:
            self._event.error(str(error))
        for process in self._monitor.services["log"].processes:
            os.kill(process.pid, signal.SIGUSR1)

    def _reap(self) -> None:
        for pid, how in self._monitor.reap(time.monotonic()).items():
            check = self._check
            if check is not None and pid == check.pid:
                self._check = None
                self._end_reload(functools.partial(check.finish, how))

    def _watch_sockets(self) -> None:
        """Poll the sockets of services that have no process to do it."""
        wanted: dict[int, Service] = {
            bound.socket.fileno(): service
            for name, service in self._monitor.services.items()
            if needs_listening(service)
            for bound in self._listeners.of(name)
        }
        for fd in self._watched - set(wanted):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(fd)
        for fd in set(wanted) - self._watched:
            note = functools.partial(setattr, wanted[fd], "wanted", True)
            self._selector.register(fd, selectors.EVENT_READ, note)
        self._watched = set(wanted)

    def _command(self, command: str, client: Client) -> None:
        now_s = time.monotonic()
        match command:
            case "service-status":
                client.answer(service_rows(self._monitor.services.values(), now_s))
            case "process-status":
                client.answer(process_rows(self._monitor.living(), now_s))
            case "stop":
                client.answer([{"pid": os.getpid()}])
                self._event.warning("Told to stop by an administrator")
                self._stop()
            case "reload":
                self._reload_clients.append(client)
                self._begin_reload()
            case _:
                client.fail(f"unknown command: {command}", 64)

    def _begin_reload(self) -> None:
        if self._check is not None or self._stop_at_s is not None:
            self._reload_again = self._stop_at_s is None
            return
        notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._check = Check(self._path)

    def _end_reload(self, result: Callable[[], Configuration]) -> None:
        clients, self._reload_clients = self._reload_clients, []
        try:
            rows = self._apply(result())
        except StartError as error:
            self._event.error(f"Config reload failed, the old configuration stays: {error}")
            for client in clients:
                client.fail(str(error), error.code)
        else:
            for client in clients:
                client.answer(rows)
        notify("READY=1")
        if self._reload_again:
            self._reload_again = False
            self._begin_reload()

    def _apply(self, new: Configuration) -> list[dict[str, str | int | float | bool | None]]:
        """Change over to a new configuration, or raise StartError and change nothing."""
        if self._stop_at_s is not None:
            raise StartError("Columba is stopping", EX_TEMPFAIL)
        if new.settings.base_dir != self._now.settings.base_dir:
            raise StartError("base_dir can't be changed by a reload: stop and start")
        changes = plan(self._now, new)
        make_folders(new)
        self._listeners.change(new.specs.values())
        self._watch_nothing()
        now_s, self._now = time.monotonic(), new
        self._nursery.outfit.settings = new.settings
        if self._renewal.reload(new.settings, new.tls):
            self._monitor.tell_tls(now_s)
        for name in changes.removed:
            self._monitor.replace(self._monitor.services[name], None, now_s)
        for name in changes.changed:
            self._monitor.replace(self._monitor.services[name], new.specs[name], now_s)
        for name in changes.added:
            self._add_service(name)
        for warning in new.warnings:
            self._event.warning(warning)
        words = {"added": changes.added, "removed": changes.removed, "changed": changes.changed}
        text = "; ".join(f"{word}: {', '.join(names)}" for word, names in words.items() if names)
        self._event.info(f"Configuration reloaded ({text or 'nothing changed'})")
        return [{word: " ".join(names) for word, names in words.items()}]

    def _watch_nothing(self) -> None:
        """Forget polled sockets: a reload may have closed them."""
        for fd in self._watched:
            with contextlib.suppress(KeyError, ValueError, OSError):
                self._selector.unregister(fd)
        self._watched = set()

    def _stop(self) -> None:
        if self._stop_at_s is None:
            self._stop_at_s = time.monotonic()
            notify("STOPPING=1")

    def _go_on_stopping(self, now_s: float) -> None:
        """End the services in order: those who call before those who are called, log at the very end."""
        if self._stop_at_s is None:
            return
        late = now_s - self._stop_at_s >= self._now.settings.shutdown_timeout
        known = {name for group in STOP_ORDER[1:] for name in group}
        first = [name for name in self._monitor.services if name not in known]
        living = list(self._monitor.living())
        for group in (first, *STOP_ORDER[1:]):
            for name in group:
                if name in self._monitor.services:
                    self._monitor.services[name].is_closing = True
            here = [p for p in living if p.service in group]
            if "log" in group:
                self._end_log(now_s)
            elif late:
                self._monitor.kill_all([p for p in here if not p.killed])
            if here:
                self._monitor.retire(here, now_s)
                return

    def _end_log(self, now_s: float) -> None:
        if self._log_end_s is None:
            self._event.info("Columba ends")
            self._log_end_s = now_s
        elif now_s - self._log_end_s >= LOG_END_S:
            self._monitor.kill_all(list(self._monitor.living()))

    def _is_over(self) -> bool:
        return self._stop_at_s is not None and not any(self._monitor.living())
