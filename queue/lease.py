"""Who may work on the messages below `env/<owner>/`: the lease document and the rules of its time.

Pure: instants of CLOCK_BOOTTIME (nanoseconds) go in, so that a suspended machine loses its leases; no two
clocks are ever compared. An owner's lease is the document `lease/<owner>`, renewed by conditional put. It is
never deleted: who takes it writes epoch + 1, who leaves it writes it free. Every write has a new nonce, made
of the holder's life (random, one per process life) and a count, so that nobody mistakes an old content for an
unchanged one. (promises §7)
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from columba.queue.document import Map, build, flat, pack, unpack

LEASES: Final = "lease/"
_LIMIT: Final = 64 * 1024


class Lease(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One lease document. holder is the name of the node that has it; "" = free."""

    v: int = 1
    owner: str
    epoch: int = 1
    holder: str = ""
    life: str = ""
    count: int = 0
    empty: bool = False  # free, and nothing is left below env/<owner>/
    offered: bool = False  # free, and anybody may have it at once
    extra: Map = {}

    @property
    def nonce(self) -> str:
        """Return what is different in every write."""
        return f"{self.epoch}.{self.life}.{self.count}"


def key_of(owner: str) -> str:
    """Return the key of an owner's lease."""
    return LEASES + owner


def encode(lease: Lease) -> bytes:
    """Return the document."""
    return pack(flat(lease))


def decode(data: bytes) -> Lease:
    """Return the lease; RecordError when data is none."""
    return build(unpack(data, _LIMIT), Lease)


def renewed(lease: Lease) -> Lease:
    """Return the lease as its holder's next renewal writes it."""
    return msgspec.structs.replace(lease, count=lease.count + 1)


def taken(lease: Lease, holder: str, life: str) -> Lease:
    """Return the lease as a new holder, or its holder in a new life, writes it."""
    return msgspec.structs.replace(
        lease, epoch=lease.epoch + 1, holder=holder, life=life, count=0, empty=False, offered=False
    )


def freed(lease: Lease, empty: bool, offered: bool = False) -> Lease:
    """Return the lease as its holder leaves it; offered: it does not mean to come back soon."""
    return msgspec.structs.replace(
        lease, holder="", count=lease.count + 1, empty=empty, offered=offered and not empty
    )


@dataclass(frozen=True, slots=True)
class Terms:
    """The times of all leases of a store, in nanoseconds; margin < ttl."""

    ttl_ns: int
    margin_ns: int

    def end_ns(self, renewal_began_ns: int) -> int:
        """Return when a holder must stop whose last successful renewal began then.

        The others count ttl from when they saw that renewal, which is later than when it began.
        """
        return renewal_began_ns + self.ttl_ns - self.margin_ns

    def is_held(self, renewal_began_ns: int, now_ns: int) -> bool:
        """Tell whether the holder may still act (deliver, answer that something is stored)."""
        return now_ns < self.end_ns(renewal_began_ns)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A lease of somebody else, as it was when this nonce was first seen here."""

    lease: Lease
    etag: str
    since_ns: int


def seen(last: Sighting | None, lease: Lease, etag: str, now_ns: int) -> Sighting:
    """Return the sighting after one more look: an unchanged lease keeps its first instant."""
    if last is not None and last.lease.nonce == lease.nonce and last.etag == etag:
        return last
    return Sighting(lease, etag, now_ns)


def may_adopt(sighting: Sighting, terms: Terms, now_ns: int) -> bool:
    """Tell whether a lease has not changed for ttl, by our own clock, and guards anything at all."""
    if not sighting.lease.holder and sighting.lease.empty:
        return False
    if not sighting.lease.holder and sighting.lease.offered:
        return True
    return now_ns - sighting.since_ns >= terms.ttl_ns
