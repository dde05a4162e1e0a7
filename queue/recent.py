"""Records as this process wrote them last, so that the next step on one need not read it again.

Nothing rests on it: what is remembered may have been changed by others since, so that it serves only what ends in a
conditional write, which then fails and reads anew. Bounded by octets; the least recently used goes first.
"""

from collections import OrderedDict
from typing import Final, Generic, Protocol, TypeVar

from columba.queue.record import Record

_OVERHEAD: Final = 4000  # octets of a record beside its mail


class Known(Protocol):
    """A record as it stands in the store."""

    @property
    def key(self) -> str:
        """Return where it stands."""
        ...

    @property
    def record(self) -> Record:
        """Return it."""
        ...


T = TypeVar("T", bound=Known)


class Recent(Generic[T]):
    """The records of one process."""

    def __init__(self, most_octets: int) -> None:
        self._most, self._octets = most_octets, 0
        self._known: OrderedDict[str, T] = OrderedDict()

    def keep(self, shelved: T) -> None:
        """Remember a record that was written just now; a tombstone is of no more use."""
        known = self._known.get(shelved.key)
        if known is not None and known.record.seq > shelved.record.seq:
            return
        self.drop(shelved.key)
        if shelved.record.is_tombstone or _octets(shelved) > self._most:
            return
        self._known[shelved.key] = shelved
        self._octets += _octets(shelved)
        while self._octets > self._most:
            self.drop(next(iter(self._known)))

    def find(self, key: str) -> T | None:
        """Return what is remembered."""
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
        return known

    def drop(self, key: str) -> None:
        """Forget a record."""
        known = self._known.pop(key, None)
        if known is not None:
            self._octets -= _octets(known)

    def drop_all(self, prefix: str) -> None:
        """Forget all records whose keys begin so."""
        for key in [key for key in self._known if key.startswith(prefix)]:
            self.drop(key)


def _octets(shelved: Known) -> int:
    return len(shelved.record.header) + len(shelved.record.body) + _OVERHEAD
