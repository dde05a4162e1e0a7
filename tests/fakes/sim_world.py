"""A history of three nodes that share a store: what happens to them, what callers ask, and what must hold.

Everything that is left to chance comes from one seeded generator. The world watches, at every delivery and every
second: no two believe in the same lease; what the store says is delivered is not delivered again. At the end, when
all faults are over: whom a caller was told `Stored` for has exactly one terminal state, and that is true.
"""

import asyncio
import random
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from columba.common.errors import PeerGoneError, PeerLateError
from columba.common.idforms import derived_id
from columba.common.ipc import wire
from columba.common.ipc.client import Answer
from columba.queue.record import (
    BOUNCED,
    DELIVERED,
    DISOWNED,
    INLINE_LIMIT,
    MOVED,
    Recipient,
    Record,
    decode,
)
from columba.queue.shelf import ENV, owner_of
from columba.queue.store.faulty import FaultyStore, Profile
from tests.fakes.memory_store import MemoryStore
from tests.fakes.queue_process import intake
from tests.fakes.sim_loop import SimLoop
from tests.fakes.sim_process import Machine, SimClock, SimProcess
from tests.fakes.sim_store import Net

Person = tuple[str, str]  # message id, recipient number
NODES: Final = 3
MESSAGES: Final = 12
STORM_S: Final = 240.0
PEACE_S: Final = 1500.0
HEADER: Final = b"From: a@example.org\r\nSubject: t\r\n"
TRACE: Final = 400
_NAMED: Final = re.compile(rb"Final-Recipient: *rfc822; *r(\d+)\.([0-9A-Z]{26})@", re.IGNORECASE)


class ViolationError(AssertionError):
    """A promise was broken in this history."""


class World:
    """One history."""

    def __init__(
        self, seed: int, folder: Path, profile: Profile, memory: MemoryStore | None = None
    ) -> None:
        self.loop, self.chance = SimLoop(), random.Random(seed)
        self.seed, self.folder = seed, folder
        self.memory = memory or MemoryStore()
        self.store = FaultyStore(self.memory, profile)
        self.machines = [
            Machine(f"{n:012x}", SimClock(self.loop, self.chance)) for n in range(NODES)
        ]
        self.nets = [Net() for _ in range(NODES)]
        self.processes: list[SimProcess] = []
        self.everyone: list[SimProcess] = []
        self.accepted: set[Person] = set()
        self.deliveries: Counter[Person] = Counter()
        self.told: set[Person] = set()
        self.gone: set[str] = set()  # messages in whose call a worker died
        self.counts: Counter[str] = Counter()
        self.trace: deque[str] = deque(maxlen=TRACE)
        self.broken: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self) -> None:
        """Live through it; raises ViolationError with the seed and the last events."""
        try:
            self.loop.run_until_complete(self._live())
        finally:
            self.loop.end()
        crashes = [crash for process in self.everyone for crash in process.crashes]
        if self.broken or crashes:
            story = "\n".join([*self.trace, *crashes, *self.broken])
            raise ViolationError(f"{story}\n--- seed {self.seed}")

    def tell(self, text: str) -> None:
        """Note an event."""
        self.trace.append(f"{self.loop.time():9.3f} {text}")

    def break_(self, text: str) -> None:
        """Note that a promise was broken."""
        self.tell(f"BROKEN: {text}")
        self.broken.append(text)

    def watch(self) -> None:
        """See that no two believe in the same lease."""
        believers = Counter(owner for p in self.processes for owner in p.believes())
        for owner, count in believers.items():
            if count > 1:
                self.break_(f"{count} processes believe that they own {owner}")

    def begin(self, process: SimProcess, person: Person) -> None:
        """See that a try begins for nobody whom the store says to be served."""
        here = [(key, record) for key, record in self.records() if record.id == person[0]]
        done = [key for key, record in here if _state(record, person[1]) == DELIVERED]
        if done and len({owner_of(key) for key, _ in here}) == 1:
            self.break_(f"{process.name} tries {person} although {done[0]} says it was delivered")

    def deliver(self, process: SimProcess, person: Person) -> None:
        """Let the next hop take a mail."""
        self.watch()
        self.tell(f"{process.name}: the hop takes {person}")
        self.deliveries[person] += 1

    def records(self) -> Iterator[tuple[str, Record]]:
        """Yield all records in the store."""
        for key in self.memory.list(ENV, limit=100_000).keys:
            yield key, decode(self.memory.get(key).data)

    async def _live(self) -> None:
        for number in range(NODES):
            self.processes.append(self._born(number))
        beside = [self._watching(), self._trouble(), *(self._client(n) for n in range(MESSAGES))]
        for work in beside:
            task = self.loop.create_task(work)
            self._tasks.add(task)
        await asyncio.sleep(STORM_S)
        self._make_peace()
        until_s = self.loop.time() + PEACE_S
        while self.loop.time() < until_s and not self.broken:
            await asyncio.sleep(10.0)
            if all(task.done() for task in self._tasks) and self._is_quiet():
                break
        self._judge()

    def _born(self, number: int) -> SimProcess:
        process = SimProcess(
            self.loop,
            self.machines[number],
            self.store,
            self.nets[number],
            self.chance,
            self.folder,
            self.tell,
        )
        self.everyone.append(process)
        process.start(Chain(self, process))
        return process

    async def _watching(self) -> None:
        while self.loop.time() < STORM_S:
            self.watch()
            await asyncio.sleep(1.0)

    async def _trouble(self) -> None:
        """Let something happen to somebody every few seconds."""
        kinds = ("crash", "crash", "pause", "pause", "cut", "storm", "lost", "slow", "turn")
        while self.loop.time() < STORM_S - 60.0:
            await asyncio.sleep(self.chance.expovariate(1 / 9.0))
            number, kind = self.chance.randrange(NODES), self.chance.choice(kinds)
            for_s = self.chance.choice((1.0, 4.0, 15.0, 45.0)) * self.chance.uniform(0.5, 1.5)
            self.counts[kind] += 1
            self.tell(f"{self.machines[number].name}: {kind} for {for_s:.1f} s")
            task = self.loop.create_task(self._happens(number, kind, for_s))
            self._tasks.add(task)

    async def _happens(self, number: int, kind: str, for_s: float) -> None:
        process, net = self.processes[number], self.nets[number]
        match kind:
            case "crash":
                process.kill()
                await asyncio.sleep(for_s)
                if self.processes[number] is process:
                    self.processes[number] = self._born(number)
            case "pause":
                if not process.is_stopped:
                    self.loop.stop_part(process)
                    await asyncio.sleep(for_s)
                    self._wake(process)
            case "turn" if not process.is_stopped and hasattr(process, "owners"):
                process.within(self._leave(process), "leave")
            case _:
                name = {"cut": "lost_requests", "lost": "lost_answers", "slow": "slow"}
                level = 1.0 if kind == "cut" else self.chance.uniform(0.1, 0.9)
                for field in (name[kind],) if kind in name else ("lost_requests", "lost_answers"):
                    setattr(net, field, level if kind != "storm" else 0.3)
                net.torn = 0.5
                await asyncio.sleep(for_s)
                self._calm(net)

    async def _leave(self, process: SimProcess) -> None:
        for owner in process.owners.owners:
            await process.owners.release(owner, is_empty=False)

    def _wake(self, process: SimProcess) -> None:
        if process.is_stopped and not process.is_dead:
            self.tell(f"{process.name}: goes on")
            self.loop.go_on(process)

    def _calm(self, net: Net) -> None:
        net.lost_requests = net.lost_answers = net.slow = net.torn = 0.0

    def _make_peace(self) -> None:
        self.tell("peace")
        for net in self.nets:
            self._calm(net)
        for number, process in enumerate(self.processes):
            self._wake(process)
            if process.is_dead:
                self.processes[number] = self._born(number)

    async def _client(self, number: int) -> None:
        """Hand one mail over to the queue of a node, as smtpd and the chain do."""
        await asyncio.sleep(self.chance.uniform(1.0, STORM_S - 90.0))
        count = self.chance.randrange(1, 4)
        id = derived_id("0" * 26, str(self.seed), str(number))
        request = intake(*(f"r{n}.{id}@d{number % 3}.example" for n in range(1, count + 1)))
        process = self.processes[self.chance.randrange(NODES)]
        envelope = msgspec.structs.replace(
            request.handoff.envelope, arrived_s=process.clock.wall_s()
        )
        handoff = msgspec.structs.replace(request.handoff, id=id, envelope=envelope)
        request = msgspec.structs.replace(request, handoff=handoff, by="first")
        await self._ask(process, request)
        if self.chance.random() < 0.25:  # a caller above takes over
            await self._ask(process, msgspec.structs.replace(request, by="second", in_doubt=True))

    async def _ask(self, process: SimProcess, request: wire.Intake) -> None:
        numbers = tuple(r.number for r in request.handoff.recipients)
        is_large = self.chance.random() < 0.1
        body = b"x" * (INLINE_LIMIT + 1) if is_large else b"body\r\n"
        handoff = msgspec.structs.replace(request.handoff, body=wire.Body(size=len(body)))
        request = msgspec.structs.replace(request, handoff=handoff)
        answer: asyncio.Future[object] = self.loop.create_future()
        if hasattr(process, "intake") and not process.is_dead:
            process.within(self._store(process, request, body, answer), "intake")
        try:
            async with asyncio.timeout(self.chance.uniform(3.0, 20.0)):
                reply = await answer
        except TimeoutError:
            self.tell(f"{process.name}: a caller disowns {request.handoff.id}")
            disown = wire.Disown(id=request.handoff.id, numbers=numbers, by=request.by)
            if hasattr(process, "settler") and not process.is_dead:
                process.within(self._disown(process, disown), "disown")
            return
        if isinstance(reply, wire.Stored):
            self.tell(f"{process.name}: stored {request.handoff.id} for {request.by}")
            self.accepted |= {(request.handoff.id, number) for number in numbers}

    async def _store(
        self,
        process: SimProcess,
        request: wire.Intake,
        body: bytes,
        answer: "asyncio.Future[object]",
    ) -> None:
        reply = await process.intake.store(request, [HEADER, body])
        self.loop.outside(0.001, lambda: None if answer.done() else answer.set_result(reply))

    async def _disown(self, process: SimProcess, request: wire.Disown) -> None:
        await process.settler.disown(request)

    def _is_quiet(self) -> bool:
        return not any(record.pending for _, record in self.records())

    def _judge(self) -> None:
        """See that everything has ended, once and truly."""
        records = list(self.records())
        for key, record in records:
            if record.pending:
                self.break_(f"{key} never ends: {[(p.number, p.state) for p in record.pending]}")
        for person in sorted(self.accepted):
            self._judge_person(person, records)

    def _judge_person(self, person: Person, records: list[tuple[str, Record]]) -> None:
        id, number = person
        found = [
            (owner_of(key), each.state)
            for key, record in records
            if record.id == id
            for each in record.recipients
            if each.number == number and each.state not in {MOVED, DISOWNED}
        ]
        if not found:
            self.break_(f"{person} was accepted and is lost")
        owners = Counter(owner for owner, _ in found)
        if owners and max(owners.values()) > 1:
            self.break_(f"{person} has several ends: {found}")
        for _, state in found:
            if state == DELIVERED and person not in self.deliveries:
                self.break_(f"{person} is said to be delivered and was not")
            if state == BOUNCED and (id, number) not in self.told:
                self.break_(f"{person} failed and nobody was told")
            if state not in {DELIVERED, BOUNCED}:
                self.break_(f"{person} ends as {state}")


class Chain:
    """Everything behind the queue, for one process: late, silent, dying, and now and then it works."""

    def __init__(self, world: World, process: SimProcess) -> None:
        self._world, self._process = world, process

    async def __call__(
        self, handoff: wire.Handoff, parts: Sequence[bytes], until_ns: int
    ) -> Answer:
        chance = self._world.chance
        if self._process.clock.boottime_ns() <= handoff.not_after_boot_ns:
            for recipient in handoff.recipients:
                self._world.begin(self._process, (handoff.id, recipient.number))
        await asyncio.sleep(chance.expovariate(2.0))
        is_late = self._process.clock.boottime_ns() > handoff.not_after_boot_ns
        outcomes = tuple(self._outcome(handoff, r, is_late) for r in handoff.recipients)
        if handoff.kind == "generated" and outcomes[0].kind == "delivered":
            self._world.told |= {
                (id.decode(), number.decode()) for number, id in _NAMED.findall(b"".join(parts))
            }
        await asyncio.sleep(chance.expovariate(2.0))
        if chance.random() < 0.08:
            return await self._lost(handoff, outcomes)
        return Answer(wire.Outcomes(outcomes=outcomes), [], "sieve.0.1")

    def is_there(self) -> bool:
        return True

    def told(self, id: str, outcomes: tuple[wire.Outcome, ...]) -> None:
        return

    async def _lost(self, handoff: wire.Handoff, outcomes: tuple[wire.Outcome, ...]) -> Answer:
        """Let an answer never come; at times it comes later by another way."""
        chance = self._world.chance
        if chance.random() < 0.5:
            settle = wire.Settle(id=handoff.id, outcomes=outcomes)
            self._process.spawn(self._settle(settle), "settle")
        if handoff.id not in self._world.gone and chance.random() < 0.5:
            self._world.gone.add(handoff.id)  # a second death would make it poison
            raise PeerGoneError("died on purpose")
        await asyncio.sleep(chance.uniform(1.0, 20.0))
        raise PeerLateError("silent on purpose")

    async def _settle(self, settle: wire.Settle) -> None:
        await asyncio.sleep(self._world.chance.uniform(0.5, 30.0))
        await self._process.settler.settle(settle)

    def _outcome(
        self, handoff: wire.Handoff, recipient: wire.Recipient, is_late: bool
    ) -> wire.Outcome:
        kinds: tuple[wire.OutcomeKind, ...] = ("delivered", "delivered", "deferred", "failed")
        kind = self._world.chance.choice(kinds)
        if handoff.kind == "generated" and kind == "failed":
            kind = "delivered"
        if is_late:
            kind = "deferred"
        if kind == "delivered":
            self._world.deliver(self._process, (handoff.id, recipient.number))
        code = {"delivered": 250, "failed": 550}.get(kind, 451)
        return wire.Outcome(
            number=recipient.number, kind=kind, code=code, address=recipient.address
        )


def _state(record: Record, number: str) -> str:
    people: dict[str, Recipient] = {person.number: person for person in record.recipients}
    return people[number].state if number in people else ""
