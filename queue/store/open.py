"""From the queue's settings to a store.

A store that other machines can reach must be encrypted (promises §7), and is tried out before anything rests on it
(probe.py). What is wrong is one line, a ConfigError; a server that does not answer is UnavailableError. A kind of
store that no setting asks for is not imported: the S3 client alone is a third of what a queue process would import.
"""

import importlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast
from urllib.parse import urlsplit

from columba.common.errors import ConfigError
from columba.queue.store.base import ObjectStore
from columba.queue.store.file import FileStore
from columba.queue.store.keyring import Ring, parse_ring, unreadable
from columba.queue.store.probe import demand
from columba.queue.store.replica.members import SCHEME as REPLICA
from columba.queue.store.replica.members import Members, MemberSettings, plan_members
from columba.queue.store.s3_place import SCHEME, Place, parse_place

_RING_MAX: Final = 1 << 16


class S3(Protocol):
    """The module s3."""

    def S3Store(self, place: Place, timeout_s: float) -> ObjectStore:
        """Return the store at a place."""
        ...


class Replica(Protocol):
    """The module replica.open."""

    def open_replica(self, members: Members, timeout_s: float) -> ObjectStore:
        """Return the store, its member running and a majority there."""
        ...

    def connect_replica(self, members: Members, timeout_s: float) -> ObjectStore:
        """Return the store as a tool uses it."""
        ...

    def read_keys(self, members: Members) -> tuple[bytes, bytes]:
        """Return our keys; ConfigError."""
        ...


class Sealed(Protocol):
    """The module sealed."""

    def SealedStore(self, store: ObjectStore, ring: Ring, *, reads_plain: bool) -> ObjectStore:
        """Return a store that encrypts before another."""
        ...


class StoreSettings(Protocol):
    """What a store is opened by (common/config/general.py: QueueStore)."""

    @property
    def queue_url(self) -> str:
        """Return where the store is."""
        ...

    @property
    def queue_key_file(self) -> str:
        """Return the file of the keys, "" when there is none."""
        ...

    @property
    def queue_plain(self) -> bool:
        """Tell whether mail may stand unencrypted in a store that is not on this machine."""
        ...

    @property
    def replica_member(self) -> Mapping[str, MemberSettings]:
        """Return the members of a replicated store."""
        ...

    @property
    def replica_name(self) -> str:
        """Return which of them this machine is."""
        ...

    @property
    def replica_secret_key_file(self) -> str:
        """Return the file of its secret key."""
        ...

    @property
    def replica_copies(self) -> int:
        """Return how many members must have a new mail, 0 for more than half."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What the settings ask for, after everything that can be known without the store."""

    where: Path | Place | Members
    ring: Ring | None
    reads_plain: bool

    @property
    def name(self) -> str:
        """Return what an administrator knows the store by."""
        return str(self.where) if isinstance(self.where, Path) else self.where.name

    @property
    def is_remote(self) -> bool:
        """Tell whether the store is a server that can be tried out without running anything."""
        return isinstance(self.where, Place)

    @property
    def files(self) -> list[str]:
        """Return the files that the service's user must be able to read."""
        if isinstance(self.where, Members):
            return [self.where.secret_key_file]
        if isinstance(self.where, Path):
            return []
        return [each for each in (self.where.ca_file, self.where.credentials_file) if each]


def plan_store(settings: StoreSettings) -> Plan:
    """Return what the settings ask for; ConfigError for what can't be. Touches no store."""
    where = _where(settings)
    ring = load_ring(settings.queue_key_file) if settings.queue_key_file else None
    is_here = isinstance(where, Path) or where.is_loopback
    if ring is None and not is_here and not settings.queue_plain:
        raise ConfigError(
            "queue_url: mail in a store that is not on this machine must be encrypted: set queue_key_file "
            "(columbadm queue key gen makes one), or queue_plain = yes"
        )
    return Plan(where, ring, settings.queue_plain)


def open_store(settings: StoreSettings, timeout_s: float = 10.0) -> ObjectStore:
    """Return the store of these settings, tried out; ConfigError, StoreError. timeout_s: of one of its calls."""
    plan = plan_store(settings)
    store: ObjectStore
    if isinstance(plan.where, Members):
        store = _replica().open_replica(plan.where, timeout_s)
    elif isinstance(plan.where, Place):
        store = _s3().S3Store(plan.where, timeout_s)
        try:
            demand(store, plan.name)
        except BaseException:
            store.close()
            raise
    else:
        store = FileStore(plan.where)
    if plan.ring is None:
        return store
    sealed = cast(Sealed, importlib.import_module("columba.queue.store.sealed"))
    return sealed.SealedStore(store, plan.ring, reads_plain=plan.reads_plain)


def open_plain(plan: Plan, timeout_s: float) -> ObjectStore:
    """Return the store of a plan, neither tried out nor with encryption before it; ConfigError, StoreError."""
    if isinstance(plan.where, Members):
        return _replica().connect_replica(plan.where, timeout_s)
    if isinstance(plan.where, Place):
        return _s3().S3Store(plan.where, timeout_s)
    return FileStore(plan.where)


def load_ring(path: str) -> Ring:
    """Return the keys in a file; ConfigError also when others may read it."""
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_RING_MAX).decode("ascii", "replace")
    except OSError as error:
        raise ConfigError(f"queue_key_file: {path}: {unreadable(error)}") from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ConfigError(f"queue_key_file: {path} is open to others: chmod 640")
    try:
        return parse_ring(text, path)
    except ConfigError as error:
        raise ConfigError(f"queue_key_file: {error}") from error


def _where(settings: StoreSettings) -> Path | Place | Members:
    url = settings.queue_url
    scheme = url.partition(":")[0]
    if scheme == SCHEME:
        return parse_place(url)
    if scheme != REPLICA:
        return store_folder(url)
    members = plan_members(
        url,
        settings.replica_name,
        settings.replica_secret_key_file,
        settings.replica_member,
        settings.replica_copies,
    )
    _replica().read_keys(members)
    return members


def _s3() -> S3:
    return cast(S3, importlib.import_module("columba.queue.store.s3"))


def _replica() -> Replica:
    return cast(Replica, importlib.import_module("columba.queue.store.replica.open"))


def store_folder(url: str) -> Path:
    """Return the folder that the URL names, touching nothing; ConfigError when it names none."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        raise ConfigError(f"queue_url: {parts.scheme}: no store of this kind")
    if parts.netloc or not parts.path.startswith("/"):
        raise ConfigError(f"queue_url: {url}: wants file:/absolute/path")
    return Path(parts.path)
