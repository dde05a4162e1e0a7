"""Who the members of a replicated store are, from the configuration.

Touches no file and no network. Every member has the same list; `replica_name` says which of them this machine is.
Addresses are HOST:PORT; keys are CURVE keys in hexadecimal, as ZeroMQ's own form (Z85) has characters that mean
something in a configuration.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Protocol

from zmq.utils import z85

from columba.common.errors import ConfigError
from columba.queue.store.replica.words import NAME_LIMIT

SCHEME: Final = "replica"
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


class MemberSettings(Protocol):
    """One `replica_member NAME { … }` (common/config/general.py)."""

    @property
    def address(self) -> str:
        """Return HOST:PORT."""
        ...

    @property
    def public_key(self) -> str:
        """Return the CURVE key, 64 hexadecimal digits."""
        ...

    @property
    def witness(self) -> bool:
        """Tell whether it keeps leases and no mail."""
        ...


@dataclass(frozen=True, slots=True)
class Peer:
    """One member."""

    name: str
    address: str
    public_key: str
    is_witness: bool

    @property
    def curve_key(self) -> bytes:
        """Return the public key as ZeroMQ wants it (Z85)."""
        return z85.encode(bytes.fromhex(self.public_key))

    @property
    def endpoint(self) -> str:
        """Return the address as ZeroMQ wants it."""
        return f"tcp://{self.address}"

    @property
    def is_loopback(self) -> bool:
        """Tell whether it is on this machine for certain."""
        host = self.address.rpartition(":")[0].strip("[]")
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Members:
    """All members. copies: how many members must have a new mail before it counts as stored."""

    folder: Path
    own: str
    secret_key_file: str
    peers: tuple[Peer, ...]
    copies: int

    @property
    def majority(self) -> int:
        """Return how many members decide."""
        return len(self.peers) // 2 + 1

    @property
    def me(self) -> Peer:
        """Return this machine's."""
        return next(peer for peer in self.peers if peer.name == self.own)

    @property
    def is_loopback(self) -> bool:
        """Tell whether all members are on this machine, as in tests."""
        return all(peer.is_loopback for peer in self.peers)

    @property
    def name(self) -> str:
        """Return what an administrator knows the store by."""
        return f"replica {', '.join(peer.name for peer in self.peers)}"


def plan_members(
    url: str, own: str, secret_key_file: str, members: Mapping[str, MemberSettings], copies: int
) -> Members:
    """Return the members; ConfigError for what can't be. Touches nothing."""
    path = url.removeprefix(f"{SCHEME}:")
    if not path.startswith("/"):
        raise ConfigError(f"queue_url: {url}: wants replica:/absolute/path")
    if own not in members:
        raise ConfigError(f"replica_name: {own!r} is none of the sections replica_member")
    if not secret_key_file:
        raise ConfigError("replica_secret_key_file is not set: columbadm replica key makes one")
    peers = tuple(_peer(name, each) for name, each in members.items())
    full = sum(not peer.is_witness for peer in peers)
    if not full:
        raise ConfigError("replica_member: all are witnesses, so nobody keeps mail")
    wanted = copies or full // 2 + 1
    if wanted > full:
        raise ConfigError(
            f"replica_copies: {wanted} copies can't be on {full} members that keep mail"
        )
    return Members(Path(path), own, secret_key_file, peers, wanted)


def _peer(name: str, member: MemberSettings) -> Peer:
    if len(name) > NAME_LIMIT:
        raise ConfigError(f"replica_member {name[:20]}…: at most {NAME_LIMIT} characters")
    found = _ADDRESS.fullmatch(member.address)
    if found is None or not 0 < int(found[2]) < 65536:
        raise ConfigError(f"replica_member {name}: address: {member.address!r} is no HOST:PORT")
    if not _KEY.fullmatch(member.public_key):
        raise ConfigError(f"replica_member {name}: public_key: 64 hexadecimal digits are needed")
    return Peer(name, member.address, member.public_key, member.witness)
