"""Ask all members at once, and wait for as many as are needed.

Each call has a set of sockets to itself, and gives it back. A member that can't be reached is not waited for longer
than the others need; what comes too late is dropped. After the deadline whoever has not answered counts as silent.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
import zmq

from columba.common.errors import FullError, UnavailableError
from columba.queue.store.replica.members import Peer
from columba.queue.store.replica.words import (
    ENCODER,
    FRAME_LIMIT,
    REPLIES,
    Failed,
    Refused,
    Reply,
    Request,
)

_STEP_MS: Final = 20
_RECONNECT_MS: Final = 50
_RECONNECT_MAX_MS: Final = 1000
_HEARTBEAT_MS: Final = 2000
_DEAD_MS: Final = 6000


@dataclass(frozen=True, slots=True)
class Heard:
    """One member's answer."""

    reply: Reply
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """One question."""

    request: Request
    content: bytes | None = None

    def frames(self, call: bytes) -> list[bytes]:
        """Return it as it is sent."""
        head = [call, ENCODER.encode(self.request)]
        return head if self.content is None else [*head, self.content]


Answers = dict[str, Heard]
Enough = Callable[[Answers], bool]


class Lines:
    """The connections to all members."""

    def __init__(self, peers: tuple[Peer, ...], keys: tuple[bytes, bytes]) -> None:
        """Keys: our own public and secret CURVE keys, in Z85."""
        self.peers = {peer.name: peer for peer in peers}
        self._keys = keys
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._lock = threading.Lock()
        self._idle: list[_Sockets] = []
        self._in_use = 0
        self._is_closed = False

    def ask(self, asks: Mapping[str, Ask], enough: Enough, until_s: float) -> Answers:
        """Ask members and return what they answered, as soon as it is enough, all answered, or time is up.

        Members that failed are left out. When the rest is not enough, and nobody refused (then the asker begins
        again with a higher ballot), that is an error that names them: FullError if they lacked space.
        until_s: time.monotonic().
        """
        with self._sockets() as sockets:
            return self._ask(sockets, asks, enough, until_s)

    def _ask(
        self, sockets: "_Sockets", asks: Mapping[str, Ask], enough: Enough, until_s: float
    ) -> Answers:
        call, waiting, unsent = secrets.token_bytes(8), dict(asks), set(asks)
        heard: Answers = {}
        failed: dict[str, Failed] = {}
        while waiting and not enough(heard):
            left_s = until_s - time.monotonic()
            if left_s <= 0 or self._is_closed:
                break
            unsent -= {name for name in unsent if sockets.send(name, asks[name].frames(call))}
            for name, frames in sockets.receive(min(_STEP_MS, int(left_s * 1000) + 1)):
                answer = _heard(frames, call)
                if answer is None or waiting.pop(name, None) is None:
                    continue
                if isinstance(answer.reply, Failed):
                    failed[name] = answer.reply
                else:
                    heard[name] = answer
        is_refused = any(isinstance(each.reply, Refused) for each in heard.values())
        if failed and not is_refused and not enough(heard):
            error = FullError if any(each.is_full for each in failed.values()) else UnavailableError
            texts = dict.fromkeys(waiting, "no answer")
            texts |= {name: each.text for name, each in failed.items()}
            raise error("; ".join(f"{name}: {text}" for name, text in sorted(texts.items())))
        return heard

    def one(self, name: str, ask: Ask, until_s: float) -> Heard:
        """Ask one member; UnavailableError without an answer."""
        answers = self.ask({name: ask}, bool, until_s)
        if name not in answers:
            raise UnavailableError(f"replica: {name} does not answer")
        return answers[name]

    def close(self) -> None:
        """Let go of all connections; calls that wait end without answers."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            is_last = not self._in_use
        for each in idle:
            each.close()
        if is_last:
            self._context.term()

    @contextmanager
    def _sockets(self) -> "Iterator[_Sockets]":
        with self._lock:
            if self._is_closed:
                raise UnavailableError("replica: the store is closed")
            sockets = self._idle.pop() if self._idle else None
            self._in_use += 1
        try:
            if sockets is None:
                sockets = _Sockets({name: self._connect(p) for name, p in self.peers.items()})
            yield sockets
        finally:
            self._give_back(sockets)

    def _give_back(self, sockets: "_Sockets | None") -> None:
        with self._lock:
            self._in_use -= 1
            is_last = self._is_closed and not self._in_use
            if sockets is not None and not self._is_closed:
                self._idle.append(sockets)
                return
        if sockets is not None:
            sockets.close()
        if is_last:
            self._context.term()

    def _connect(self, peer: Peer) -> "zmq.Socket[bytes]":
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.immediate = True
        socket.maxmsgsize = FRAME_LIMIT
        socket.reconnect_ivl, socket.reconnect_ivl_max = _RECONNECT_MS, _RECONNECT_MAX_MS
        socket.heartbeat_ivl, socket.heartbeat_timeout = _HEARTBEAT_MS, _DEAD_MS
        socket.curve_serverkey = peer.curve_key
        socket.curve_publickey, socket.curve_secretkey = self._keys
        socket.ipv6 = "[" in peer.address
        socket.connect(peer.endpoint)
        return socket


class _Sockets:
    """One socket to each member, used by one thread at a time."""

    def __init__(self, sockets: "dict[str, zmq.Socket[bytes]]") -> None:
        self._all = sockets
        self._poller = zmq.Poller()
        for socket in sockets.values():
            self._poller.register(socket, zmq.POLLIN)

    def send(self, name: str, frames: list[bytes]) -> bool:
        """Send, unless there is no connection or no room."""
        try:
            self._all[name].send_multipart(frames, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno == zmq.EAGAIN:
                return False
            raise UnavailableError(f"replica: {error}") from error
        return True

    def receive(self, timeout_ms: int) -> list[tuple[str, list[bytes]]]:
        """Return what came, one message of a member, waiting for the first."""
        try:
            ready = dict(self._poller.poll(timeout_ms))
            return [
                (name, socket.recv_multipart(zmq.NOBLOCK))
                for name, socket in self._all.items()
                if socket in ready
            ]
        except zmq.ZMQError as error:
            raise UnavailableError(f"replica: {error}") from error

    def close(self) -> None:
        """Close all."""
        for socket in self._all.values():
            socket.close()


def _heard(frames: list[bytes], call: bytes) -> Heard | None:
    if len(frames) not in {2, 3} or frames[0] != call:
        return None
    try:
        return Heard(REPLIES.decode(frames[1]), frames[2] if len(frames) > 2 else None)
    except msgspec.MsgspecError:
        return None
