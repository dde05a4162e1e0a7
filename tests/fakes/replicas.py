"""A replicated store of several members in one process, on loopback."""

import contextlib
import socket
import time
from pathlib import Path

import zmq
from zmq.utils import z85

from columba.queue.store.replica.members import Members, Peer
from columba.queue.store.replica.open import Keys, Member
from columba.queue.store.replica.store import ReplicaStore


class Replicas:
    """Members that can be stopped and begun again, each with stores as other processes have them."""

    def __init__(self, folder: Path, full: int = 3, witnesses: int = 0, copies: int = 0) -> None:
        self.folder = folder
        self.names = [f"m{n}" for n in range(full + witnesses)]
        self.keys: dict[str, Keys] = {name: zmq.curve_keypair() for name in self.names}
        self._ports = dict(zip(self.names, free_ports(len(self.names)), strict=True))
        self._full, self._copies = full, copies or full // 2 + 1
        self.running: dict[str, Member] = {}
        self._stack = contextlib.ExitStack()
        for name in self.names:
            self.begin(name)
        for name in self.names:
            self.wait_votes(name)

    def members(self, name: str) -> Members:
        """Return the list of members as one of them has it."""
        peers = tuple(
            Peer(
                each,
                f"127.0.0.1:{self._ports[each]}",
                z85.decode(self.keys[each][0]).hex(),
                number >= self._full,
            )
            for number, each in enumerate(self.names)
        )
        return Members(self.folder / name, name, "", peers, self._copies)

    def begin(self, name: str, settle_s: float = 0.2) -> None:
        """Run a member. settle_s: how long one whose folder was emptied waits before it learns."""
        self.running[name] = Member(self.members(name), self.keys[name], settle_s)

    def wait_votes(self, name: str) -> None:
        """Wait until a member may vote."""
        until_s = time.monotonic() + 10
        while not self.running[name].votes:
            assert time.monotonic() < until_s, f"{name} has no vote"
            time.sleep(0.02)

    def stop(self, name: str) -> None:
        """End a member."""
        self.running.pop(name).close()

    def store(self, name: str, timeout_s: float = 5.0) -> ReplicaStore:
        """Return the store as a process of that machine has it."""
        store = ReplicaStore(self.members(name), self.keys[name], timeout_s, lambda: None)
        self._stack.callback(store.close)
        return store

    def settings(self, name: str, folder: Path) -> str:
        """Return the configuration of a machine but for its queue_url; its secret key is put into a folder."""
        secret = folder / "secret"
        secret.write_bytes(self.keys[name][1])
        secret.chmod(0o640)
        text = f"replica_name = {name}\nreplica_secret_key_file = {secret}\n"
        for peer in self.members(name).peers:
            text += f"replica_member {peer.name} {{\n  address = {peer.address}\n"
            text += f"  public_key = {peer.public_key}\n}}\n"
        return text

    def close(self) -> None:
        """End all."""
        self._stack.close()
        for name in list(self.running):
            self.stop(name)


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
