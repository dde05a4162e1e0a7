"""What the master knows of its services and their processes.

Pure: one owner, the monitor, changes it. Invariants: a process that is not retiring holds a slot below
process_limit, and no two such processes of a service hold the same; generations only grow.
"""

from dataclasses import dataclass, field
from enum import Enum

from columba.common.ipc.master import AVAILABLE_RETIRING, Status
from columba.master.table import Spec


class Phase(Enum):
    """The life of a process as the directory tells it."""

    STARTING = "starting"
    READY = "ready"
    RETIRING = "retiring"
    DEAD = "dead"


@dataclass(slots=True)
class Process:
    """One child. Times are monotonic seconds; idle_since_s is None while it has clients."""

    service: str
    slot: int
    generation: int
    pid: int
    spec: Spec
    started_s: float
    phase: Phase = Phase.STARTING
    available: int = 0
    note: int = 0
    heard_s: float = 0.0
    idle_since_s: float | None = None
    asked_to_end_s: float | None = None  # TERM was sent
    asked_if_idle_s: float | None = None  # INT was sent
    died_s: float | None = None
    killed: bool = False  # KILL was sent
    news_fd: int = -1  # of the socket on which it hears of new TLS files

    @property
    def holds_slot(self) -> bool:
        """Whether it counts against process_limit."""
        return self.phase in (Phase.STARTING, Phase.READY)

    def hear(self, status: Status, now_s: float) -> bool:
        """Take a status record; tell whether what the directory says of it has changed."""
        before = (self.phase, self.available, self.note)
        self.heard_s, self.note = now_s, status.note
        if status.available == AVAILABLE_RETIRING:
            self.phase, self.available = Phase.RETIRING, 0
        else:
            self.available = status.available
            if self.phase is Phase.STARTING:
                self.phase = Phase.READY
        is_idle = self.phase is Phase.READY and self.available >= self.spec.client_limit
        if not is_idle:
            self.idle_since_s = None
        elif self.idle_since_s is None:
            self.idle_since_s = now_s
        return before != (self.phase, self.available, self.note)


@dataclass(slots=True)
class Service:
    """One service: its specification, its processes, how its births go."""

    spec: Spec
    processes: list[Process] = field(default_factory=list)
    throttle_s: float = 0.0  # length of the present or last pause, 0 when all is well
    throttled_until_s: float = 0.0
    failures_s: list[float] = field(default_factory=list)  # instants of late failures
    started_total: int = 0
    wanted: bool = False  # a client waits and no process can take it
    warned_full_s: float | None = None
    is_closing: bool = False  # the server stops: no further births

    def free_slot(self) -> int:
        """Return the lowest slot that no process holds."""
        held = {process.slot for process in self.processes if process.holds_slot}
        return next(slot for slot in range(len(held) + 1) if slot not in held)

    def able(self) -> int:
        """Return how many processes can, or soon can, take another client."""
        return sum(
            1
            for p in self.processes
            if p.phase is Phase.STARTING or (p.phase is Phase.READY and p.available > 0)
        )
