"""When a message is tried again, when its sender is told that it takes long, and when it is given up.

Pure. The defaults of RFC 5321 §4.5.4.1 as numbers: first after a minute, then twice as long each time up
to four hours, a notice after four hours, given up after five days. What policy wished for a mail comes before them.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """All in seconds."""

    first_s: float = 60.0
    factor: float = 2.0
    most_s: float = 4 * 3600.0
    lifetime_s: float = 5 * 86400.0
    fresh_s: float = 5.0  # from intake to the first try, so that an intake can still be taken back
    in_doubt_s: float = 600.0  # RFC 5321 §4.5.3.2.6: how long a hop may take to answer end-of-data
    notice_s: float = 4 * 3600.0  # from arrival until the sender is told of the delay; 0 = never

    def expires_s(self, created_s: float) -> float:
        """Return when a message that was queued then is given up."""
        return created_s + self.lifetime_s


def next_due_s(
    policy: RetryPolicy,
    attempts: int,
    now_s: float,
    expires_s: float,
    wished_s: Sequence[int] = (),
) -> float:
    """Return the time of the next try after this many tries, the last of which ended now.

    wished_s: the waits that policy wished, the last of which repeats. Never after the expiry, so that a message is
    given up on time.
    """
    if wished_s:
        wait_s = float(wished_s[min(max(attempts, 1), len(wished_s)) - 1])
    else:
        doublings = min(max(attempts - 1, 0), 60)
        wait_s = min(policy.first_s * policy.factor**doublings, policy.most_s)
    return max(now_s, min(now_s + wait_s, expires_s))
