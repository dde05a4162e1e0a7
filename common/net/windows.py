"""Count events by key over the last minute.

Pure: the time is an argument, monotonic. The last minute is the present window and the part of the one before that
it still covers, as if that had been even: two numbers a key instead of a list of times.
"""

import math
from collections import Counter
from typing import Final

WINDOW_S: Final = 60.0


class Windows:
    """Events of many keys."""

    def __init__(self) -> None:
        self._number = -1
        self._now: Counter[str] = Counter()
        self._before: Counter[str] = Counter()

    def add(self, key: str, now_s: float, events: int = 1) -> None:
        """Count events."""
        self._turn(now_s)
        self._now[key] += events

    def count(self, key: str, now_s: float) -> int:
        """Return how many there were in the last minute."""
        self._turn(now_s)
        left = 1.0 - (now_s % WINDOW_S) / WINDOW_S
        return self._now[key] + math.ceil(self._before[key] * left)

    def _turn(self, now_s: float) -> None:
        number = int(now_s // WINDOW_S)
        if number == self._number:
            return
        is_next = number == self._number + 1
        self._before = self._now if is_next else Counter()
        self._now = Counter()
        self._number = number
