"""Speak to the queue service: store, settle, disown, bounce, the fence.

What must reach the queue even when it is just being born again (settle, disown) is tried until it is taken,
for RETRY_FOR_S at most; after that the keeper's and the lease's rules bound the damage, and a line says so.
"""

import asyncio
import secrets
import time
from typing import Final

import msgspec

from columba.common.clock import from_now
from columba.common.errors import NoPeerError, PeerError
from columba.common.hop.mail import Mail
from columba.common.ipc import wire
from columba.common.ipc.calls import Caller
from columba.common.ipc.directory import Directory
from columba.common.log.event import Event

RETRY_FOR_S: Final = 600.0
RETRY_S: Final = 0.5
CALL_S: Final = 5.0
STORE_MIN_S: Final = 1.0


class QueueClient:
    """The queue as its callers see it."""

    def __init__(self, caller: Caller, directory: Directory, event: Event) -> None:
        self._caller, self._directory, self._event = caller, directory, event
        self._by = secrets.token_hex(8)
        self._tasks: set[asyncio.Task[None]] = set()

    async def store(self, mail: Mail, intake: wire.Intake, until_ns: int) -> wire.Stored | str:
        """Return Stored when durable, else why not: then nothing will come of the intake."""
        until_ns = max(until_ns, from_now(STORE_MIN_S))
        id = intake.handoff.id
        intake = msgspec.structs.replace(intake, by=self._by)
        try:
            answer = await self._caller.call("queue", intake, mail.parts, until_ns=until_ns, key=id)
        except NoPeerError:
            return "the queue takes no more mail"
        except PeerError as error:
            numbers = tuple(r.number for r in intake.handoff.recipients)
            self._insist(wire.Disown(id=id, numbers=numbers, by=self._by), id)
            return f"the queue did not answer: {error}"
        match answer.reply:
            case wire.Stored(keeper=keeper):
                return wire.Stored(keeper=keeper or answer.peer)
            case wire.NotStored(text=text):
                return text
            case reply:
                numbers = tuple(r.number for r in intake.handoff.recipients)
                self._insist(wire.Disown(id=id, numbers=numbers, by=self._by), id)
                return f"the queue answered {type(reply).__name__}"

    async def bounce(
        self,
        mail: Mail,
        failed: tuple[wire.Outcome, ...],
        until_ns: int,
        delivered: tuple[wire.Outcome, ...] = (),
    ) -> str:
        """Return "" when the DSNs are durable, else why not. Asking twice makes each once."""
        request = wire.Bounce(handoff=mail.handoff, failed=failed, delivered=delivered)
        try:
            answer = await self._caller.call(
                "queue", request, mail.parts, until_ns=until_ns, key=mail.handoff.id
            )
        except PeerError as error:
            return str(error)
        match answer.reply:
            case wire.Stored():
                return ""
            case wire.NotStored(text=text):
                return text
            case reply:
                return f"the queue answered {type(reply).__name__}"

    def settle(self, id: str, outcomes: tuple[wire.Outcome, ...], fence: bytes) -> None:
        """Have outcomes reach the queue that can't go the usual way; returns at once."""
        final = tuple(
            o
            for o in outcomes
            if o.kind in {"delivered", "failed", "discarded", "deferred", "refused"}
        )
        if final:
            self._insist(wire.Settle(id=id, outcomes=final, fence=fence), id)

    async def fence_ask(
        self, base: bytes, originals: tuple[bytes, ...], until_ns: int
    ) -> tuple[wire.Fenced, ...]:
        """Return what is known of these recipients; nothing when the queue can't tell (deliver then)."""
        if self._directory.note("queue") <= 0:  # no record anywhere, or nobody who could tell
            return ()
        request = wire.FenceAsk(base=base, originals=originals)
        try:
            answer = await self._caller.call("queue", request, until_ns=until_ns)
        except PeerError:
            return ()
        return answer.reply.fenced if isinstance(answer.reply, wire.FenceTold) else ()

    async def fence_put(self, put: wire.FencePut, until_ns: int) -> bool:
        """Return whether the records are durable."""
        try:
            answer = await self._caller.call("queue", put, until_ns=until_ns)
        except PeerError:
            return False
        return isinstance(answer.reply, wire.Done)

    def fence_drop(self, base: bytes, originals: tuple[bytes, ...]) -> None:
        """Have records removed; returns at once."""
        self._insist(wire.FenceDrop(base=base, originals=originals), "")

    def fence_clear(self, base: bytes, doubts: tuple[tuple[bytes, bytes], ...]) -> None:
        """Have (original, final) pairs be in doubt no more; returns at once."""
        self._insist(wire.FenceDrop(base=base, doubts=doubts), "")

    async def close(self, timeout_s: float) -> None:
        """Wait for what is still under way, at most timeout_s."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout_s)
        for task in self._tasks:
            task.cancel()

    def _insist(self, request: wire.Request, id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._until_taken(request, id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_taken(self, request: wire.Request, id: str) -> None:
        """Tell every worker of the queue: only one of them owns the mail, and it alone acts."""
        give_up = time.monotonic() + RETRY_FOR_S
        while time.monotonic() < give_up:
            if await self._tell_all(request):
                return
            await asyncio.sleep(RETRY_S)
        kind = type(request).__name__
        self._event.error("The queue could not be told", id=id or None, request=kind)

    async def _tell_all(self, request: wire.Request) -> bool:
        slots = self._directory.ready("queue")
        taken = bool(slots)
        for slot in slots:
            until_ns = from_now(CALL_S)
            try:
                answer = await self._caller.call_process(slot.name, request, until_ns=until_ns)
            except PeerError:
                taken = False
                continue
            taken &= isinstance(answer.reply, wire.Done)
        return taken
