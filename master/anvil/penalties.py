"""How long clients wait after wrong passwords, by address.

Pure: times are arguments, monotonic. As in Dovecot: each failure doubles the wait up to the greatest, the same wrong
password again counts once (a phone with an old password locks nobody out), and after a quiet time all is forgotten.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

CHECKS_MAX: Final = 16  # checksums that are remembered of an address
ADDRESSES_MAX: Final = 100_000


@dataclass(slots=True)
class Failures:
    """What is held against one address."""

    count: int = 0
    last_s: float = 0.0
    checks: list[int] = field(default_factory=list)


class Penalties:
    """All addresses that failed lately."""

    def __init__(self, greatest_s: float, forget_s: float) -> None:
        self._greatest_s, self._forget_s = greatest_s, forget_s
        self._found: OrderedDict[str, Failures] = OrderedDict()

    def add(self, key: str, check: int, now_s: float) -> float:
        """Count a failure; return the wait, in seconds."""
        self._forget(now_s)
        known = self._found.setdefault(key, Failures())
        self._found.move_to_end(key)
        known.last_s = now_s
        if check not in known.checks:
            known.checks = [*known.checks, check][-CHECKS_MAX:]
            known.count += 1
        if len(self._found) > ADDRESSES_MAX:
            self._found.popitem(last=False)
        return self.delay_s(key, now_s)

    def delay_s(self, key: str, now_s: float) -> float:
        """Return how long a client of this address must wait."""
        self._forget(now_s)
        known = self._found.get(key)
        if known is None:
            return 0.0
        return min(2.0 ** min(known.count - 1, 16), self._greatest_s)

    def list(self, now_s: float) -> Iterator[tuple[str, Failures]]:
        """Yield addresses with what is held against them."""
        self._forget(now_s)
        yield from self._found.items()

    def _forget(self, now_s: float) -> None:
        """Drop the oldest while they are too old; the order is that of the last failure."""
        while self._found:
            key, oldest = next(iter(self._found.items()))
            if now_s - oldest.last_s < self._forget_s:
                return
            del self._found[key]
