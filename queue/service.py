"""The queue service: what its process is made of, and its loops.

It takes calls from the chain, renews leases, begins what is due, and keeps house. It decides nothing about mail.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Final

import msgspec

from columba.common.admin import AdminServer, Row
from columba.common.clock import SystemClock, left_s
from columba.common.errors import StoreError
from columba.common.hop.answered import Answerer
from columba.common.hop.keeper import Keeper, fence_put
from columba.common.ipc import wire
from columba.common.ipc.client import Answer
from columba.common.ipc.server import Answer as Served
from columba.common.ipc.server import Incoming, Server
from columba.common.off_loop import OffLoop
from columba.common.service import Context
from columba.queue.attempt import Attempts, Limits
from columba.queue.body import Bodies
from columba.queue.bounce import Bounces, Sender
from columba.queue.cluster import PREFIX as CLUSTER
from columba.queue.cluster import Cluster
from columba.queue.control import Control
from columba.queue.destination import Probing
from columba.queue.fence import Fence
from columba.queue.house import House
from columba.queue.intake import Intake
from columba.queue.lease import Terms
from columba.queue.live import Live
from columba.queue.node import Node
from columba.queue.owner import Owners
from columba.queue.policy import Policy
from columba.queue.rules import Rules
from columba.queue.runs import Runs
from columba.queue.schedule import Schedule
from columba.queue.settings import Settings, retry_policy
from columba.queue.settle import Settler
from columba.queue.shelf import Shelf
from columba.queue.stock import Stock
from columba.queue.store.calls import StoreCalls
from columba.queue.store.open import open_store
from columba.queue.templates import load_words
from columba.queue.transfer import Transfer
from columba.queue.upkeep import Pace, Upkeep

_START_S: Final = 30.0
_KEEPER_S: Final = 5.0
_NS: Final = 1_000_000_000


class QueueService:
    """One process of the queue."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context = context
        self._clock = SystemClock()
        self._local = OffLoop(4, "queue")
        self._keeper = Keeper(self._untold, context.directory.is_dead)
        self._answerer = Answerer(context.caller, context.directory)
        context.directory.on_dead(self._keeper.died)

    async def start(self) -> None:
        """Open the store, take a lease, list what is there, and serve."""
        settings = self._context.settings
        timeout_s = settings.queue_store_timeout
        store = await self._local.run(_START_S + timeout_s, open_store, settings, timeout_s * 0.9)
        calls = StoreCalls(store, settings.queue_store_threads, settings.queue_store_timeout)
        node = await self._local.run(_START_S, Node, Path(settings.state_dir))
        self._calls, self._node = calls, node
        self._words = await self._local.run(
            _START_S, load_words, settings.dsn_template_dir, self._context.event
        )
        self._build(calls, node)
        await self._owners.begin()
        await self._owners.look()
        await self._fence.look()
        await self._rules.look()
        self._context.spawn(self._essential(self._look()), "notices of other nodes")
        self._context.spawn(self._essential(self._upkeep.renew()), "leases")
        self._context.spawn(self._essential(self._upkeep.keep_house()), "housekeeping")
        self._context.spawn(self._essential(self._runs.work()), "queue runs")
        self._context.spawn(self._essential(self._runs.watch()), "deadlines")
        self._context.spawn(self._essential(self._keep()), "keeper")
        birth = self._context.birth
        self._admin = AdminServer(
            birth.run / "admin" / f"queue.{birth.slot}",
            self._ask_admin,
            self._context.event,
            self._control.pages,
        )
        await self._admin.start()
        self._server: Server = self._context.serve(self._handle, self._unsent)

    def available(self) -> int:
        """Return how many more calls are taken; none while we have no lease."""
        return self._server.available if self._upkeep.has_lease else 0

    def total(self) -> int:
        """Return how many calls were taken."""
        return self._server.total

    def active(self) -> int:
        """Return how many calls and tries are under way."""
        return self._server.active + self._stock.schedule.in_flight

    def note(self) -> int:
        """Return the number of fence records, so that smtpd asks only when there are any."""
        return min(self._fence.live, 0xFFFFFFFF)

    async def drain(self, until_ns: int) -> None:
        """Take nothing new, let tries end, give the leases back."""
        self._server.stop_taking()
        self._runs.is_stopped = True
        self._stock.wake.set()
        await self._server.wait_idle(max(0.25, left_s(until_ns) / 2 - 1.0))
        if await self._runs.landed(max(0.0, left_s(until_ns) - 2.0)):
            await self._give_back()
        self._answerer.close()
        self._admin.close()
        self._server.close()
        self._calls.close()
        self._node.close()
        self._local.close()

    async def _give_back(self) -> None:
        """Write our leases free; with a store that does not answer they end by themselves."""
        for owner in self._owners.owners:
            try:
                is_empty = not await self._stock.load_owner(owner)
                await self._owners.release(owner, is_empty)
            except StoreError as error:
                self._context.event.warning(
                    "A lease is not given back", owner=owner, error=str(error)
                )

    def _build(self, calls: StoreCalls, node: Node) -> None:
        settings, event = self._context.settings, self._context.event
        policy = retry_policy(settings)
        terms = Terms(
            ttl_ns=int(settings.queue_lease_ttl * _NS),
            margin_ns=int(settings.queue_lease_margin * _NS),
        )
        self._owners = Owners(calls, node, self._local, clock=self._clock, terms=terms, event=event)
        shelf = Shelf(calls, settings.queue_recent_size)
        self._stock = Stock(
            shelf,
            self._owners,
            Schedule(
                settings.queue_run_limit,
                settings.queue_destination_limit,
                Probing(settings.queue_probe_first, settings.queue_probe_max),
            ),
            clock=self._clock,
            policy=policy,
            tombstone_s=settings.queue_tombstone_time,
            event=event,
        )
        self._fence = Fence(
            calls, self._clock, settings.queue_fence_time, settings.queue_in_doubt_time, event
        )
        self._settler = Settler(
            self._stock,
            self._fence,
            keep_s=settings.queue_settle_time,
            spawn=self._context.spawn,
            sleep=_sleep,
        )
        self._intake = Intake(self._stock, self._settler, self._local, Path(settings.spool_dir))
        self._rules = Rules(calls, self._clock, event)
        self._build_work(shelf)
        self._build_upkeep()
        self._cluster = Cluster(self._stock, self._owners, self._runs, self._context.name)

    def _build_work(self, shelf: Shelf) -> None:
        settings, event = self._context.settings, self._context.event
        spool, policy = Path(settings.spool_dir), self._stock.policy
        sieve = _Sieve(self._context, self._answerer)
        scripts = Policy(
            sieve.ask,
            self._clock,
            event,
            retries=bool(settings.sieve_retry),
            bounces=bool(settings.sieve_bounce),
            rules=self._rules,
        )
        postmaster = settings.postmaster_address.encode()
        sender = Sender(settings.hostname, postmaster, settings.soft_bounce, self._words)
        bounces = Bounces(shelf, sender, policy, event)
        self._live = Live(self._stock, bounces, scripts, self._intake, self._local, spool)
        bodies = Bodies(shelf, self._local, spool, self._context.name, event)
        transfer = Transfer(
            bodies, self._intake, self._local, self._context.name, self._clock.monotonic_ns
        )
        self._control = Control(self._stock, self._rules, transfer)
        limits = Limits(
            run_ns=int(settings.queue_run_timeout * _NS),
            unshared_ns=int(settings.queue_in_doubt_time * _NS / 2),
        )
        attempts = Attempts(self._stock, sieve, bounces, bodies, scripts, limits, sleep=_sleep)
        self._runs = Runs(self._stock, attempts, self._context.spawn)

    def _build_upkeep(self) -> None:
        settings = self._context.settings
        self._upkeep = Upkeep(
            self._owners,
            House(self._stock, self._fence, self._settler),
            Pace(
                ttl_s=settings.queue_lease_ttl,
                renewal_s=settings.queue_lease_renewal,
                relist_s=settings.queue_relist_interval,
            ),
            clock=self._clock,
            event=self._context.event,
            spawn=self._context.spawn,
            changed=self._context.changed,
        )
        self._owners.on_gain = self._upkeep.gained

    async def _ask_admin(self, command: str, request: dict[str, object]) -> list[Row]:
        if not command.startswith(CLUSTER):
            return await self._control.ask(command, request)
        try:
            return await self._cluster.ask(command, request)
        finally:
            self._context.changed()  # whether mail is taken

    async def _handle(self, call: Incoming) -> Served:
        try:
            return await self._answer(call), []
        except StoreError as error:
            self._context.event.warning(
                "A request failed", request=type(call.request).__name__, error=str(error)
            )
            return wire.NotStored(text=str(error)), []

    async def _answer(self, call: Incoming) -> wire.Reply:
        request = call.request
        match request:
            case wire.Intake():
                reply = await self._intake.store(request, call.parts)
                if isinstance(reply, wire.Stored):
                    self._keeper.keep(request.handoff, _queued(request))
                return reply
            case wire.Bounce():
                return await self._live.bounce(request, call.parts)
            case wire.Disown():
                await self._settler.disown(request)
            case wire.Settle():
                await self._settler.settle(request)
            case wire.FenceAsk():
                return await self._fence.ask(request)
            case wire.FencePut():
                await self._fence.put(request)
            case wire.FenceDrop():
                await self._fence.drop(request)
            case wire.Answered():
                self._keeper.answered(request.ids)
            case wire.Withheld():
                put = self._keeper.withheld(request.id)
                if put is not None:
                    await self._fence.put(put)
            case _:
                return wire.Crashed(text="no request for the queue")
        self._context.changed()
        return wire.Done()

    def _unsent(self, call: Incoming, reply: wire.Reply) -> None:
        """A caller that is gone was not told: what it stored stays, and the keeper settles the rest."""
        kind = type(call.request).__name__
        self._context.event.warning("An answer could not be sent", request=kind)

    def _untold(self, id: str, outcomes: tuple[wire.Outcome, ...], fence: bytes) -> None:
        put = fence_put(id, fence, outcomes)
        if put is not None:
            self._context.spawn(self._put_fence(put), "fence")

    async def _put_fence(self, put: wire.FencePut) -> None:
        await self._fence.put(put)
        self._context.changed()

    async def _essential(self, work: Coroutine[object, object, None]) -> None:
        """Do work that this process is nothing without: when it ends, so does the process."""
        try:
            await work
        finally:
            self._context.stop()

    async def _look(self) -> None:
        """Learn in time what others wrote that everybody must know: fence records and rules."""
        while True:
            await asyncio.sleep(self._context.settings.queue_look_interval)
            try:
                before = self._fence.live
                await self._fence.look()
                await self._rules.look()
            except StoreError as error:
                self._context.event.warning("Others' notices can't be read", error=str(error))
                continue
            if self._fence.live != before:
                self._context.changed()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_KEEPER_S)
            self._keeper.turn()


class _Sieve:
    """Calls sieve-filter for queue runs."""

    def __init__(self, context: Context[Settings], answerer: Answerer) -> None:
        self._context, self._answerer = context, answerer

    async def __call__(
        self, handoff: wire.Handoff, parts: Sequence[bytes], until_ns: int
    ) -> Answer:
        """Return its answer."""
        request = wire_path(handoff, self._context.name)
        return await self._context.caller.call("sieve", request, parts, until_ns=until_ns)

    async def ask(self, stage: wire.Stage, parts: Sequence[bytes], until_ns: int) -> Answer:
        """Return its verdict."""
        return await self._context.caller.call("sieve", stage, parts, until_ns=until_ns)

    def is_there(self) -> bool:
        """Tell whether a sieve-filter is ready."""
        return bool(self._context.directory.ready("sieve"))

    def told(self, id: str, outcomes: tuple[wire.Outcome, ...]) -> None:
        """Let the processes that keep these outcomes forget them: they are durable."""
        self._answerer.told(id, outcomes)


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


def wire_path(handoff: wire.Handoff, name: str) -> wire.Handoff:
    """Return the handoff as this process sends it: its name ends the path, the time is noted."""
    return msgspec.structs.replace(handoff, path=(name,), sent_ns=time.monotonic_ns())


def _queued(request: wire.Intake) -> tuple[wire.Outcome, ...]:
    return tuple(
        wire.Outcome(
            number=recipient.number,
            kind="queued",
            address=recipient.address,
            original=recipient.original or recipient.address,
        )
        for recipient in request.handoff.recipients
    )
