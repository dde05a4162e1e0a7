"""What a look-up in the DNS answers, and who may be asked.

Pure: values and a protocol; client.py asks real servers, tests ask a map of records. An answer is a
value, never an exception: a name that does not exist, a server that fails and one that is silent are
expected. `secure` is true only when a resolver that we trust has validated the whole chain.
Sources: RFC 1035, RFC 2308 (negative answers), RFC 4035 §3.2.3 (the AD bit).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class RecordType(Enum):
    """The types that a mail server asks for."""

    A = "A"
    AAAA = "AAAA"
    MX = "MX"
    TXT = "TXT"
    PTR = "PTR"
    CNAME = "CNAME"
    TLSA = "TLSA"


class Status(Enum):
    """How a look-up ended."""

    FOUND = "found"
    NO_DATA = "no-data"  # the name exists, without records of this type
    NO_NAME = "no-name"  # NXDOMAIN
    FAILED = "failed"  # SERVFAIL (also a bogus signature), REFUSED, what can't be decoded
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class MxRecord:
    """RFC 1035 §3.3.9; host in lower case without the last dot, "" for the root (null MX)."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class TlsaRecord:
    """RFC 6698 §2.1."""

    usage: int
    selector: int
    matching: int
    data: bytes


Record = str | bytes | MxRecord | TlsaRecord


@dataclass(frozen=True, slots=True)
class Answer:
    """One look-up's result; records are empty unless status is FOUND.

    Addresses and names are str, a TXT record is the bytes of its joined strings. `name` is where a
    chain of CNAMEs ended. `ttl_s` is the lowest of the chain.
    """

    status: Status
    records: tuple[Record, ...] = ()
    secure: bool = False
    ttl_s: int = 0
    name: str = ""
    reason: str = ""

    @property
    def is_temporary(self) -> bool:
        """Tell whether asking again later may answer otherwise."""
        return self.status in (Status.FAILED, Status.TIMEOUT)

    def names(self) -> tuple[str, ...]:
        """Return the records that are addresses or names."""
        return tuple(r for r in self.records if isinstance(r, str))

    def texts(self) -> tuple[bytes, ...]:
        """Return the TXT records."""
        return tuple(r for r in self.records if isinstance(r, bytes))

    def mx(self) -> tuple[MxRecord, ...]:
        """Return the MX records, in no order."""
        return tuple(r for r in self.records if isinstance(r, MxRecord))


class Resolver(Protocol):
    """Looks names up."""

    async def query(self, name: str, kind: RecordType, deadline_ns: int) -> Answer:
        """Return the answer, at the latest at deadline_ns (CLOCK_MONOTONIC). Raises nothing."""
        ...
