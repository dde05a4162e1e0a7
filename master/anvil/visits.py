"""Who is connected to which process, and how often clients come there.

Pure: times are arguments, monotonic. A process says what changed; one that this anvil does not know yet says all.
"""

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Final

from columba.common.ipc.wire_presence import Count, Elsewhere, Present, Visit
from columba.common.net.windows import Windows

VISITS_MAX: Final = 200_000  # of one process
Chosen = Callable[[Visit], bool]


class _Process:
    def __init__(self) -> None:
        self.visits: dict[str, Visit] = {}
        self.keys: Counter[str] = Counter()
        self.connects, self.messages = Windows(), Windows()
        self.kicked: set[str] = set()

    def enter(self, visit: Visit) -> None:
        self.leave(visit.session)
        if len(self.visits) < VISITS_MAX:
            self.visits[visit.session] = visit
            self.keys[visit.key] += 1

    def leave(self, session: str) -> None:
        visit = self.visits.pop(session, None)
        if visit is None:
            return
        self.keys[visit.key] -= 1
        if self.keys[visit.key] <= 0:
            del self.keys[visit.key]

    def count(self, key: str, now_s: float) -> tuple[int, int, int]:
        connects, messages = self.connects.count(key, now_s), self.messages.count(key, now_s)
        return self.keys[key], connects, messages


class Visits:
    """All processes. epoch names this table: who was told another one must say all again."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self._processes: dict[str, _Process] = {}

    def report(self, said: Present, now_s: float) -> Elsewhere:
        """Take what a process says; return what it must know."""
        process = self._processes.get(said.process)
        if process is None or said.whole:
            process = self._processes[said.process] = _Process()
        for session in said.closed:
            process.leave(session)
            process.kicked.discard(session)
        for visit in said.opened:
            process.enter(visit)
        for count in said.counts:
            process.connects.add(count.key, now_s, count.connects)
            process.messages.add(count.key, now_s, count.messages)
        kicked, process.kicked = tuple(process.kicked), set()
        counts = tuple(self._elsewhere(said, now_s))
        return Elsewhere(epoch=self.epoch, counts=counts, kicked=kicked)

    def keep(self, alive: Callable[[str], bool]) -> None:
        """Forget processes that are gone."""
        for name in [name for name in self._processes if not alive(name)]:
            del self._processes[name]

    def list(self) -> Iterator[tuple[str, Visit]]:
        """Yield process and visit of every connection."""
        for name, process in self._processes.items():
            for visit in process.visits.values():
                yield name, visit

    def kick(self, chosen: Chosen) -> int:
        """Have the chosen connections ended; return how many."""
        number = 0
        for process in self._processes.values():
            found = {session for session, visit in process.visits.items() if chosen(visit)}
            process.kicked |= found
            number += len(found)
        return number

    def _elsewhere(self, said: Present, now_s: float) -> Iterator[Count]:
        others = [p for name, p in self._processes.items() if name != said.process]
        keys = {visit.key for visit in said.opened} | {count.key for count in said.counts}
        for key in keys if others else ():
            sums = [sum(each) for each in zip(*(p.count(key, now_s) for p in others), strict=True)]
            if any(sums):
                yield Count(key=key, connections=sums[0], connects=sums[1], messages=sums[2])


def choose(mask: str, address: str) -> Chosen:
    """Return what tells whether a visit is meant: a login's mask with * and ?, an address or network; "" = any.

    Raises ValueError for an address that is none.
    """
    network = ipaddress.ip_network(address, strict=False) if address else None

    def chosen(visit: Visit) -> bool:
        if mask and not fnmatchcase(visit.login, mask):
            return False
        return network is None or (bool(visit.ip) and ipaddress.ip_address(visit.ip) in network)

    return chosen
