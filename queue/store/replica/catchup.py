"""A member's own housekeeping: it learns what it missed while it was cut off, and forgets what all have forgotten.

A member whose folder was empty has no vote: it may be one that lost its disk, and with it promises and mails that were
counted on. It votes when it has learned what a majority of the others knows, or what all of them know (when the store
is new, nobody votes yet); one that voted before waits first until the calls of its former life are over.

What a peer has accepted may be accepted here as well, as if the request had come late: that breaks no promise. A
removed object leaves a row behind, so that no old copy can come back; the row goes when it is old and no member has
more.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from columba.common.errors import StoreError, UnavailableError
from columba.queue.lease import LEASES
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
    Join,
    Joined,
    Known,
    Name,
    Piece,
    Read,
    Refused,
)

LOOK_S: Final = 2.0
ASK_S: Final = 5.0
SETTLE_S: Final = 60.0  # no call of a store takes longer
_JOIN_LOOK_S: Final = 0.1
_JOIN_ASK_S: Final = 1.0
SWEEP_S: Final = 3600.0
FORGET_S: Final = 7 * 86400.0
BLOB_S: Final = 3600.0
_FORGET_MOST: Final = 500


class CatchUp:
    """The thread."""

    def __init__(
        self,
        members: Members,
        server: Server,
        keys: tuple[bytes, bytes],
        settle_s: float = SETTLE_S,
    ) -> None:
        """settle_s: after so long no call is left in which a former life of this member took part."""
        self._members, self._server, self._settle_s = members, server, settle_s
        self._others = tuple(peer for peer in members.peers if peer.name != members.own)
        self._lines = Lines(members.peers, keys)
        self._register = Register(members, self._lines)
        self._seen: dict[str, tuple[str, int]] = {}  # peer to its ledger and the last change seen
        self._was_known: dict[str, bool] = {}
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
        while not self._server.ledger.votes and not self._stop.wait(_JOIN_LOOK_S):
            self._join(time.time() - self._server.ledger.made_s)
        while not self._stop.wait(LOOK_S):
            for peer in self._others:
                self._try(self._learn, peer)
            if time.monotonic() - swept_s > SWEEP_S:
                swept_s = time.monotonic()
                self.sweep(time.time())

    def _join(self, since_s: float) -> None:
        """Learn what the others know, and vote if that is enough; since_s: since the folder is new."""
        try:
            told = self._told()
            voters = [name for name, each in told.items() if each.votes]
            everybody = len(self._was_known) == len(self._others)
            if not everybody and len(voters) < self._members.majority:
                return
            heard_all = len(told) == len(self._others)
            is_empty = heard_all and not any(each.changes for each in told.values())
            is_first = not voters or is_empty or not any(self._was_known.values())
            is_settled = is_first or since_s >= self._settle_s
            for peer in sorted(self._others, key=lambda peer: peer.is_witness):
                if everybody or peer.name in voters:
                    self._learn(peer)
            if is_settled:
                with self._server.lock:
                    self._server.ledger.begin_voting()
        except StoreError:
            return  # somebody is not there: at the next look

    def _told(self) -> dict[str, Changed]:
        """Tell all others that we are to vote, and return who says what of itself."""
        until_s = time.monotonic() + _JOIN_ASK_S
        names = [peer.name for peer in self._others]
        for name, heard in self._lines.ask(
            {name: Ask(Join(self._members.own)) for name in names if name not in self._was_known},
            lambda heard: False,
            until_s,
        ).items():
            if isinstance(heard.reply, Joined):
                self._was_known[name] = heard.reply.is_known
        asks = {name: Ask(Changes(limit=1)) for name in self._was_known}
        told = self._lines.ask(asks, lambda heard: False, until_s)
        return {n: each.reply for n, each in told.items() if isinstance(each.reply, Changed)}

    def _try(self, work: Callable[[Peer], None], peer: Peer) -> None:
        try:
            work(peer)
        except StoreError:
            return  # the peer does not answer, or our disk does not take it: at the next look

    def _learn(self, peer: Peer) -> None:
        while not self._stop.is_set():
            ledger, seen = self._seen.get(peer.name, ("", 0))
            answer = self._lines.one(peer.name, Ask(Changes(seen)), time.monotonic() + ASK_S).reply
            if isinstance(answer, Changed) and answer.ledger != ledger:
                self._seen[peer.name] = (answer.ledger, 0)  # its folder is another one
                if seen:
                    continue
            if not isinstance(answer, Changed) or not answer.changes:
                return
            for change in answer.changes:
                if not self._server.ledger.votes:
                    self._take_unasked(peer, change)
                elif self._is_news(change):
                    self._take(peer, change)
                if change.number <= seen:
                    raise UnavailableError(f"replica: {peer.name} counts its changes wrongly")
                seen = change.number
                self._seen[peer.name] = (answer.ledger, seen)

    def _take_unasked(self, peer: Peer, change: Change) -> None:
        """Take over a change and its promise, with the content if the peer has it."""
        needs = self._needs(change) and (not peer.is_witness or change.key.startswith(LEASES))
        content = self._content(peer, change) if needs else None
        with self._server.lock, self._server.ledger.batch():
            self._server.ledger.learn(change, content)

    def _needs(self, change: Change) -> bool:
        is_kept = not self._members.me.is_witness or change.key.startswith(LEASES)
        return change.version.present and is_kept

    def _is_news(self, change: Change) -> bool:
        with self._server.lock, self._server.ledger.batch():
            return change.accepted > self._server.ledger.accepted(change.key)

    def _take(self, peer: Peer, change: Change) -> None:
        """Accept what a peer has accepted; where a promise or a missing content forbids it, have all agree."""
        key, version = change.key, change.version
        needs = self._needs(change)
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
            piece = Piece(version.blob, offset, end >= version.size)
            with self._server.lock, self._server.ledger.batch():
                self._server.ledger.take(piece, answer.content)
            if end >= version.size or len(answer.content) < PIECE:
                return None
            offset = end

    def sweep(self, now_s: float) -> None:
        """Forget removed objects that no member has, and files that no row names. now_s: wall clock."""
        ledger = self._server.ledger
        try:
            with self._server.lock, ledger.batch():
                names = ledger.removed(now_s - FORGET_S, _FORGET_MOST)
                ledger.blobs.sweep(ledger.blobs_in_use(), BLOB_S)
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
