"""Tell keepers that clients were told: in batches, until each keeper has heard it or is gone.

A keeper that never hears it would take a delivered mail for one whose client is in doubt, and fence it.
"""

import asyncio
from typing import Final

from columba.common.ipc import wire
from columba.common.ipc.calls import Caller
from columba.common.ipc.directory import Directory

BATCH_S: Final = 0.05
BATCH_MAX: Final = 1000
WAITING_MAX: Final = 200_000


class Answerer:
    """Collects (keeper, id) pairs and sends them every 50 ms while there are any."""

    def __init__(self, caller: Caller, directory: Directory) -> None:
        self._caller, self._directory = caller, directory
        self._waiting: dict[str, list[str]] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def told(self, id: str, outcomes: tuple[wire.Outcome, ...]) -> None:
        """The client of this mail was told what these outcomes are: their keepers may forget it."""
        for keeper in {o.keeper for o in outcomes if o.keeper}:
            if self._count < WAITING_MAX:
                self._waiting.setdefault(keeper, []).append(id)
                self._count += 1
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_S, self.flush)

    def flush(self) -> None:
        """Send what waits; what can't be sent yet waits on, unless its keeper is gone."""
        self._timer = None
        waiting, self._waiting = self._waiting, {}
        for keeper, ids in waiting.items():
            left = self._tell(keeper, ids)
            if left and not self._directory.is_dead(keeper):
                self._waiting[keeper] = left
        self._count = sum(len(ids) for ids in self._waiting.values())
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(BATCH_S, self.flush)

    def close(self) -> None:
        """Send a last time."""
        if self._timer is not None:
            self._timer.cancel()
        self.flush()
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self, keeper: str, ids: list[str]) -> list[str]:
        while ids:
            batch = tuple(ids[:BATCH_MAX])
            if not self._caller.tell_process(keeper, wire.Answered(ids=batch)):
                return ids
            ids = ids[BATCH_MAX:]
        return []
