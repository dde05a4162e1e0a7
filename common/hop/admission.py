"""How many calls may be in flight to the next service: the load switch.

Pure: counts, waits and the time go in. The limit is cut to 70 % when the 90th percentile of our own
waiting over five seconds is above sync_latency_limit, grows by 5 % each five seconds below half of it, and
never falls under a tenth of full (promises §9). Queue runs may take a quarter of it while it is below full.
"""

from typing import Final

WINDOW_NS: Final = 5_000_000_000
CUT: Final = 0.7
GROW: Final = 0.05
FLOOR: Final = 0.1
QUEUE_SHARE: Final = 0.25
SAMPLES: Final = 2000


class Admission:
    """The limit for one next service. `changes` counts the turns between full and cut."""

    def __init__(self, full: int, latency_limit_ms: float, now_ns: int) -> None:
        self._full, self._latency_ms = full, latency_limit_ms
        self._limit = float(full)
        self._waits: list[float] = []
        self._window_ends_ns = now_ns + WINDOW_NS
        self._in_flight = 0
        self._queue_runs = 0
        self.changes = 0
        self._changes_told = 0

    @property
    def limit(self) -> int:
        """Return how many calls may be in flight now."""
        return int(self._limit)

    @property
    def is_full(self) -> bool:
        """Tell whether nothing is cut."""
        return self._limit >= self._full

    def has_turned(self) -> bool:
        """Tell, once for each turn, that it turned between full and cut."""
        has_turned = self.changes != self._changes_told
        self._changes_told = self.changes
        return has_turned

    def enter(self, now_ns: int, is_queue_run: bool) -> bool:
        """Count one call in and return True, or return False when there is no room."""
        self._turn(now_ns)
        if self._in_flight >= self.limit or (is_queue_run and not self._has_queue_room()):
            return False
        self._in_flight += 1
        self._queue_runs += is_queue_run
        return True

    def leave(self, now_ns: int, is_queue_run: bool, waited_ms: float) -> None:
        """Count one call out, with the time that it spent waiting for our own processes."""
        self._in_flight -= 1
        self._queue_runs -= is_queue_run
        if len(self._waits) < SAMPLES:
            self._waits.append(waited_ms)
        self._turn(now_ns)

    def _has_queue_room(self) -> bool:
        return self.is_full or self._queue_runs < max(1, int(self._limit * QUEUE_SHARE))

    def _turn(self, now_ns: int) -> None:
        if now_ns < self._window_ends_ns:
            return
        self._window_ends_ns = now_ns + WINDOW_NS
        waits, self._waits = sorted(self._waits), []
        p90 = waits[int(len(waits) * 0.9)] if waits else 0.0
        before = self.is_full
        if p90 > self._latency_ms:
            self._limit = max(self._full * FLOOR, self._limit * CUT)
        elif p90 < self._latency_ms / 2:
            self._limit = min(float(self._full), self._limit + self._full * GROW)
        self.changes += before != self.is_full
