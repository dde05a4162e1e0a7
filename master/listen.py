"""Bind the services' sockets, all or none, and keep those that a reload does not change.

The sockets belong to the master and are inherited by each child; they stay open while children come and go,
so that no connection is refused in between.
"""

import contextlib
import errno
import os
import socket
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from columba.common.errors import EX_CONFIG, EX_NOPERM, EX_UNAVAILABLE
from columba.master.errors import StartError
from columba.master.privileges import Identity
from columba.master.table import ListenerSpec, Spec

BACKLOG: Final = 1024  # the kernel cuts it to net.core.somaxconn
Place = tuple[str, str, int]
Owner = Callable[[str, ListenerSpec], Identity]  # of a service's unix socket


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket and what it was made from."""

    spec: ListenerSpec
    socket: socket.socket


class Listeners:
    """All listening sockets, by service."""

    def __init__(self, owner: Owner, patience_s: float = 0.0) -> None:
        """`patience_s`: how long a port may still be held by the processes of a dead master."""
        self._bound: dict[str, list[Bound]] = {}
        self._owner, self._patience_s = owner, patience_s

    def of(self, service: str) -> list[Bound]:
        """Return a service's sockets."""
        return self._bound.get(service, [])

    def change(self, specs: Iterable[Spec]) -> None:
        """Bind what is new and close what is gone; raises StartError and then has changed nothing."""
        old = {(name, b.spec): b for name, bounds in self._bound.items() for b in bounds}
        opened: list[Bound] = []
        try:
            fresh = self._bind_all(specs, old, opened)
            _check_places(fresh)
        except StartError:
            for bound in opened:
                _close(bound, {b.spec.place for b in old.values()})
            raise
        kept = {b.spec.place for bounds in fresh.values() for b in bounds}
        still = [b.socket for bounds in fresh.values() for b in bounds]
        for bound in old.values():
            if bound.socket not in still:
                _close(bound, kept)
        self._bound = fresh

    def close(self) -> None:
        """Close all, and remove the unix sockets."""
        for bounds in self._bound.values():
            for bound in bounds:
                _close(bound, set())
        self._bound = {}

    def _bind_all(
        self, specs: Iterable[Spec], old: dict[tuple[str, ListenerSpec], Bound], opened: list[Bound]
    ) -> dict[str, list[Bound]]:
        """Return all sockets by service; those that are new are also put into `opened`."""
        places = {b.spec.place: b for b in old.values()}
        fresh: dict[str, list[Bound]] = {}
        for spec in specs:
            for listener in spec.listeners:
                bound = old.get((spec.name, listener)) or self._bind(spec, listener, places)
                if listener.place not in places:
                    opened.append(bound)
                fresh.setdefault(spec.name, []).append(bound)
        return fresh

    def _bind(self, spec: Spec, listener: ListenerSpec, places: dict[Place, Bound]) -> Bound:
        held = places.get(listener.place)
        if held is not None:  # the same socket under another name or mode
            return Bound(listener, held.socket)
        if listener.kind == "unix":
            return Bound(listener, self._bind_unix(spec.name, listener))
        give_up = time.monotonic() + self._patience_s
        while True:
            try:
                return Bound(listener, _bind_inet(listener))
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() >= give_up:
                    raise _inet_error(spec.name, listener, error) from error
                time.sleep(0.05)

    def _bind_unix(self, service: str, listener: ListenerSpec) -> socket.socket:
        path = listener.address
        _remove_stale(service, path)
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            opened.bind(path)
            owner = self._owner(service, listener)
            if owner.switch:
                os.chown(path, owner.uid, owner.gid)
            os.chmod(path, listener.mode)
            opened.listen(BACKLOG)
        except OSError as error:
            opened.close()
            words = f"service({service}): bind({path}) failed: {error.strerror or error}"
            raise _located(listener, words, EX_UNAVAILABLE) from error
        finally:
            os.umask(before)
        opened.setblocking(False)
        return opened


def _check_places(bounds: dict[str, list[Bound]]) -> None:
    seen: dict[Place, str] = {}
    for service, each in bounds.items():
        for bound in each:
            place = bound.spec.place
            if place in seen:
                where = place[1] if place[0] == "unix" else f"{place[2]}:{place[1]}"
                words = f"service({service}): duplicate listener: {where} (also of service {seen[place]})"
                raise _located(bound.spec, words, EX_CONFIG)
            seen[place] = service


def _bind_inet(listener: ListenerSpec) -> socket.socket:
    address = {"*": "0.0.0.0"}.get(listener.address, listener.address)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind((address, listener.port))
        opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    opened.setblocking(False)
    return opened


def _inet_error(service: str, listener: ListenerSpec, error: OSError) -> StartError:
    code = EX_NOPERM if error.errno in (errno.EACCES, errno.EPERM) else EX_UNAVAILABLE
    place = f"{listener.address}, {listener.port}"
    words = f"service({service}): listen({place}) failed: {error.strerror or error}"
    return _located(listener, words, code)


def _located(listener: ListenerSpec, words: str, code: int) -> StartError:
    return StartError(f"{listener.origin}: {words}" if listener.origin else words, code)


def _remove_stale(service: str, path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.stat(path, follow_symlinks=False).st_mode):
            raise StartError(f"service({service}): {path} exists and is no socket", EX_CONFIG)
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(path) == 0:
            raise StartError(f"Columba is already running? Socket already exists: {path}")
    os.unlink(path)


def _close(bound: Bound, kept: set[Place]) -> None:
    bound.socket.close()
    if bound.spec.kind == "unix" and bound.spec.place not in kept:
        with contextlib.suppress(OSError):
            os.unlink(bound.spec.address)
