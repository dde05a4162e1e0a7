"""A clock whose hands a test turns."""


class FakeClock:
    """All three clocks go together; `boottime_ns` can be moved alone, as in suspend."""

    def __init__(self, wall_s: float = 1_800_000_000.0) -> None:
        self._wall_s, self._ns, self._slept_ns = wall_s, 1_000_000_000_000, 0

    def monotonic_ns(self) -> int:
        return self._ns

    def boottime_ns(self) -> int:
        return self._ns + self._slept_ns

    def wall_s(self) -> float:
        return self._wall_s

    def advance(self, seconds: float) -> None:
        self._wall_s += seconds
        self._ns += int(seconds * 1e9)

    def suspend(self, seconds: float) -> None:
        self._wall_s += seconds
        self._slept_ns += int(seconds * 1e9)
