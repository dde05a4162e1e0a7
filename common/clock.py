"""Clocks, so that tests can turn their hands.

Deadlines are instants of CLOCK_MONOTONIC in nanoseconds, which every process of a machine shares;
leases count CLOCK_BOOTTIME, which goes on in suspend; dates in mail come from wall time.
"""

import time
from typing import Protocol


def left_s(until_ns: int) -> float:
    """Return the seconds until an instant of CLOCK_MONOTONIC, 0 when it is past."""
    return max(0.0, (until_ns - time.monotonic_ns()) / 1e9)


def from_now(seconds: float) -> int:
    """Return the instant of CLOCK_MONOTONIC so many seconds from now, in nanoseconds."""
    return time.monotonic_ns() + int(seconds * 1e9)


class Clock(Protocol):
    """Tells the time."""

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        ...

    def boottime_ns(self) -> int:
        """Return CLOCK_BOOTTIME in nanoseconds."""
        ...

    def wall_s(self) -> float:
        """Return seconds since 1970."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()

    def boottime_ns(self) -> int:
        """Return CLOCK_BOOTTIME in nanoseconds."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def wall_s(self) -> float:
        """Return seconds since 1970."""
        return time.time()
