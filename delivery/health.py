"""Which hosts have just cost time and gave nothing.

Pure: the time is an argument. A host that refuses at once costs nothing and is not remembered; one that was silent
until a timeout is left alone for `down_s`, by every mail of this process.
"""

from collections import OrderedDict
from typing import Final

from columba.delivery.target import Endpoint

ENTRIES_MAX: Final = 10_000
SLOW_NS: Final = 1_000_000_000
Key = tuple[str, int]


class Health:
    """Endpoints that are known to be down, and until when (CLOCK_MONOTONIC)."""

    def __init__(self, down_s: float) -> None:
        self._down_ns = int(down_s * 1e9)
        self._until: OrderedDict[Key, int] = OrderedDict()

    def failed(self, endpoint: Endpoint, took_ns: int, now_ns: int) -> None:
        """Note that a connection gave nothing; took_ns is the time that it cost."""
        if took_ns < SLOW_NS:
            return
        key = (endpoint.address, endpoint.port)
        self._until[key] = now_ns + self._down_ns
        self._until.move_to_end(key)
        while len(self._until) > ENTRIES_MAX:
            self._until.popitem(last=False)

    def worked(self, endpoint: Endpoint) -> None:
        """Note that a host speaks to us."""
        self._until.pop((endpoint.address, endpoint.port), None)

    def down(self, now_ns: int) -> dict[Key, int]:
        """Return the hosts that are left alone, and until when."""
        return {key: until for key, until in self._until.items() if until > now_ns}

    def is_down(self, endpoint: Endpoint, now_ns: int) -> bool:
        """Tell whether to leave the host alone."""
        return self._until.get((endpoint.address, endpoint.port), 0) > now_ns
