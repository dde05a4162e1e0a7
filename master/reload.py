"""Decide what a new configuration changes, and get it without blocking the master.

The check of the new files runs as a process of its own; its words come back through memfds. Services whose
specification and files are the same go on with their processes, and are handed new certificates.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from columba.common.config.handed import thaw
from columba.common.errors import EX_CONFIG, EX_SOFTWARE
from columba.common.ipc.tlsfiles import TlsFiles
from columba.master import certificates
from columba.master.compiled import Compiled, load_compiled
from columba.master.errors import StartError
from columba.master.privileges import identity
from columba.master.settings import MasterSettings, ServiceSettings
from columba.master.spawn import base_environment
from columba.master.table import Spec, make_spec
from columba.master.words import Exit


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that the master works with, read and checked."""

    settings: MasterSettings
    specs: dict[str, Spec]
    tls: TlsFiles
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is different in a new configuration, by service."""

    added: list[str]
    removed: list[str]
    changed: list[str]


class Check:
    """A running check of the configuration."""

    def __init__(self, path: str) -> None:
        self._out = os.memfd_create("out", os.MFD_CLOEXEC)
        self._err = os.memfd_create("err", os.MFD_CLOEXEC)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "columba.master.check", path],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            env={**os.environ, **base_environment(os.environ)},
        )

    @property
    def pid(self) -> int:
        """The process to wait for."""
        return self._process.pid

    def wait(self) -> Configuration:
        """Block until it is done; only at start."""
        code = self._process.wait()
        return self.finish(Exit(max(code, 0), max(-code, 0)))

    def finish(self, how: Exit) -> Configuration:
        """Return the new configuration after the process has ended so; raises StartError."""
        self._process.returncode = how.code  # it was reaped by the monitor
        out, err = _content(self._out), _content(self._err)
        if how.failed:
            words = err.strip().splitlines()
            text = words[-1] if words else "The check of the configuration failed"
            known = how.code == EX_CONFIG
            raise StartError(text if known else f"{text} ({how})", how.code or EX_SOFTWARE)
        return configure(load_compiled(out))


def configure(compiled: Compiled) -> Configuration:
    """Return what the master works with; raises StartError for users and files that are not as said."""
    settings = thaw(MasterSettings, compiled.general)
    specs = {}
    for name, frozen in compiled.services.items():
        service = thaw(ServiceSettings, frozen)
        spec = make_spec(
            name,
            service,
            settings=compiled.settings[name],
            fingerprint=compiled.fingerprints[name],
            base_dir=settings.base_dir,
            origins=compiled.origins,
        )
        specs[name] = spec
        with _located(compiled.origins, f"service/{name}/user"):
            identity(name, spec.user, spec.group, settings.default_internal_user)
    with _located(compiled.origins, "ssl_key_file"):
        tls = certificates.read_files(settings)
    return Configuration(settings, specs, tls, compiled.warnings)


def plan(old: Configuration, new: Configuration) -> Plan:
    """Compare two configurations. The log service is renewed for a new service, whose pipe it must get."""
    added = [name for name in new.specs if name not in old.specs]
    removed = [name for name in old.specs if name not in new.specs]
    times = _times(old.settings) != _times(new.settings)
    changed = [
        name
        for name, spec in new.specs.items()
        if name in old.specs
        and (
            spec != old.specs[name]
            or (bool(old.tls.pairs) != bool(new.tls.pairs) and spec.wants_certificates)
            or (name == "log" and added)
            or times
        )
    ]
    return Plan(added, removed, changed)


def _times(settings: MasterSettings) -> tuple[float, float, bool]:
    """What every child was told at its birth beside its own settings."""
    return settings.hang_limit, settings.shutdown_timeout, settings.log_debug


@contextlib.contextmanager
def _located(origins: Mapping[str, str], key: str) -> Iterator[None]:
    try:
        yield
    except StartError as error:
        where = origins.get(key, "")
        raise StartError(f"{where}: {error}" if where else str(error), error.code) from error


def _content(fd: int) -> str:
    try:
        return os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")
    finally:
        os.close(fd)
