"""The step that can't be taken back, and the one decision whether it is still allowed.

An attempt asks `enter` right before end-of-data or the rename into a mailbox; the keeper of the deadline asks
`close`. Whoever comes first wins, also between threads: after `close` has said yes nothing was and nothing
will be handed over; after `enter` has said yes the result must be waited for (promises §1.2).
"""

import threading


class Commitment:
    """One attempt's point of no return."""

    __slots__ = ("_closed", "_entered", "_lock", "_not_after_ns")

    def __init__(self, not_after_ns: int) -> None:
        """Allow entry until this instant of CLOCK_MONOTONIC."""
        self._not_after_ns = not_after_ns
        self._lock = threading.Lock()
        self._entered = self._closed = False

    @property
    def is_entered(self) -> bool:
        """Tell whether the attempt may have handed the mail over."""
        return self._entered

    def enter(self, now_ns: int) -> bool:
        """Pass the point of no return; False when that is not allowed any more."""
        with self._lock:
            if self._closed or now_ns > self._not_after_ns:
                return False
            self._entered = True
            return True

    def close(self) -> bool:
        """Allow no entry from now on; False when the attempt has entered already."""
        with self._lock:
            self._closed = True
            return not self._entered
