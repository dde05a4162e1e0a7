"""Decide when a client sends its message too slowly.

Pure: the time is an argument. Looked at now and then; two looks in a row that found too little end the session, so that
one short stall of the network does not.
"""

from typing import Final

PATIENCE: Final = 2


class Pace:
    """One message coming in."""

    __slots__ = ("_octets", "_seen", "_seen_s", "_slow")

    def __init__(self) -> None:
        self._octets = self._seen = self._slow = 0
        self._seen_s = -1.0

    def add(self, octets: int) -> None:
        """Count what came."""
        self._octets += octets

    def pause(self) -> None:
        """Begin anew: it was us who did not read."""
        self._seen_s, self._slow = -1.0, 0

    def is_too_slow(self, now_s: float, minimum: int) -> bool:
        """Look; tell whether less than minimum octets a second came since the last two looks."""
        before, before_s = self._seen, self._seen_s
        self._seen, self._seen_s = self._octets, now_s
        if before_s < 0 or now_s <= before_s:
            return False
        is_slow = self._octets - before < minimum * (now_s - before_s)
        self._slow = self._slow + 1 if is_slow else 0
        return self._slow >= PATIENCE
