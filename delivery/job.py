"""One mail for one target, and what becomes of each recipient.

Values only, shared by what tries and what reports.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from columba.common.hop.mail import Why
from columba.common.ipc import wire
from columba.delivery.commitment import Commitment
from columba.delivery.content import Content
from columba.delivery.outcome import Decision, Verdict
from columba.delivery.target import Target

LATE: Final = Decision(
    Verdict.TEMPORARY, Why(451, "4.4.7", "The delivery takes too long, try again later")
)
FULL: Final = Decision(
    Verdict.TEMPORARY,
    Why(451, "4.3.2", "Too many mails are on their way to this destination"),
    untried=True,
)
DOWN: Final = Decision(
    Verdict.TEMPORARY, Why(451, "4.4.1", "The next server does not answer"), next_host=True
)
BARE: Final = Decision(
    Verdict.TEMPORARY, Why(451, "4.6.0", "The message has bare line ends"), alert=True
)
UNREADABLE: Final = Decision(
    Verdict.TEMPORARY, Why(451, "4.3.0", "The message can't be read, try again later"), alert=True
)


@dataclass(frozen=True, slots=True)
class Job:
    """One mail for recipients with one target. `is_client`: a client waits for the answer."""

    target: Target
    recipients: tuple[wire.Recipient, ...]
    envelope: wire.Envelope
    content: Content
    commitment: Commitment
    deadline_ns: int
    is_client: bool
    id: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one recipient, and at which hop ("" = none was reached).

    passes_dsn: the hop took over to report success (RFC 3461 §5.2.2); else that is for the one who asked us.
    """

    decision: Decision
    hop: str = ""
    tls: str = ""
    passes_dsn: bool = False


def same(job: Job, result: Result) -> list[Result]:
    """Return one result for all recipients of a job."""
    return [result] * len(job.recipients)


def is_for_next_host(results: Sequence[Result]) -> bool:
    """Tell whether another host may do better for everybody."""
    return all(result.decision.next_host for result in results)
