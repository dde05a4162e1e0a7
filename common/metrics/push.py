"""Send a process' counts to the stats service: MessagePack in datagrams on a unix socket.

When stats is away, counts stay here and go with the next push. Nothing ever waits for stats.
"""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from columba.common.metrics.registry import Registry, Series

SOCKET: Final = "stats/push"  # below the run directory
DATAGRAM_MAX: Final = 60_000
SERIES_EACH: Final = 100


class Push(msgspec.Struct, frozen=True, array_like=True):
    """One datagram: who sends (service.slot.generation), and what has changed."""

    process: str
    series: tuple[Series, ...]


class Pusher:
    """The sending end."""

    def __init__(self, run: Path, process: str, registry: Registry) -> None:
        self._path, self._process, self._registry = str(run / SOCKET), process, registry
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def push(self) -> bool:
        """Send what has changed, at least a sign of life; tells whether all was sent."""
        all_sent = True
        for series in _portions(self._registry.take()):
            data = msgspec.msgpack.encode(Push(self._process, series))
            try:
                self._socket.sendto(data, self._path)
            except OSError:
                self._registry.give_back(series)
                all_sent = False
        return all_sent

    def close(self) -> None:
        """Send the rest and let go."""
        self.push()
        self._socket.close()


def _portions(series: list[Series]) -> Iterator[tuple[Series, ...]]:
    for at in range(0, max(1, len(series)), SERIES_EACH):
        yield tuple(series[at : at + SERIES_EACH])
