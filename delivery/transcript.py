"""What was said to hops and what they said, for the administrator who asks what became of a mail.

Pure: the time is an argument. A transcript holds commands and replies, never the message nor a password: whoever writes
those leaves a note in their place. The shelf keeps the transcripts of the last mails of one process, as many as
fit into so many octets.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["C", "S", "*"]  # client, server, a note of ours
LINES_MAX: Final = 1000
OVERHEAD: Final = 120  # octets of memory that an entry costs beside its text
CUT: Final = "the rest was left out"


# When (CLOCK_MONOTONIC, ns), who, and one line or more. A plain tuple: the garbage collector soon forgets it.
Entry = tuple[int, Kind, bytes]


class Transcript:
    """One session's dialogue since take() was last called."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def note(self, at_ns: int, kind: Kind, data: bytes) -> None:
        """Add what was said."""
        if len(self._entries) < LINES_MAX:
            self._entries.append((at_ns, kind, data))

    def take(self) -> tuple[Entry, ...]:
        """Return what was said, and begin anew."""
        entries, self._entries = self._entries, []
        return tuple(entries)


@dataclass(frozen=True, slots=True)
class Heard:
    """The dialogue with one hop about one mail."""

    hop: str
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Return the octets of memory that it takes, about."""
        octets = OVERHEAD * (len(self.entries) + 1)
        for _, _, data in self.entries:
            octets += len(data)
        return octets


class Shelf:
    """The transcripts of the last mails; limit is in octets, 0 keeps nothing."""

    def __init__(self, limit: int) -> None:
        self._limit, self._used = limit, 0
        self._by_id: OrderedDict[str, list[tuple[int, Heard]]] = OrderedDict()

    def put(self, id: str, heard: Heard) -> None:
        """Keep a dialogue; the mails that were not spoken of for the longest time make room."""
        size = heard.size
        if not heard.entries or size > self._limit:
            return
        known = self._by_id.get(id)
        if known is None:
            self._by_id[id] = [(size, heard)]
        else:
            known.append((size, heard))
            self._by_id.move_to_end(id)
        self._used += size
        while self._used > self._limit:
            _, old = self._by_id.popitem(last=False)
            self._used -= sum(taken for taken, _ in old)

    def of(self, id: str) -> tuple[Heard, ...]:
        """Return the dialogues about a mail, oldest first."""
        return tuple(heard for _, heard in self._by_id.get(id, ()))


def told(heard: Iterable[Heard], wall_ns: int, now_ns: int) -> list[dict[str, str | float]]:
    """Return a row for each line: its wall-clock time in seconds, the hop, and "C: …" or "S: …"."""
    rows: list[dict[str, str | float]] = []
    for one in heard:
        for at_ns, kind, data in one.entries:
            at_s = (wall_ns - (now_ns - at_ns)) / 1e9
            lines = data.decode("utf-8", "backslashreplace").splitlines()
            rows += [{"at": at_s, "hop": one.hop, "text": f"{kind}: {line}"} for line in lines]
    return rows
