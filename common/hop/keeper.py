"""Remember what was made final or stored until the client is told: the keeper's part of the fence (promises §4).

An entry is dropped when smtpd says Answered. When a process on its path dies first, or nobody says anything until
long after the deadline, its outcomes are settled with the queue; when smtpd says Withheld, they become fence records.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from columba.common.hop.destination import final
from columba.common.hop.mail import ACCEPTED
from columba.common.ipc import wire

OVERDUE_NS: Final = 30_000_000_000
ENTRIES_MAX: Final = 100_000
IsDead = Callable[[str], bool]
OnSettle = Callable[[str, tuple[wire.Outcome, ...], bytes], None]


@dataclass(slots=True)
class _Kept:
    fence: bytes
    path: tuple[str, ...]
    outcomes: tuple[wire.Outcome, ...]
    until_ns: int


class Keeper:
    """The entries of one process; `settle` is called for those that nobody answers for."""

    def __init__(self, settle: OnSettle, is_dead: IsDead = lambda _name: False) -> None:
        """Take the directory's is_dead: a process of the path may be gone before there is anything to keep."""
        self._settle, self._is_dead = settle, is_dead
        self._kept: dict[str, _Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, handoff: wire.Handoff, outcomes: tuple[wire.Outcome, ...]) -> None:
        """Remember outcomes of a mail; more for the same id are added."""
        if not outcomes:
            return
        if any(self._is_dead(name) for name in handoff.path):
            self._settle(handoff.id, outcomes, handoff.fence)
            return
        known = self._kept.get(handoff.id)
        if known is not None:
            known.outcomes += outcomes
            known.path = tuple(dict.fromkeys(known.path + handoff.path))
            return
        if len(self._kept) >= ENTRIES_MAX:
            self._let_go(next(iter(self._kept)))
        until_ns = max(handoff.deadline_ns, time.monotonic_ns()) + OVERDUE_NS
        self._kept[handoff.id] = _Kept(handoff.fence, handoff.path, outcomes, until_ns)

    def answered(self, ids: tuple[str, ...]) -> None:
        """Forget mails whose clients were told."""
        for id in ids:
            self._kept.pop(id, None)

    def withheld(self, id: str) -> wire.FencePut | None:
        """Return the fence records to write for a mail whose client was not told, and forget it."""
        kept = self._kept.pop(id, None)
        return None if kept is None else fence_put(id, kept.fence, kept.outcomes)

    def died(self, slot: wire.Slot) -> None:
        """Settle what a dead process would have passed on."""
        for id in [id for id, kept in self._kept.items() if slot.name in kept.path]:
            self._let_go(id)

    def turn(self) -> None:
        """Settle what is overdue; called every few seconds."""
        now_ns = time.monotonic_ns()
        for id in [id for id, kept in self._kept.items() if kept.until_ns < now_ns]:
            self._let_go(id)

    def _let_go(self, id: str) -> None:
        kept = self._kept.pop(id)
        self._settle(id, kept.outcomes, kept.fence)


def fence_put(id: str, base: bytes, outcomes: tuple[wire.Outcome, ...]) -> wire.FencePut | None:
    """Return the records for the accepted ones of these outcomes; None when there is nothing to fence."""
    pairs = tuple(
        (o.original or o.address, final(o.address, o.folder))
        for o in outcomes
        if o.kind in ACCEPTED
    )
    if not base or not pairs:
        return None
    return wire.FencePut(base=base, id=id, pairs=pairs)
