"""The caller's end of one connection: a DEALER to one generation of one worker.

It decides nothing: it matches answers to calls, and fails calls when it is told that the worker is gone.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import zmq

from columba.common.clock import left_s
from columba.common.errors import NoPeerError, PeerGoneError, PeerLateError
from columba.common.ipc import wire
from columba.common.ipc.pump import Frames, Pump, make_socket


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, the frames behind its header, and the process that gave it."""

    reply: wire.Reply
    parts: list[bytes]
    peer: str


class Channel:
    """Calls one worker. `outstanding` is the number of calls without an answer."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", url: str, peer: str) -> None:
        socket = make_socket(context, zmq.DEALER)
        socket.connect(url)
        self.peer = peer
        self._loop = asyncio.get_running_loop()
        self._calls: dict[bytes, asyncio.Future[Answer]] = {}
        self._last = 0
        self._is_gone = False
        self.malformed = 0
        self._pump = Pump(socket, self._on_frames)

    @property
    def outstanding(self) -> int:
        """Return how many calls wait for their answer."""
        return len(self._calls)

    def begin(self, header: bytes, parts: Sequence[bytes], until_ns: int) -> "Call":
        """Send a request and return the call; raise NoPeerError when nothing could be sent."""
        if self._is_gone:
            raise NoPeerError(f"{self.peer} is gone")
        self._last += 1
        number = self._last.to_bytes(8, "big")
        try:
            self._pump.send([number, header, *parts])
        except zmq.ZMQError as error:
            raise NoPeerError(f"{self.peer} can't be reached: {error}") from error
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._calls[number] = future
        delay_s = left_s(until_ns)
        timer = self._loop.call_later(delay_s, self._late, number)
        return Call(self, number, future, timer)

    def tell(self, header: bytes, parts: Sequence[bytes] = ()) -> bool:
        """Send a request that has no reply; return whether it could be sent."""
        try:
            self._pump.send([bytes(8), header, *parts])
        except zmq.ZMQError:
            return False
        return True

    def gone(self) -> None:
        """Fail every call in flight, after reading what the dead worker still managed to say."""
        self._is_gone = True
        self._pump.drain()
        for future in list(self._calls.values()):
            if not future.done():
                future.set_exception(PeerGoneError(f"{self.peer} died"))

    def close(self) -> None:
        """Close; calls in flight fail."""
        self.gone()
        self._pump.close()

    def sooner(
        self, number: bytes, timer: asyncio.TimerHandle, delay_s: float
    ) -> asyncio.TimerHandle:
        """Return the timer of a call that is late in delay_s at the latest."""
        if timer.cancelled() or timer.when() <= self._loop.time() + delay_s:
            return timer
        timer.cancel()
        return self._loop.call_later(delay_s, self._late, number)

    def forget(self, number: bytes) -> None:
        """Stop waiting for a call."""
        self._calls.pop(number, None)

    def _late(self, number: bytes) -> None:
        future = self._calls.get(number)
        if future is not None and not future.done():
            future.set_exception(PeerLateError(f"{self.peer} did not answer in time"))

    def _on_frames(self, frames: Frames) -> None:
        try:
            number, header = frames[0], frames[1]
            reply = wire.REPLIES.decode(header)
        except (IndexError, ValueError, RecursionError, msgspec.MsgspecError):
            self.malformed += 1
            return
        future = self._calls.get(number)
        if future is not None and not future.done():  # else it is late, and nobody waits for it
            future.set_result(Answer(reply, frames[2:], self.peer))


class Call:
    """One call in flight."""

    __slots__ = ("_channel", "_future", "_number", "_timer")

    def __init__(
        self,
        channel: Channel,
        number: bytes,
        future: "asyncio.Future[Answer]",
        timer: asyncio.TimerHandle,
    ) -> None:
        self._channel, self._number = channel, number
        self._future, self._timer = future, timer

    async def answer(self) -> Answer:
        """Return the answer; raise PeerGoneError or PeerLateError."""
        try:
            return await self._future
        finally:
            self._timer.cancel()
            self._channel.forget(self._number)

    def hurry(self, until_ns: int) -> None:
        """Wait for the answer no longer than until_ns."""
        delay_s = left_s(until_ns)
        self._timer = self._channel.sooner(self._number, self._timer, delay_s)

    def cancel(self) -> None:
        """Tell the callee to begin nothing more; its answer is still awaited."""
        self._channel.tell(wire.ENCODER.encode(wire.Cancel(call=self._number)))
