"""Open a replicated store: read the key, run this machine's member if no other process does, connect to all.

The process that holds the lock of the folder runs the member; when it ends, another that has the store open takes
over within a second.
"""

import fcntl
import os
import stat
import threading
from typing import Final

import zmq

from columba.common.errors import ConfigError, StoreError, UnavailableError
from columba.common.files import make_folders
from columba.queue.store.keyring import unreadable
from columba.queue.store.replica.catchup import SETTLE_S, CatchUp
from columba.queue.store.replica.ledger import Ledger
from columba.queue.store.replica.members import Members
from columba.queue.store.replica.serve import Server
from columba.queue.store.replica.store import ReplicaStore

WAIT_S: Final = 25.0  # machines that start one after the other meet within this time
_AGAIN_S: Final = 0.5
_KEY_MAX: Final = 1024
Keys = tuple[bytes, bytes]  # public, secret, in Z85


def open_replica(members: Members, timeout_s: float) -> ReplicaStore:
    """Return the store, its member running and a majority there; ConfigError, UnavailableError."""
    keys = read_keys(members)
    member = Member(members, keys, max(SETTLE_S, 2 * timeout_s))
    store = ReplicaStore(members, keys, timeout_s, member.close)
    try:
        store.wait_majority(WAIT_S)
    except BaseException:
        store.close()
        raise
    return store


def connect_replica(members: Members, timeout_s: float) -> ReplicaStore:
    """Return the store as a tool uses it, whose members others run; ConfigError."""
    return ReplicaStore(members, read_keys(members), timeout_s, lambda: None)


def read_keys(members: Members) -> Keys:
    """Return our CURVE keys; ConfigError if the file can't be used or is not the key that the others know."""
    path = members.secret_key_file
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            secret = file.read(_KEY_MAX).strip()
        public = zmq.curve_public(secret)
    except OSError as error:
        raise ConfigError(f"replica_secret_key_file: {path}: {unreadable(error)}") from error
    except (ValueError, zmq.ZMQError) as error:
        raise ConfigError(f"replica_secret_key_file: {path}: no CURVE key") from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ConfigError(f"replica_secret_key_file: {path} is open to others: chmod 640")
    if public != members.me.curve_key:
        raise ConfigError(f"replica_secret_key_file: {path} is not the key of {members.own}")
    return public, secret


class Member:
    """This machine's member, run by whichever process has the folder's lock."""

    def __init__(self, members: Members, keys: Keys, settle_s: float = SETTLE_S) -> None:
        """Run it if nobody does; UnavailableError when it can't be run. settle_s: no call takes longer."""
        self._members, self._keys, self._settle_s = members, keys, settle_s
        self._server: Server | None = None
        self._catch_up: CatchUp | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        try:
            make_folders(members.folder)
            path = members.folder / "member.lock"
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UnavailableError(f"replica: {members.folder}: {error.strerror}") from error
        self._thread: threading.Thread | None = None
        try:
            is_ours = self._begin()
        except BaseException:
            os.close(self._fd)
            raise
        if not is_ours:
            self._thread = threading.Thread(target=self._wait, name="replica lock", daemon=True)
            self._thread.start()

    @property
    def votes(self) -> bool:
        """Tell whether this process runs it, and it has learned enough to vote."""
        return self._server is not None and self._server.ledger.votes

    @property
    def is_running(self) -> bool:
        """Tell whether this process runs it."""
        return self._server is not None

    def close(self) -> None:
        """End it, and let another process run it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_AGAIN_S * 4)
        with self._lock:
            if self._catch_up is not None:
                self._catch_up.close()
            if self._server is not None:
                self._server.close()
            self._server = self._catch_up = None
            os.close(self._fd)

    def _begin(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        me = self._members.me
        known = frozenset(peer.curve_key for peer in self._members.peers)
        ledger = Ledger(self._members.folder, me.is_witness)
        with self._lock:
            try:
                self._server = Server(ledger, me.endpoint, self._keys, known)
            except UnavailableError:
                ledger.close()
                raise
            self._catch_up = CatchUp(self._members, self._server, self._keys, self._settle_s)
        return True

    def _wait(self) -> None:
        while not self._stop.wait(_AGAIN_S):
            try:
                if self._begin():
                    return
            except StoreError:  # the old member's port is not free yet, or the disk is full
                fcntl.flock(self._fd, fcntl.LOCK_UN)
