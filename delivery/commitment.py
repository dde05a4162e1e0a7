"""The step that can't be taken back, and the one decision whether it is still allowed.

An attempt asks `enter` right before end-of-data or the rename into a mailbox; the keeper of the deadline asks
`close`. Whoever comes first wins, also between threads: after `close` has said yes nothing was and nothing
will be handed over; after `enter` has said yes the result must be waited for (promises §1).
"""

import threading

from columba.common.clock import Clock


class Commitment:
    """One attempt's point of no return."""

    __slots__ = ("_boot_ns", "_clock", "_closed", "_entered", "_lock", "_until_ns")

    def __init__(self, clock: Clock, until_ns: int, until_boot_ns: int = 0) -> None:
        """Allow entry until these instants of CLOCK_MONOTONIC and, unless 0, CLOCK_BOOTTIME.

        The latter is the end of the queue owner's lease (promises §7); it counts suspended time.
        """
        self._clock, self._until_ns, self._boot_ns = clock, until_ns, until_boot_ns
        self._lock = threading.Lock()
        self._entered = self._closed = False

    @property
    def is_entered(self) -> bool:
        """Tell whether the attempt may have handed the mail over."""
        return self._entered

    def enter(self) -> bool:
        """Pass the point of no return; False when that is not allowed any more."""
        with self._lock:
            if self._closed or self._clock.monotonic_ns() > self._until_ns:
                return False
            if self._boot_ns and self._clock.boottime_ns() > self._boot_ns:
                return False
            self._entered = True
            return True

    def close(self) -> bool:
        """Allow no entry from now on; False when the attempt has entered already."""
        with self._lock:
            self._closed = True
            return not self._entered
