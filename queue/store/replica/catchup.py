"""A member's own housekeeping: it learns what it missed while it was cut off, and forgets what all have forgotten.

What a peer has accepted may be accepted here as well, as if the request had come late: that breaks no promise. A
removed object leaves a row behind, so that no old copy can come back; the row goes when it is old and no member has
more.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from columba.common.errors import StoreError
from columba.queue.store.replica.ledger import LEASES
from columba.queue.store.replica.line import Ask, Lines
from columba.queue.store.replica.members import Members, Peer
from columba.queue.store.replica.register import Register
from columba.queue.store.replica.serve import Server
from columba.queue.store.replica.words import (
    PIECE,
    Accept,
    Change,
    Changed,
    Changes,
    Done,
    Fetch,
    Known,
    Name,
    Piece,
    Read,
    Refused,
)

LOOK_S: Final = 2.0
ASK_S: Final = 5.0
SWEEP_S: Final = 3600.0
FORGET_S: Final = 7 * 86400.0
BLOB_S: Final = 3600.0
_FORGET_MOST: Final = 500
Say = Callable[[str], None]


class CatchUp:
    """The thread."""

    def __init__(self, members: Members, server: Server, keys: tuple[bytes, bytes]) -> None:
        self._members, self._server = members, server
        self._lines = Lines(members.peers, keys)
        self._register = Register(members, self._lines)
        self._seen: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replica catch-up", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._stop.set()
        self._lines.close()
        self._thread.join(ASK_S)

    def _run(self) -> None:
        swept_s = time.monotonic()
        while not self._stop.wait(LOOK_S):
            for peer in self._members.peers:
                if peer.name != self._members.own:
                    self._try(self._learn, peer)
            if time.monotonic() - swept_s > SWEEP_S:
                swept_s = time.monotonic()
                self.sweep(time.time())

    def _try(self, work: Callable[[Peer], None], peer: Peer) -> None:
        try:
            work(peer)
        except StoreError:
            return  # the peer does not answer, or our disk does not take it: at the next look

    def _learn(self, peer: Peer) -> None:
        while not self._stop.is_set():
            ask = Ask(Changes(self._seen.get(peer.name, 0)))
            answer = self._lines.one(peer.name, ask, time.monotonic() + ASK_S).reply
            if not isinstance(answer, Changed) or not answer.changes:
                return
            for change in answer.changes:
                if self._is_news(change):
                    self._take(peer, change)
                self._seen[peer.name] = change.number

    def _is_news(self, change: Change) -> bool:
        with self._server.lock:
            return change.accepted > self._server.ledger.accepted(change.key)

    def _take(self, peer: Peer, change: Change) -> None:
        """Accept what a peer has accepted; where a promise or a missing content forbids it, have all agree."""
        key, version = change.key, change.version
        needs = version.present and (not self._members.me.is_witness or key.startswith(LEASES))
        if needs and peer.is_witness and not key.startswith(LEASES):
            self._agree(key)
            return
        content = self._content(peer, change) if needs else None
        if needs and content is None and not version.blob:
            return  # it has changed again: that comes as a change of its own
        with self._server.lock, self._server.ledger.batch():
            reply = self._server.ledger.accept(Accept(key, change.accepted, version), content)
        if isinstance(reply, Refused):
            self._agree(key)

    def _agree(self, key: str) -> None:
        self._register.read(key, time.monotonic() + ASK_S)

    def _content(self, peer: Peer, change: Change) -> bytes | None:
        """Return a small content; a large one is written here, piece by piece."""
        version, offset = change.version, 0
        while True:
            ask = Ask(Fetch(change.key, change.accepted, offset))
            answer = self._lines.one(peer.name, ask, time.monotonic() + ASK_S)
            if not isinstance(answer.reply, Done) or answer.content is None:
                return None
            if not version.blob:
                return answer.content
            end = offset + len(answer.content)
            with self._server.lock:
                piece = Piece(version.blob, offset, end >= version.size)
                self._server.ledger.blobs.write(piece, answer.content)
            if end >= version.size or len(answer.content) < PIECE:
                return None
            offset = end

    def sweep(self, now_s: float) -> None:
        """Forget removed objects that no member has, and files that no row names. now_s: wall clock."""
        ledger = self._server.ledger
        with self._server.lock:
            names = ledger.removed(now_s - FORGET_S, _FORGET_MOST)
            ledger.blobs.sweep(ledger.blobs_in_use(), BLOB_S)
        try:
            for name in filter(self._is_over, names):
                with self._server.lock, ledger.batch():
                    ledger.forget(name)
        except StoreError:
            return  # the others at the next time

    def _is_over(self, name: Name) -> bool:
        asks = {peer.name: Ask(Read(name.key)) for peer in self._members.peers}
        heard = self._lines.ask(asks, lambda heard: False, time.monotonic() + ASK_S)
        known = [each.reply for each in heard.values() if isinstance(each.reply, Known)]
        return len(known) == len(asks) and all(
            each.accepted <= name.accepted and not each.version.present for each in known
        )
