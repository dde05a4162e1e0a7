"""The callee's end of a hop: one ROUTER, at most `limit` calls at a time.

A frame that does not fit is counted, logged and dropped. A call that came after its deadline is answered
Expired, one too many Busy; small notices (Cancel, Answered, Settle, fences) are always taken. An answer
that can't be sent is given to `on_unsent`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import msgspec
import zmq

from columba.common import limits
from columba.common.ipc import wire
from columba.common.ipc.pump import Frames, Pump, make_socket
from columba.common.log.event import Event

Parts = list[bytes]
Answer = tuple[wire.Reply, Parts]
COUNTED: Final = (wire.Handoff, wire.Stage, wire.Intake, wire.Bounce)
KNOWN_MAX: Final = 10000
SILENT: Final = (wire.Answered,)


class Cancellable(Protocol):
    """What a Cancel of the caller is passed on to."""

    def cancel(self) -> None:
        """Begin nothing more that can't be taken back."""
        ...


@dataclass(slots=True, eq=False)
class Incoming:
    """One call as its handler sees it. `is_cancelled`: begin nothing that can't be taken back."""

    request: wire.Request
    parts: Parts
    peer: bytes
    number: bytes
    is_cancelled: bool = False
    _onward: list[Cancellable] = field(default_factory=list)

    def forward_cancel(self, call: Cancellable) -> None:
        """Have a Cancel of this call passed on to a call, or other work, that it caused."""
        self._onward.append(call)
        if self.is_cancelled:
            call.cancel()

    def cancel(self) -> None:
        """Note the caller's Cancel and pass it on."""
        self.is_cancelled = True
        for call in self._onward:
            call.cancel()


Handler = Callable[[Incoming], Awaitable[Answer]]
OnUnsent = Callable[[Incoming, wire.Reply], None]


class Server:
    """Answers calls; `active` is how many run, `on_change` is told after each change of it."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        path: Path,
        limit: int,
        handler: Handler,
        event: Event,
        *,
        uids: frozenset[int],
        on_unsent: OnUnsent,
        on_change: Callable[[], None],
    ) -> None:
        self._limit, self._handler, self._event = limit, handler, event
        self._uids, self._on_unsent, self._on_change = uids, on_unsent, on_change
        self._running: dict[tuple[bytes, bytes], Incoming] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: set[bytes] = set()
        self._is_draining = False
        self.active = 0
        self.total = 0
        self.malformed = 0
        socket = make_socket(context, zmq.ROUTER)
        socket.bind(f"ipc://{path}")
        path.chmod(0o660)
        self._pump = Pump(socket, self._on_frames, self._is_ours)

    @property
    def available(self) -> int:
        """Return how many more calls are taken."""
        return 0 if self._is_draining else max(0, self._limit - self.active)

    def stop_taking(self) -> None:
        """Answer Busy to every new call from now on."""
        self._is_draining = True

    async def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no call runs; return whether that came true in time."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout_s)
        return not self._tasks

    def close(self) -> None:
        """End the calls in flight and close."""
        for task in self._tasks:
            task.cancel()
        self._pump.close()

    def _is_ours(self, first: zmq.Frame) -> bool:
        peer = first.bytes
        if peer in self._known:
            return True
        uid = str(first.get("Peer-Address") or "").split(":")[1:2]
        if uid and uid[0].isdigit() and int(uid[0]) in self._uids:
            if len(self._known) > KNOWN_MAX:
                self._known.clear()
            self._known.add(peer)
            return True
        self.malformed += 1
        self._event.warning("Dropped a frame of a foreign user", uid=uid[0] if uid else "")
        return False

    def _on_frames(self, frames: Frames) -> None:
        try:
            peer, number, header = frames[:3]
            if len(header) > limits.HEADER_FRAME:
                raise ValueError("the header is too long")
            request = wire.REQUESTS.decode(header)
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            self.malformed += 1
            self._event.warning("Dropped a malformed frame", error=str(error)[:200])
            return
        if isinstance(request, wire.Cancel):
            running = self._running.get((peer, request.call))
            if running is not None:
                running.cancel()
            return
        self._begin(Incoming(request, frames[3:], peer, number))

    def _begin(self, call: Incoming) -> None:
        request = call.request
        deadline_ns = getattr(request, "deadline_ns", 0)
        counted = isinstance(request, COUNTED)
        if counted and (self._is_draining or self.active >= self._limit):
            self._answer(call, wire.Busy(), [])
        elif deadline_ns and time.monotonic_ns() >= deadline_ns:
            self._answer(call, wire.Expired(), [])
        else:
            self.active += counted
            self.total += counted
            if counted:
                self._running[call.peer, call.number] = call
            task = asyncio.get_running_loop().create_task(self._work(call, counted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if self.active == self._limit:
                self._on_change()

    async def _work(self, call: Incoming, counted: bool) -> None:
        try:
            reply, parts = await self._handler(call)
        except Exception as error:  # the job loop: one call's error never ends the others
            self._event.crashed("A call failed", error)
            reply, parts = wire.Crashed(text=type(error).__name__), []
        finally:
            self._running.pop((call.peer, call.number), None)
            self.active -= counted
            if self.active == self._limit - 1:
                self._on_change()
        if not isinstance(call.request, SILENT):
            self._answer(call, reply, parts)

    def _answer(self, call: Incoming, reply: wire.Reply, parts: Parts) -> None:
        try:
            self._pump.send([call.peer, call.number, wire.ENCODER.encode(reply), *parts])
        except zmq.ZMQError:
            self._on_unsent(call, reply)
