"""Decide when a service gets another process, when one must end, and how long a pause follows a failed birth.

Pure: state and a time go in, a decision comes out. It knows nothing of descriptors or signals; monitor.py acts.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from columba.master.state import Phase, Process, Service

HEALTHY_AGE_S: Final = 10.0  # a process this old proves that the service works
FAILURES_PER_S: Final = 10
SPAWN_BURST: Final = 10  # births of one service in one turn of the loop
IDLE_ANSWER_S: Final = 60.0  # a process asked whether it is idle is not asked again before


class Ending(Enum):
    """Why a process must end now."""

    NEVER_READY = "never ready"
    HUNG = "hung"
    TOO_SLOW = "too slow to end"


@dataclass(frozen=True, slots=True)
class Limits:
    """The master's own times, in seconds."""

    start_timeout_s: float
    hang_limit_s: float
    shutdown_timeout_s: float
    throttle_min_s: float
    throttle_max_s: float


def births(service: Service, now_s: float) -> int:
    """Return how many processes to start now.

    Never while the service is throttled or closing, never past process_limit; an exclusive service waits until
    its last process is gone. One at once when nobody can take work and somebody asks, or all are full.
    """
    spec = service.spec
    if service.is_closing or now_s < service.throttled_until_s:
        return 0
    if spec.is_exclusive and any(not p.holds_slot for p in service.processes):
        return 0
    holding = sum(1 for p in service.processes if p.holds_slot)
    room = spec.process_limit - holding
    able = service.able()
    missing = spec.process_min_avail - able
    if able == 0 and (service.wanted or holding > 0):
        missing = max(missing, 1)
    return max(0, min(missing, room, SPAWN_BURST))


def is_full(service: Service) -> bool:
    """Tell whether no process can take work and no further one may be started."""
    holding = sum(1 for p in service.processes if p.holds_slot)
    return service.able() == 0 and holding >= service.spec.process_limit


def needs_listening(service: Service) -> bool:
    """Tell whether the master must watch the sockets, because no process does and nobody is known to wait."""
    return not (service.wanted or service.is_closing or service.able() or is_full(service))


def ending(process: Process, limits: Limits, now_s: float) -> Ending | None:
    """Return why this process must be killed now, or None."""
    if process.killed:
        return None
    if process.asked_to_end_s is not None:
        late = now_s - process.asked_to_end_s >= limits.shutdown_timeout_s
        return Ending.TOO_SLOW if late else None
    if process.phase is Phase.STARTING:
        late = now_s - process.started_s >= limits.start_timeout_s
        return Ending.NEVER_READY if late else None
    return Ending.HUNG if now_s - process.heard_s >= limits.hang_limit_s else None


def idle_too_long(service: Service, now_s: float) -> list[Process]:
    """Return the processes to ask whether they can end: idle for the whole interval, above process_min_avail."""
    spare = service.able() - max(service.spec.process_min_avail, 0)
    idle = [
        p
        for p in service.processes
        if p.phase is Phase.READY
        and p.idle_since_s is not None
        and now_s - p.idle_since_s >= service.spec.idle_kill_interval_s
        and (p.asked_if_idle_s is None or now_s - p.asked_if_idle_s >= IDLE_ANSWER_S)
    ]
    idle.sort(key=lambda p: p.idle_since_s or 0.0)
    return idle[: max(0, spare)]


def pause_after(
    service: Service, process: Process, failed: bool, limits: Limits, now_s: float
) -> float:
    """Return for how many seconds no process may be started after this one's end; 0 for no pause.

    Any end before the first status record pauses, whatever the exit code was, and so do many failures within a
    second in a service where nothing is old enough to prove that it works.
    """
    doubled = min(max(service.throttle_s * 2, limits.throttle_min_s), limits.throttle_max_s)
    if process.asked_to_end_s is not None:
        return 0.0
    if process.phase is Phase.STARTING:
        return doubled
    if not failed:
        return 0.0
    recent = [at for at in service.failures_s if now_s - at < 1.0]
    healthy = any(now_s - p.started_s > HEALTHY_AGE_S for p in [*service.processes, process])
    return doubled if len(recent) >= FAILURES_PER_S and not healthy else 0.0


def is_healthy(process: Process, now_s: float) -> bool:
    """Tell whether this process proves that births of its service succeed, so that throttling starts anew."""
    return process.phase is Phase.READY and now_s - process.started_s > HEALTHY_AGE_S
