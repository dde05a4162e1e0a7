"""What a store of the queue can do: whole objects under keys, written on conditions.

Decides nothing. Every call blocks: StoreCalls (calls.py) runs them off the loop. A store may be shared by
many nodes; only the conditional put orders them. After UnavailableError the result of a write is unknown; a
ConditionError may be the answer to one's own earlier success (a lost answer), so that every document that is
written on a condition carries a nonce, which the writer compares with what it reads back.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from columba.common.errors import StoreError, UnavailableError


class DeniedError(UnavailableError):
    """The store answers, but not to us: no such bucket, wrong keys, no rights."""


Chunks = Callable[[], Iterable[bytes]]
OBJECT_LIMIT: Final = 8 << 20  # octets that get() returns at most; larger ones go through files
_KEY: Final = re.compile(r"(?!\.)[A-Za-z0-9._:=-]{1,120}(/(?!\.)[A-Za-z0-9._:=-]{1,120}){0,5}")


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold for a put: the key is absent, or its object has this etag; neither: anything."""

    absent: bool = False
    etag: str = ""


ABSENT: Final = Condition(absent=True)
ANYTHING: Final = Condition()


def match(etag: str) -> Condition:
    """Return the condition that the object has this etag (and so exists)."""
    return Condition(etag=etag)


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What differs from store to store. What every one must keep, probe.py tries out."""

    shared: bool  # other nodes may use it at the same time
    page_keys: int  # the most keys that one list() returns


@dataclass(frozen=True, slots=True)
class Object:
    """An object's content with the etag that a condition may name."""

    data: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Page:
    """Keys in order. more = there may be others behind the last one."""

    keys: tuple[str, ...]
    more: bool


class ObjectStore(Protocol):
    """A store. Errors: NotFoundError, ConditionError, FullError, UnavailableError (all StoreError)."""

    @property
    def guarantees(self) -> Guarantees:
        """Return what this store promises."""
        ...

    def get(self, key: str) -> Object:
        """Return an object of at most OBJECT_LIMIT octets; NotFoundError when there is none."""
        ...

    def get_file(self, key: str, target: Path) -> int:
        """Write an object to a new file (no fsync) and return its size."""
        ...

    def put(self, key: str, data: bytes, condition: Condition) -> str:
        """Write an object, durably, and return its etag; ConditionError when the condition does not hold."""
        ...

    def put_chunks(self, key: str, chunks: Chunks, size: int, condition: Condition) -> str:
        """Write an object of this size in pieces, as put; chunks may be called again for another try."""
        ...

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        """Return the first keys that begin with prefix and are greater than after.

        The order of whole keys is promised within one folder alone: some servers order folder by folder, so that
        what stands in "a-b/" comes after "a/" although "-" comes before "/". Names of folders beside each other are
        chosen so that this makes no difference.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object, whatever it is; none is fine. Only for what nobody may need again."""
        ...

    def close(self) -> None:
        """Free what the store holds."""
        ...


class Direct(Protocol):
    """The calls of a store that need no thread: they wait on the event loop that they are made on."""

    async def get(self, key: str) -> Object:
        """Do as ObjectStore.get."""
        ...

    async def put(self, key: str, data: bytes, condition: Condition) -> str:
        """Do as ObjectStore.put."""
        ...

    def close(self) -> None:
        """Close the connections that are not in use, and keep none from now on."""
        ...


@runtime_checkable
class HasDirect(Protocol):
    """A store that may be asked on the loop."""

    def direct(self) -> Direct | None:
        """Return these calls, None when there are none after all."""
        ...


def check_key(key: str) -> str:
    """Return the key; StoreError when it is no key (it may become a path or a URL)."""
    if not _KEY.fullmatch(key):
        raise StoreError(f"not a key: {key[:80]!r}")
    return key
