"""Drive one ZeroMQ socket from the event loop by its descriptor.

The descriptor is edge-triggered: the socket is drained until EAGAIN after every wake and after every
send, at most DRAIN_CAP messages a turn so that other work gets its share.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import zmq
import zmq.backend

from columba.common import limits

DRAIN_CAP: Final = 200
# The plain calls and numbers below pyzmq's own wrappers: flags as enums cost as much as the sending itself.
_send, _recv, _get = zmq.backend.Socket.send, zmq.backend.Socket.recv, zmq.backend.Socket.get
_DONTWAIT: Final = int(zmq.DONTWAIT)
_MORE: Final = int(zmq.DONTWAIT | zmq.SNDMORE)
_RCVMORE: Final = int(zmq.RCVMORE)
_EVENTS: Final = int(zmq.EVENTS)
_POLLIN: Final = int(zmq.POLLIN)
Frames = list[bytes]
Gate = Callable[["zmq.Frame"], bool]


class Pump:
    """Reads a socket as it becomes readable, and sends without waiting."""

    def __init__(
        self,
        socket: "zmq.Socket[bytes]",
        on_frames: Callable[[Frames], None],
        gate: Gate | None = None,
    ) -> None:
        """Start reading. `gate` sees the first frame of each message (it knows the peer) and may refuse it."""
        self._socket = socket
        self._on_frames = on_frames
        self._gate = gate
        self._loop = asyncio.get_running_loop()
        self._drain_is_due = False
        self._is_closed = False
        self._fd = int(socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._fd, self.drain)
        self._drain_soon()

    def send(self, frames: Sequence[bytes]) -> None:
        """Send, or raise zmq.Again (no peer, or full), or zmq.ZMQError with EHOSTUNREACH."""
        socket, last = self._socket, len(frames) - 1
        try:
            for number, frame in enumerate(frames):
                _send(socket, frame, _DONTWAIT if number == last else _MORE)
        finally:
            self._drain_soon()  # once for all that is sent in this turn of the loop

    def drain(self) -> None:
        """Read what is there."""
        self._drain_is_due = False
        for _ in range(DRAIN_CAP):
            if self._is_closed or not self._has_input():
                return
            frames = self._receive()
            if frames:
                self._on_frames(frames)
        self._drain_soon()

    def close(self) -> None:
        """Stop reading and close the socket; what was not sent is dropped."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._fd)
            self._socket.close(0)

    def _receive(self) -> Frames:
        socket = self._socket
        try:
            first = socket.recv(_DONTWAIT, copy=False)
        except zmq.Again:
            return []
        frames = [first.bytes]
        while _get(socket, _RCVMORE):
            frames.append(_recv(socket, _DONTWAIT))
        return frames if self._gate is None or self._gate(first) else []

    def _has_input(self) -> bool:
        return bool(not self._is_closed and int(_get(self._socket, _EVENTS)) & _POLLIN)

    def _drain_soon(self) -> None:
        if not self._drain_is_due and not self._is_closed:
            self._drain_is_due = True
            self._loop.call_soon(self.drain)


def make_socket(context: "zmq.Context[zmq.Socket[bytes]]", kind: int) -> "zmq.Socket[bytes]":
    """Return a socket with the options that every hop sets."""
    socket: zmq.Socket[bytes] = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, limits.FRAME)
    socket.setsockopt(zmq.SNDHWM, 20000)
    socket.setsockopt(zmq.RCVHWM, 20000)
    if kind == zmq.ROUTER:
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    if kind == zmq.DEALER:
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.RECONNECT_IVL, 5)
    if kind in {zmq.ROUTER, zmq.DEALER}:
        socket.setsockopt(zmq.HEARTBEAT_IVL, 2000)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 10000)
    return socket
