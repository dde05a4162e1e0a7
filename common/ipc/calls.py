"""Call a worker of a service: choose a slot, try the next when one is busy, watch for deaths.

The caller's own counts are only a hint, the callee has the last word (`Busy`). When no worker begins
within handoff_wait, NoPeerError says so: nothing was begun. What PeerGoneError and PeerLateError mean for the
mail is decided in common/hop.
"""

import asyncio
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Final

import zmq

from columba.common.clock import from_now
from columba.common.errors import NoPeerError
from columba.common.ipc import wire
from columba.common.ipc.client import Answer, Call, Channel
from columba.common.ipc.directory import Directory

HANDOFF_WAIT_S: Final = 0.1
RETRY_S: Final = 0.002
RETRY_MAX_S: Final = 0.032
OnCall = Callable[[Call], None]


def preferred(slots: Sequence[wire.Slot], key: str) -> list[wire.Slot]:
    """Return the slots, best first for this key: rendezvous hashing keeps a key on its slot."""
    return sorted(slots, key=lambda s: zlib.crc32(f"{key}/{s.slot}".encode()), reverse=True)


class Caller:
    """Holds a channel to each worker that it has called."""

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", run: str, directory: Directory
    ) -> None:
        self._context, self._run, self._directory = context, run, directory
        self._channels: dict[str, Channel] = {}
        directory.on_dead(self._died)

    async def call(
        self,
        service: str,
        request: wire.Request,
        parts: Sequence[bytes] = (),
        *,
        until_ns: int,
        key: str = "",
        on_call: OnCall | None = None,
    ) -> Answer:
        """Return the answer of one worker.

        until_ns is when the caller stops waiting. Raises NoPeerError (nothing begun), PeerGoneError and
        PeerLateError (unknown what was done). A worker's Busy is never returned.
        """
        header = wire.ENCODER.encode(request)
        give_up_ns = min(until_ns, from_now(HANDOFF_WAIT_S))
        pause_s = RETRY_S
        while True:
            for slot in self._order(service, key):
                answer = await self._try(slot, header, parts, until_ns, on_call)
                if answer is not None:
                    return answer
            if time.monotonic_ns() >= give_up_ns:
                raise NoPeerError(f"no {service} process takes more work")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_MAX_S)  # asking often makes a busy worker busier

    async def call_process(
        self, name: str, request: wire.Request, parts: Sequence[bytes] = (), *, until_ns: int
    ) -> Answer:
        """Return the answer of the process of this name; raise like call, and NoPeerError when busy."""
        header = wire.ENCODER.encode(request)
        give_up_ns = min(until_ns, from_now(HANDOFF_WAIT_S))
        while True:
            slot = self._find(name)
            if slot is None:
                raise NoPeerError(f"{name} is not there")
            answer = await self._try(slot, header, parts, until_ns, None)
            if answer is not None:
                return answer
            if time.monotonic_ns() >= give_up_ns:
                raise NoPeerError(f"{name} takes no call")
            await asyncio.sleep(RETRY_S)

    def tell_process(self, name: str, request: wire.Request) -> bool:
        """Send a request without reply to the process of this name; return whether it could be sent."""
        slot = self._find(name)
        return slot is not None and self._channel(slot).tell(wire.ENCODER.encode(request))

    def close(self) -> None:
        """Close every channel."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def _find(self, name: str) -> wire.Slot | None:
        service = name.partition(".")[0]
        return next((s for s in self._directory.ready(service) if s.name == name), None)

    def _order(self, service: str, key: str) -> list[wire.Slot]:
        slots = self._directory.ready(service)
        if len(slots) < 2:
            return slots
        if key:
            return preferred(slots, key)
        return sorted(slots, key=self._load)

    def _load(self, slot: wire.Slot) -> int:
        channel = self._channels.get(slot.name)
        return channel.outstanding if channel else 0

    async def _try(
        self,
        slot: wire.Slot,
        header: bytes,
        parts: Sequence[bytes],
        until_ns: int,
        on_call: OnCall | None,
    ) -> Answer | None:
        try:
            call = self._channel(slot).begin(header, parts, until_ns)
        except NoPeerError:
            return None
        if on_call is not None:
            on_call(call)
        answer = await call.answer()
        return None if isinstance(answer.reply, wire.Busy) else answer

    def _channel(self, slot: wire.Slot) -> Channel:
        channel = self._channels.get(slot.name)
        if channel is None:
            url = f"ipc://{self._run}/{slot.service}/{slot.slot}.{slot.generation}"
            channel = self._channels[slot.name] = Channel(self._context, url, slot.name)
        return channel

    def _died(self, slot: wire.Slot) -> None:
        channel = self._channels.pop(slot.name, None)
        if channel is not None:
            channel.close()
