"""Prepare what a new process of a service is given, and start it."""

import json
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from columba.common.ipc import master as contract
from columba.common.ipc import tlsfiles
from columba.master.directory import DirectoryPipe
from columba.master.listen import Listeners
from columba.master.logpipes import LogPipes
from columba.master.privileges import identity
from columba.master.renewal import Renewal
from columba.master.rundir import GENERATIONS
from columba.master.settings import MasterSettings
from columba.master.spawn import Birth, base_environment, memfd, own_environment, spawn
from columba.master.state import Process, Service
from columba.master.table import Spec

LOG: Final = "log"
ANVIL: Final = "anvil"
CLIENTS_MAX: Final = 500_000  # that descriptors are asked for
DESCRIPTORS_MORE: Final = 1000  # beside a socket and a spool file for each client


@dataclass(slots=True)
class Outfit:
    """What births need beside the service: settings and certificates change at reload."""

    settings: MasterSettings
    renewal: Renewal
    listeners: Listeners
    logs: LogPipes
    directory: DirectoryPipe


class Nursery:
    """Starts processes; owns the status pipes and the dead pipe."""

    def __init__(self, outfit: Outfit, first_generation: int, environ: Mapping[str, str]) -> None:
        self.outfit = outfit
        self._environ = base_environment(environ)
        self._given = environ
        self._generation = first_generation
        self._status: dict[str, tuple[int, int]] = {}
        self._dead_read, self._dead_write = os.pipe2(os.O_CLOEXEC)

    def status_fd(self, service: str) -> int:
        """Return the read end of a service's status pipe, made at first use."""
        if service not in self._status:
            self._status[service] = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        return self._status[service][0]

    def give_birth(self, service: Service, now_s: float) -> Process:
        """Start one process in the lowest free slot; raises OSError, StartError."""
        spec, slot, generation = service.spec, service.free_slot(), self._generation
        self._generation = (generation + 1) % GENERATIONS
        self.status_fd(spec.name)
        extra: dict[str, str] = {}
        lent = [memfd("settings", spec.settings.encode())]  # closed here after the birth
        extra[contract.ENV_SETTINGS_FD] = str(lent[0])
        keep = [self._status[spec.name][1], self._dead_read]
        news_fd = -1
        try:
            if spec.wants_certificates:
                lent.append(memfd("tls", tlsfiles.dump(self.outfit.renewal.files)))
                extra[contract.ENV_TLS_FD] = str(lent[-1])
                news_fd, theirs = _news()
                lent.append(theirs)
                extra[contract.ENV_NEWS_FD] = str(lent[-1])
            if spec.name == LOG:
                fds = self.outfit.logs.read_fds()
                extra[contract.ENV_LOG_FDS] = json.dumps(fds)
                keep += fds.values()
            if spec.name == ANVIL:
                lent.append(self.outfit.directory.renew())
                extra[contract.ENV_DIRECTORY_FD] = str(lent[-1])
            listeners = self._listeners(spec)
            extra[contract.ENV_LISTENERS] = contract.dump(listeners)
            keep += [each.fd for each in listeners] + lent
            pid = spawn(self._birth(spec, {**self._known(spec, slot, generation), **extra}, keep))
        finally:
            for fd in lent:
                os.close(fd)
        service.started_total += 1
        process = Process(
            spec.name, slot, generation, pid, spec, now_s, heard_s=now_s, news_fd=news_fd
        )
        service.processes.append(process)
        return process

    def tell_tls(self, processes: Iterable[Process]) -> list[Process]:
        """Hand the present TLS files to running processes; return those that could not be told."""
        content = tlsfiles.dump(self.outfit.renewal.files)
        deaf = []
        for process in processes:
            if process.news_fd < 0:
                continue
            fd = memfd("tls", content)
            try:
                with socket.socket(fileno=os.dup(process.news_fd)) as news:
                    socket.send_fds(news, [contract.NEWS_TLS], [fd], socket.MSG_DONTWAIT)
            except OSError:
                deaf.append(process)
            finally:
                os.close(fd)
        return deaf

    def _birth(self, spec: Spec, environ: dict[str, str], keep: list[int]) -> Birth:
        stdout_fd = 2 if spec.name == LOG else -1  # the log service writes to the master's stderr
        stderr_fd = self.outfit.logs.write_fd(spec.name)
        settings = self.outfit.settings
        who = identity(spec.name, spec.user, spec.group, settings.default_internal_user)
        program = sys.executable if spec.argv[0] == "python" else spec.argv[0]
        argv = (program, *spec.argv[1:])
        descriptors = min(spec.client_limit, CLIENTS_MAX) * 2 + DESCRIPTORS_MORE
        memory = spec.memory_limit_bytes
        return Birth(argv, environ, keep, stdout_fd, stderr_fd, who, memory, descriptors)

    def _known(self, spec: Spec, slot: int, generation: int) -> dict[str, str]:
        settings = self.outfit.settings
        return {
            **self._environ,
            **own_environment(spec.name, self._given),
            contract.ENV_SERVICE: spec.name,
            contract.ENV_SLOT: str(slot),
            contract.ENV_GENERATION: str(generation),
            contract.ENV_RUN: settings.base_dir,
            contract.ENV_CLIENT_LIMIT: str(spec.client_limit),
            contract.ENV_PROCESS_LIMIT: str(spec.process_limit),
            contract.ENV_RESTART_REQUEST_COUNT: str(spec.restart_request_count),
            contract.ENV_HANG_LIMIT_MS: str(int(settings.hang_limit * 1000)),
            contract.ENV_SHUTDOWN_TIMEOUT_MS: str(int(settings.shutdown_timeout * 1000)),
            contract.ENV_STATUS_FD: str(self._status[spec.name][1]),
            contract.ENV_DEAD_FD: str(self._dead_read),
            contract.ENV_DEBUG: "1" if settings.log_debug else "0",
        }

    def _listeners(self, spec: Spec) -> list[contract.Listener]:
        return [
            contract.Listener(
                bound.spec.name,
                bound.socket.fileno(),
                bound.spec.kind,
                bound.spec.type,
                bound.spec.ssl,
                bound.spec.haproxy,
                bound.spec.settings,
            )
            for bound in self.outfit.listeners.of(spec.name)
        ]


def _news() -> tuple[int, int]:
    """Return the two ends of a socket on which a process hears of new TLS files."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return ours.detach(), theirs.detach()
