"""Which hosts have just cost time and gave nothing.

Pure: the time is an argument. A host that refuses at once costs nothing and is not remembered; one that was silent
until a timeout is left alone for `down_s`, by every mail of this process, and, where there is a board, by those of the
other processes.
"""

from collections import OrderedDict
from typing import Final, Protocol

from columba.delivery.target import Endpoint

ENTRIES_MAX: Final = 10_000
SLOW_NS: Final = 1_000_000_000
Key = tuple[str, int]


class Shared(Protocol):
    """What other processes know too (board.py)."""

    def get(self, address: str, port: int, now_ns: int) -> int:
        """Return until when a host is left alone, 0 when nothing is known of it."""
        ...

    def put(self, address: str, port: int, until_ns: int) -> None:
        """Note until when a host is left alone; 0 = it works."""
        ...


class Health:
    """Endpoints that are known to be down, and until when (CLOCK_MONOTONIC). `board` is set once, at the start."""

    def __init__(self, down_s: float, board: Shared | None = None) -> None:
        self._down_ns = int(down_s * 1e9)
        self.board = board
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
        if self.board is not None:
            self.board.put(*key, self._until[key])

    def worked(self, endpoint: Endpoint) -> None:
        """Note that a host speaks to us."""
        key = (endpoint.address, endpoint.port)
        if self._until.pop(key, None) is not None and self.board is not None:
            self.board.put(*key, 0)

    def down(self, now_ns: int) -> dict[Key, int]:
        """Return the hosts that are left alone, and until when."""
        return {key: until for key, until in self._until.items() if until > now_ns}

    def is_down(self, endpoint: Endpoint, now_ns: int) -> bool:
        """Tell whether to leave the host alone."""
        key = (endpoint.address, endpoint.port)
        if self._until.get(key, 0) > now_ns:
            return True
        return self.board is not None and self.board.get(*key, now_ns) > 0
