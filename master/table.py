"""The services as the master works with them: a checked configuration made into typed specifications.

Pure. Two specifications that are equal need no new processes at reload.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from columba.common.config.listening import Listening
from columba.common.config.resolve import Frozen
from columba.common.config.schema import UNLIMITED, declarations
from columba.master.builtin import CERTIFICATES, EXCLUSIVE
from columba.master.settings import InetListener, ServiceSettings, UnixListener

RESTART_UNLIMITED: Final = 0  # on the way to the child


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """One socket to bind. `address` is a path or an IP address; mode, user and group are for paths."""

    name: str
    kind: Literal["inet", "unix"]
    address: str
    port: int = 0
    mode: int = 0
    user: str = ""
    group: str = ""
    type: str = ""
    ssl: bool = False
    haproxy: bool = False
    settings: str = ""  # JSON: those that differ from listener to listener
    origin: str = field(default="", compare=False)  # FILE line N

    @property
    def place(self) -> tuple[str, str, int]:
        """What the kernel binds: equal places can't be bound twice."""
        return self.kind, self.address, self.port


@dataclass(frozen=True, slots=True)
class Spec:
    """One service. Times are seconds, sizes octets; settings is the JSON that its processes get."""

    name: str
    argv: tuple[str, ...]
    user: str
    group: str
    process_min_avail: int
    process_limit: int
    client_limit: int
    restart_request_count: int
    idle_kill_interval_s: float
    memory_limit_bytes: int
    listeners: tuple[ListenerSpec, ...]
    settings: str
    fingerprint: str  # of the files that its settings name

    @property
    def is_exclusive(self) -> bool:
        """Whether an old process must be gone before a new one begins."""
        return self.name in EXCLUSIVE

    @property
    def wants_certificates(self) -> bool:
        """Whether its processes get TLS keys."""
        return self.name in CERTIFICATES


def make_spec(
    name: str,
    service: ServiceSettings,
    *,
    settings: Frozen,
    fingerprint: str,
    base_dir: str,
    origins: Mapping[str, str],
) -> Spec:
    """Return the specification of a service from its frozen settings."""
    restart = service.restart_request_count
    return Spec(
        name=name,
        argv=tuple(service.executable.split()),
        user=service.user,
        group=service.group,
        process_min_avail=service.process_min_avail,
        process_limit=service.process_limit,
        client_limit=min(service.client_limit, restart),
        restart_request_count=RESTART_UNLIMITED if restart >= UNLIMITED else restart,
        idle_kill_interval_s=service.idle_kill_interval,
        memory_limit_bytes=service.memory_limit,
        listeners=_listeners(name, service, base_dir, origins, settings),
        settings=json.dumps(settings, sort_keys=True),
        fingerprint=fingerprint,
    )


def _listeners(
    owner: str,
    service: ServiceSettings,
    base_dir: str,
    origins: Mapping[str, str],
    settings: Frozen,
) -> tuple[ListenerSpec, ...]:
    place = f"service/{owner}"
    found = [
        ListenerSpec(
            name,
            "inet",
            address,
            inet.port,
            type=_spoken(inet),
            ssl=inet.ssl,
            haproxy=inet.haproxy,
            settings=_own(inet, settings),
            origin=origins.get(f"{place}/inet_listener/{name}", ""),
        )
        for name, inet in service.inet_listener.items()
        for address in inet.listen
        if inet.port
    ]
    for name, unix in service.unix_listener.items():
        path = name if name.startswith("/") else f"{base_dir}/{name}"
        user, group = unix.user or service.user, unix.group or service.group
        if unix.mode:
            origin = origins.get(f"{place}/unix_listener/{name}", "")
            found.append(
                ListenerSpec(
                    name,
                    "unix",
                    path,
                    0,
                    unix.mode,
                    user,
                    group,
                    _spoken(unix),
                    settings=_own(unix, settings),
                    origin=origin,
                )
            )
    return tuple(found)


def _spoken(listener: InetListener | UnixListener) -> str:
    return listener.type if listener.protocol == "auto" else listener.protocol


def _own(listener: Listening, settings: Frozen) -> str:
    """Return what this listener says that its service does not say for all of them; "" = nothing."""
    values = {name: getattr(listener, name) for name in declarations(Listening) if name in settings}
    own = {name: value for name, value in values.items() if value != settings[name]}
    return json.dumps(own, sort_keys=True) if own else ""
