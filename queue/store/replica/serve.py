"""A member's side of the wire: a thread of its own that answers requests from its ledger.

Whatever waits when the thread looks is answered as one batch with one fsync. Only members of the list get through
CURVE; what they send is decoded with type and size limit, and what does not fit is dropped. A ledger that can't
write answers Failed and keeps its word: nothing of that batch was done.
"""

import threading
from typing import Final

import msgspec
import zmq
from zmq.auth.thread import ThreadAuthenticator

from columba.common.errors import FullError, StoreError, UnavailableError
from columba.queue.store.replica.ledger import Content, Ledger
from columba.queue.store.replica.words import (
    ENCODER,
    FRAME_LIMIT,
    REQUESTS,
    Accept,
    Changed,
    Changes,
    Failed,
    Fetch,
    Join,
    Names,
    Piece,
    Prepare,
    Read,
    Reply,
    Request,
)

BATCH: Final = 128
_POLL_MS: Final = 200
_DOMAIN: Final = "replica"
_HANDSHAKE_MS: Final = 3000  # a stranger who says nothing holds a file descriptor no longer
_HWM: Final = 500  # requests that wait for a disk; who sends more waits himself
_NO_VOTE: Final = Failed(
    "this member's folder was empty: it votes when it has learned what the others know"
)
Frames = list[bytes]


class Known:
    """The CURVE keys that may talk to us, as pyzmq's authenticator asks for them."""

    def __init__(self, keys: frozenset[bytes]) -> None:
        self._keys = keys

    def callback(self, domain: str, key: bytes) -> bool:
        """Tell whether a client's key (Z85) is a member's."""
        return key in self._keys


class Server:
    """The thread and its socket."""

    def __init__(
        self, ledger: Ledger, endpoint: str, keys: tuple[bytes, bytes], known: frozenset[bytes]
    ) -> None:
        """Bind (UnavailableError when that can't be) and begin to answer. keys: public, secret, in Z85."""
        self.ledger = ledger
        self.lock = threading.Lock()  # who uses the ledger beside the thread holds it
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._guard = ThreadAuthenticator(self._context)
        self._guard.start()
        self._guard.configure_curve_callback(domain=_DOMAIN, credentials_provider=Known(known))
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.curve_server = True
        self._socket.curve_publickey, self._socket.curve_secretkey = keys
        self._socket.zap_domain = _DOMAIN.encode()
        self._socket.maxmsgsize = FRAME_LIMIT
        self._socket.handshake_ivl = _HANDSHAKE_MS
        self._socket.linger = 0
        self._socket.sndhwm = self._socket.rcvhwm = _HWM
        self._socket.ipv6 = "[" in endpoint
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._end()
            raise UnavailableError(f"replica: can't listen on {endpoint}: {error}") from error
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replica member", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer what is begun, and end."""
        self._stop.set()
        self._thread.join(10)
        self._end()
        self.ledger.close()

    def _end(self) -> None:
        self._socket.close()
        self._guard.stop()
        self._context.destroy(linger=0)

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._socket.poll(_POLL_MS):
                continue
            calls: list[Frames] = []
            while len(calls) < BATCH and self._socket.poll(0):
                calls.append(self._socket.recv_multipart())
            for frames in self._answer(calls):
                self._send(frames)

    def _answer(self, calls: list[Frames]) -> list[Frames]:
        known = [(frames, request) for frames in calls if (request := _request(frames)) is not None]
        try:
            with self.lock, self.ledger.batch():
                return [self._one(frames, request) for frames, request in known]
        except (StoreError, OSError) as error:
            failed = Failed(str(error), isinstance(error, FullError))
            return [_framed(frames, failed, None) for frames, _ in known]

    def _one(self, frames: Frames, request: Request) -> Frames:
        ledger, content = self.ledger, frames[3] if len(frames) > 3 else None
        reply: Reply
        answer: Content = None
        if not ledger.votes and isinstance(request, Read | Prepare | Accept | Names):
            return _framed(frames, _NO_VOTE, None)
        match request:
            case Read():
                reply, answer = ledger.read(request)
            case Prepare():
                reply = ledger.prepare(request)
            case Accept():
                reply = ledger.accept(request, content)
            case Names():
                reply = ledger.names(request)
            case Fetch():
                reply, answer = ledger.fetch(request)
            case Piece():
                reply = ledger.take(request, content or b"")
            case Changes():
                changes = ledger.changes(request.after, request.limit)
                reply = Changed(changes, ledger.name, ledger.votes)
            case Join():
                reply = ledger.join(request)
        return _framed(frames, reply, answer)

    def _send(self, frames: Frames) -> None:
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.ZMQError:
            return  # the asker is gone or reads nothing: it asks again


def _request(frames: Frames) -> Request | None:
    """Return what frames (identity, call id, request, content) ask for; None if that is nothing we know."""
    if len(frames) not in {3, 4} or len(frames[1]) != 8:
        return None
    try:
        request: Request = REQUESTS.decode(frames[2])
        return request
    except msgspec.MsgspecError:
        return None


def _framed(frames: Frames, reply: Reply, content: Content) -> Frames:
    head = [frames[0], frames[1], ENCODER.encode(reply)]
    return head if content is None else [*head, content]
