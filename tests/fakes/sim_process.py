"""One queue process of the simulation: the real owners, intake, tries and housekeeping on a simulated machine."""

import asyncio
import contextvars
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

from columba.common.errors import ColumbaError
from columba.common.ipc import wire
from columba.common.ipc.client import Answer
from columba.common.log.event import Event
from columba.common.log.level import Level
from columba.common.off_loop import OffLoop
from columba.queue.attempt import Attempts, CallSieve, Limits
from columba.queue.body import Bodies
from columba.queue.bounce import Bounces, Sender
from columba.queue.fence import Fence
from columba.queue.house import House
from columba.queue.intake import Intake
from columba.queue.lease import Terms
from columba.queue.node import Node
from columba.queue.owner import Owners
from columba.queue.policy import Policy
from columba.queue.retry import RetryPolicy
from columba.queue.runs import Runs
from columba.queue.schedule import Schedule
from columba.queue.settle import Settler
from columba.queue.shelf import Shelf
from columba.queue.stock import Stock
from columba.queue.store.base import ObjectStore
from columba.queue.upkeep import Pace, Upkeep
from tests.fakes.sim_loop import PART, Part, SimLoop
from tests.fakes.sim_store import Net, SimCalls

P = ParamSpec("P")
T = TypeVar("T")
S = 1_000_000_000
TTL_S, RENEWAL_S, MARGIN_S = 30.0, 5.0, 5.0
POLICY = RetryPolicy(
    first_s=4.0, factor=2.0, most_s=20.0, lifetime_s=150.0, fresh_s=1.0, in_doubt_s=25.0
)


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _no_script(stage: wire.Stage, parts: Sequence[bytes], until_ns: int) -> Answer:
    raise AssertionError("no script is configured")


class SimClock:
    """A machine's clocks: they begin anywhere, and run a little fast or slow."""

    def __init__(self, loop: SimLoop, chance: random.Random) -> None:
        self._loop = loop
        self._rate = 1.0 + chance.uniform(-0.01, 0.01)
        self._start_s = chance.uniform(10.0, 1e6)
        self._wall_s = 1_800_000_000.0 + chance.uniform(-2.0, 2.0)

    def monotonic_ns(self) -> int:
        return int((self._start_s + self._loop.time() * self._rate) * S)

    def boottime_ns(self) -> int:
        return self.monotonic_ns()

    def wall_s(self) -> float:
        return self._wall_s + self._loop.time()


@dataclass
class Machine:
    """What outlives a process: node id, known lives, and who has which owner's lock."""

    name: str
    clock: SimClock
    lives: list[str] = field(default_factory=list)
    locks: dict[str, "SimNode"] = field(default_factory=dict)


class SimNode(Node):
    """The machine as one process sees it."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.name = machine, machine.name
        self.life = f"{machine.name}.{len(machine.lives)}"
        machine.lives.append(self.life)

    def knows(self, life: str) -> bool:
        return life in self.machine.lives

    def lock(self, owner: str) -> bool:
        return self.machine.locks.setdefault(owner, self) is self

    def unlock(self, owner: str) -> None:
        if self.machine.locks.get(owner) is self:
            del self.machine.locks[owner]

    def close(self) -> None:
        for owner in [o for o, who in self.machine.locks.items() if who is self]:
            del self.machine.locks[owner]


class AtOnce(OffLoop):
    """A pool that needs no threads."""

    def __init__(self) -> None:
        self.active = 0

    async def run(
        self, timeout_s: float, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        await asyncio.sleep(0)
        return call(*args, **kwargs)

    def close(self) -> None:
        return


class SimProcess(Part):
    """One life of the queue service."""

    def __init__(
        self,
        loop: SimLoop,
        machine: Machine,
        store: ObjectStore,
        net: Net,
        chance: random.Random,
        spool: Path,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(f"{machine.name}.{len(machine.lives)}")
        self.loop, self.machine, self.clock = loop, machine, machine.clock
        self.is_dead = False
        self.crashes: list[str] = []
        self.node = SimNode(machine)
        self.calls = SimCalls(loop, store, net, chance)
        self._spool, self._tasks = spool, set[asyncio.Task[None]]()
        self.event = Event(lambda _level, text: tell(f"{self.name}: {text}"), floor=Level.INFO)

    def start(self, chain: CallSieve) -> None:
        """Begin to live."""
        self.within(self._live(chain), "life")

    def within(self, work: Coroutine[object, object, None], what: str) -> None:
        """Run work as a part of this process."""
        context = contextvars.copy_context()
        context.run(PART.set, self)
        context.run(self.spawn, work, what)

    def spawn(self, work: Coroutine[object, object, None], what: str) -> object:
        """Run work beside everything else."""
        task = self.loop.create_task(self._guard(work, what))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _task: work.close())  # of one that never began
        return task

    def kill(self) -> None:
        """End it as kill -9 does: at this very step, its locks free."""
        self.is_dead = True
        self.loop.stop_part(self)
        self.node.close()

    def believes(self) -> list[str]:
        """Return the owners under whose leases it thinks that it may deliver now."""
        owners = getattr(self, "owners", None)
        if self.is_dead or not isinstance(owners, Owners):
            return []
        held = [(owner, owners.get(owner)) for owner in owners.owners]
        return [owner for owner, holding in held if holding and owners.is_held(holding)]

    async def _live(self, chain: CallSieve) -> None:
        self._build(chain)
        while self.owners.main is None:
            try:
                await self.owners.begin()
            except ColumbaError as error:
                self.event.warning("Can't begin", error=str(error))
                await asyncio.sleep(1.0)
        self.spawn(self.upkeep.renew(), "leases")
        self.spawn(self.upkeep.keep_house(), "house")
        self.spawn(self.runs.work(), "runs")
        self.spawn(self.runs.watch(), "deadlines")

    def _build(self, chain: CallSieve) -> None:
        calls, clock, event, at_once = self.calls, self.clock, self.event, AtOnce()
        terms = Terms(ttl_ns=int(TTL_S * S), margin_ns=int(MARGIN_S * S))
        self.owners = Owners(calls, self.node, at_once, clock=clock, terms=terms, event=event)
        shelf = Shelf(calls, 1 << 20)
        self.stock = Stock(
            shelf,
            self.owners,
            Schedule(20, 5),
            clock=clock,
            policy=POLICY,
            tombstone_s=1e9,
            event=event,
        )
        self.fence = Fence(calls, clock, 1e9, 600.0, event)
        self.settler = Settler(self.stock, self.fence, keep_s=600.0, spawn=self.spawn, sleep=_sleep)
        self.intake = Intake(self.stock, self.settler, at_once, self._spool)
        bounces = Bounces(shelf, Sender("mx.example.org", b"pm@example.org"), POLICY, event)
        bodies = Bodies(shelf, at_once, self._spool, self.name, event)
        policy = Policy(_no_script, clock, event, retries=False, bounces=False)
        limits = Limits(60 * S, 30 * S)
        self.attempts = Attempts(self.stock, chain, bounces, bodies, policy, limits, sleep=_sleep)
        self.runs = Runs(self.stock, self.attempts, self.spawn)
        self.upkeep = Upkeep(
            self.owners,
            House(self.stock, self.fence, self.settler),
            Pace(ttl_s=TTL_S, renewal_s=RENEWAL_S, relist_s=60.0),
            clock=clock,
            event=event,
            spawn=self.spawn,
            changed=lambda: None,
        )
        self.owners.on_gain = self.upkeep.gained

    async def _guard(self, work: Coroutine[object, object, None], what: str) -> None:
        try:
            await work
        except ColumbaError as error:
            self.event.error("Background work failed", what=what, error=str(error))
        except Exception as error:  # what no code of ours expects is a finding
            self.crashes.append(f"{self.name}: {what}: {error!r}")
