"""Watch the children: the one place that changes the master's state.

Each turn takes what has happened (status records, deaths, waiting clients) into the state, asks policy.py what to do,
and does it. No turn waits for anything; main.py's loop waits for all.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from columba.common.ipc.master import STATUS_SIZE, unpack_statuses
from columba.common.log.event import Event
from columba.master import policy
from columba.master.directory import DEAD_LISTED_S
from columba.master.errors import StartError
from columba.master.nursery import LOG, Nursery
from columba.master.policy import Ending, Limits
from columba.master.rundir import remove_socket, sweep_spool
from columba.master.state import Phase, Process, Service
from columba.master.table import Spec
from columba.master.words import Exit, exit_words

TICK_S: Final = 1.0
FULL_WARNING_S: Final = 60.0


class Monitor:
    """All services and their processes."""

    def __init__(self, nursery: Nursery, event: Event) -> None:
        self.services: dict[str, Service] = {}
        self._leaving: list[Process] = []  # of services that a reload has removed or changed
        self._dead: list[Process] = []
        self._nursery, self._event = nursery, event
        self._run = Path(nursery.outfit.settings.base_dir)
        self._last_turn_s: float | None = None

    @property
    def limits(self) -> Limits:
        """The present times."""
        s = self._nursery.outfit.settings
        return Limits(
            s.start_timeout, s.hang_limit, s.shutdown_timeout, s.throttle_min, s.throttle_max
        )

    def living(self) -> Iterator[Process]:
        """Yield every process that is not known to be dead."""
        for service in self.services.values():
            yield from service.processes
        yield from self._leaving

    def listed(self) -> list[Process]:
        """Return all that the directory lists: the living, and the dead of the last minute."""
        return [*self.living(), *self._dead]

    def hear(self, service: str, now_s: float) -> None:
        """Read a service's status pipe."""
        fd = self._nursery.status_fd(service)
        try:
            data = os.read(fd, STATUS_SIZE * 256)
        except BlockingIOError:
            return
        known = {(p.pid, p.generation): p for p in self.living()}
        for status in unpack_statuses(data):
            process = known.get((status.pid, status.generation))
            if process is None:
                self._event.warning(
                    f"Ignoring invalid update from child {status.pid} (UID={status.generation})"
                )
                continue
            before = process.phase
            if process.hear(status, now_s):
                self._nursery.outfit.directory.mark(urgent=process.phase is not before)
            if process.service in self.services and process.phase is Phase.READY:
                self.services[process.service].wanted = False

    def reap(self, now_s: float) -> dict[int, Exit]:
        """Collect children that have ended; return those that are no process of a service."""
        others: dict[int, Exit] = {}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return others
            if pid == 0:
                return others
            process = next((p for p in self.living() if p.pid == pid), None)
            if process is None:
                others[pid] = _exit_of(status)
            else:
                self._bury(process, _exit_of(status), now_s)

    def turn(self, now_s: float) -> None:
        """Do what policy says now."""
        self._forgive_own_pause(now_s)
        for process in list(self.living()):
            why = policy.ending(process, self.limits, now_s)
            if why is not None:
                self._kill(process, why)
        for service in self.services.values():
            for process in policy.idle_too_long(service, now_s):
                process.asked_if_idle_s = now_s
                _signal(process, signal.SIGINT)
            if any(policy.is_healthy(p, now_s) for p in service.processes):
                service.throttle_s = 0.0
            self._warn_if_full(service, now_s)
            for _ in range(policy.births(service, now_s)):
                if not self._give_birth(service, now_s):
                    break
        self._dead = [p for p in self._dead if now_s - (p.died_s or now_s) < DEAD_LISTED_S]
        self._nursery.outfit.directory.flush(self.listed(), now_s)

    def retire(self, processes: list[Process], now_s: float) -> None:
        """Ask processes to finish what they have and end."""
        for process in processes:
            if process.asked_to_end_s is None:
                process.asked_to_end_s = now_s
                process.phase = Phase.RETIRING
                _signal(process, signal.SIGTERM)
        self._nursery.outfit.directory.mark(urgent=True)

    def replace(self, service: Service, spec: Spec | None, now_s: float) -> None:
        """Give a service a new specification, or take it out of service (None); its processes retire."""
        self.retire(service.processes, now_s)
        if spec is None:
            self._leaving += service.processes
            del self.services[service.spec.name]
            return
        service.spec = spec
        service.throttle_s = service.throttled_until_s = 0.0

    def tell_tls(self, now_s: float) -> None:
        """Hand new TLS files to the processes that work with them; one that can't hear is replaced."""
        deaf = self._nursery.tell_tls(self.living())
        self.retire([process for process in deaf if process.holds_slot], now_s)

    def kill_all(self, processes: list[Process]) -> None:
        """Kill without asking."""
        for process in processes:
            self._kill(process, Ending.TOO_SLOW)

    def _forgive_own_pause(self, now_s: float) -> None:
        """After a pause of the master itself, nobody is overdue: records wait unread in the pipes."""
        last, self._last_turn_s = self._last_turn_s, now_s
        if last is not None and now_s - last > self.limits.hang_limit_s / 3 + TICK_S:
            for process in self.living():
                process.heard_s = now_s

    def _give_birth(self, service: Service, now_s: float) -> bool:
        name = service.spec.name
        try:
            process = self._nursery.give_birth(service, now_s)
        except (OSError, StartError) as error:
            limits = self.limits
            service.throttle_s = min(
                max(service.throttle_s * 2, limits.throttle_min_s), limits.throttle_max_s
            )
            service.throttled_until_s = now_s + service.throttle_s
            self._event.error(
                f"service({name}): fork() failed: {error}, throttling for {service.throttle_s:.3f} secs"
            )
            return False
        self._nursery.outfit.directory.mark(urgent=True)
        self._event.debug(f"service({name}): child {process.pid} started")
        return True

    def _kill(self, process: Process, why: Ending) -> None:
        head, limits = f"service({process.service})", self.limits
        match why:
            case Ending.NEVER_READY:
                self._event.error(
                    f"{head}: Initial status notification not received in {limits.start_timeout_s:g} seconds,"
                    f" killing the process {process.pid}"
                )
            case Ending.HUNG:
                self._event.error(
                    f"{head}: child {process.pid} has not reported for {limits.hang_limit_s:g} seconds, killing it"
                )
            case Ending.TOO_SLOW:
                self._event.warning(
                    f"{head}: child {process.pid} did not end within shutdown_timeout, killing it"
                )
        process.killed = True
        _signal(process, signal.SIGKILL)

    def _bury(self, process: Process, how: Exit, now_s: float) -> None:
        service = self.services.get(process.service)
        words = exit_words(process.service, process.pid, how, process.spec.memory_limit_bytes)
        if words and not (process.killed and how.signal == signal.SIGKILL):
            self._event.fatal(words)
        if process in self._leaving:
            self._leaving.remove(process)
        elif service is not None:
            self._note_end(service, process, how, now_s)
            service.processes.remove(process)
        process.phase, process.available, process.died_s = Phase.DEAD, 0, now_s
        if process.news_fd >= 0:
            os.close(process.news_fd)
        self._dead.append(process)
        directory = self._nursery.outfit.directory
        directory.mark(urgent=True)
        directory.flush(self.listed(), now_s)
        remove_socket(self._run, process.service, process.slot, process.generation)
        alive = {f"{p.service}.{p.slot}.{p.generation}" for p in self.living()}
        sweep_spool(Path(self._nursery.outfit.settings.spool_dir), alive.__contains__)

    def _note_end(self, service: Service, process: Process, how: Exit, now_s: float) -> None:
        if how.failed:
            service.failures_s = [*service.failures_s[-policy.FAILURES_PER_S :], now_s]
        pause_s = policy.pause_after(service, process, how.failed, self.limits, now_s)
        if pause_s and service.spec.name == LOG:
            self._nursery.outfit.logs.spill(LOG)
        if pause_s:
            service.throttle_s, service.throttled_until_s = pause_s, now_s + pause_s
            self._event.error(
                f"service({service.spec.name}): command startup failed, throttling for {pause_s:.3f} secs"
            )

    def _warn_if_full(self, service: Service, now_s: float) -> None:
        if not policy.is_full(service) or service.is_closing:
            return
        if service.warned_full_s is None or now_s - service.warned_full_s >= FULL_WARNING_S:
            service.warned_full_s = now_s
            spec = service.spec
            self._event.warning(
                f"service({spec.name}): process_limit ({spec.process_limit}) and client_limit"
                f" ({spec.client_limit}) reached, no process takes further work"
            )


def _signal(process: Process, number: int) -> None:
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return


def _exit_of(status: int) -> Exit:
    if os.WIFSIGNALED(status):
        return Exit(0, os.WTERMSIG(status), os.WCOREDUMP(status))
    return Exit(os.WEXITSTATUS(status))
