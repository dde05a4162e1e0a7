"""How many messages one destination gets at a time, and what it is asked when it seems to be down.

Pure: feedback and times (wall clock, seconds) go in, room comes out. The window starts small, grows by one for
each window of successes up to its limit, and halves when the destination can't be reached. Two such failures
without a success between them, and the destination is down: one message at a time asks it, first after
`first_s`, then twice as long each time up to `most_s`. The first success opens it again.

Mail that delivery had no room for shrinks the window by one, and nothing more is begun for a moment: the window then
rests below what was too much, and grows again after a while, since others use that room too.

What one recipient or one mail is refused for (a full mailbox, greylisting) says nothing about a destination.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from columba.common.ipc import wire

FAILURES: Final = 2
INITIAL: Final = 5.0
CROWDED_S: Final = 0.2  # nothing is begun so long after delivery had no room
NO_GROWTH_S: Final = 10.0
# RFC 3463 §3.5: no answer, connection lost, no name server, no route, congestion.
_UNREACHABLE: Final = frozenset({"4.4.1", "4.4.2", "4.4.3", "4.4.4", "4.4.5"})


@dataclass(frozen=True, slots=True)
class Probing:
    """When a destination that is down is asked again, in seconds."""

    first_s: float = 30.0
    most_s: float = 600.0


class Sign(Enum):
    """What a run says of a destination."""

    WORKS = "works"
    CROWDED = "crowded"
    UNREACHABLE = "unreachable"


class Destination:
    """One destination's window. flying = messages under way; it is counted by the schedule."""

    __slots__ = (
        "_down_n",
        "_failures",
        "_grows_s",
        "_limit",
        "_probing",
        "_window",
        "flying",
        "probe_s",
    )

    def __init__(self, limit: int, probing: Probing) -> None:
        self._limit, self._probing = limit, probing
        self._window = min(INITIAL, float(limit))
        self._failures = 0
        self._down_n = 0  # probes that failed, the failure that closed it included; 0 = up
        self.flying = 0
        self._grows_s = 0.0  # when the window may grow again
        self.probe_s = 0.0  # until when nothing is begun: it is down, or was crowded

    @property
    def is_down(self) -> bool:
        """Tell whether it is only probed."""
        return self._down_n > 0

    @property
    def is_new(self) -> bool:
        """Tell whether nothing is known of it that is worth keeping."""
        return not (self.flying or self._failures or self._down_n or self._grows_s)

    def room(self, now_s: float) -> int:
        """Return how many more messages may be begun now."""
        if now_s < self.probe_s:
            return 0
        if self._down_n:
            return int(not self.flying)
        return max(0, int(self._window) - self.flying)

    def worked(self, now_s: float) -> None:
        """Note that it took or refused mail."""
        if self._down_n:
            self._window = min(INITIAL, float(self._limit))
            self.probe_s = 0.0
        self._failures = self._down_n = 0
        if now_s < self._grows_s:
            return
        self._grows_s = 0.0
        self._window = min(float(self._limit), self._window + 1.0 / self._window)

    def crowded(self, now_s: float) -> None:
        """Note that delivery had no room for one more."""
        if now_s < self.probe_s:
            return  # begun before: no news
        self._window = max(1.0, self._window - 1)
        self._grows_s = now_s + NO_GROWTH_S
        self.probe_s = now_s + CROWDED_S

    def failed(self, now_s: float) -> None:
        """Note that it could not be reached."""
        self._failures += 1
        self._window = max(1.0, self._window / 2)
        if self._down_n and now_s < self.probe_s:
            return  # begun before it was closed: no news
        if self._down_n or self._failures >= FAILURES:
            wait_s = min(self._probing.first_s * 2.0 ** min(self._down_n, 30), self._probing.most_s)
            self.probe_s = now_s + wait_s
            self._down_n += 1

    def reopen(self) -> None:
        """Forget that it was down: an administrator wants it tried."""
        self._failures = self._down_n = 0
        self._grows_s = self.probe_s = 0.0


def is_unreachable(kind: str, enhanced: str) -> bool:
    """Tell whether an outcome says that the destination could not be reached, whatever the mail."""
    return kind in {"deferred", "refused"} and enhanced in _UNREACHABLE


def signs(outcomes: tuple[wire.Outcome, ...]) -> dict[str, Sign]:
    """Return what outcomes say of each destination. An answer about any mail of it outweighs everything else."""
    said: dict[str, Sign] = {}
    for outcome in outcomes:
        if not outcome.route or outcome.kind not in {"delivered", "failed", "deferred"}:
            continue
        if outcome.untried:
            said.setdefault(outcome.route, Sign.CROWDED)
        elif is_unreachable(outcome.kind, outcome.enhanced):
            said.setdefault(outcome.route, Sign.UNREACHABLE)
        elif outcome.kind == "delivered" or outcome.hop:
            said[outcome.route] = Sign.WORKS
    return said
