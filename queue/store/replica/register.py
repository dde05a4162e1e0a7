"""One key as a register that a majority of members decides: the proposer's side of Paxos.

A change is a function of what is there: it gives the next version, or says that its condition does not hold. What is
there counts only once a majority has it; a version that fewer have is written again before anything is said about it,
so that nobody sees it come and go (Rystsov: CASPaxos, 2018, §2.2). After a change of our own its successor was already
promised (Accept.then), and the next one of this process goes without a round of promises.
"""

import random
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from columba.common.errors import ConditionError, UnavailableError
from columba.queue.lease import LEASES
from columba.queue.store.replica.line import Answers, Ask, Lines
from columba.queue.store.replica.members import Members
from columba.queue.store.replica.words import (
    INLINE,
    NEVER,
    PIECE,
    Accept,
    Ballot,
    Done,
    Fetch,
    Known,
    Piece,
    Prepare,
    Read,
    Refused,
    Version,
)

_REMEMBERED: Final = 10_000  # keys whose next ballot is promised to us
_GRACE_S: Final = 1.0  # how long a majority waits for the further copies that a new mail needs
_PAUSE_S: Final = 0.02
Change = Callable[[Version], Version | None]
Source = Callable[[int, int], bytes]  # (offset, count) -> octets of the new content


@dataclass(frozen=True, slots=True)
class State:
    """What is there, and under which ballot; holders: members that have the content."""

    ballot: Ballot
    version: Version
    holders: tuple[str, ...] = ()
    is_chosen: bool = False


class Register:
    """All keys of a store, as one process changes them. Calls block; threads may share it."""

    def __init__(self, members: Members, lines: Lines) -> None:
        self._members, self._lines = members, lines
        self._promised: OrderedDict[str, tuple[Ballot, State]] = OrderedDict()
        self._lock = threading.Lock()
        self._full = frozenset(p.name for p in members.peers if not p.is_witness)

    def read(self, key: str, until_s: float) -> State:
        """Return what is there, chosen; UnavailableError without a majority."""
        asks = {name: Ask(Read(key)) for name in self._lines.peers}
        state = _state(self._majority(asks, until_s), self._members.majority)
        return (
            state if state.is_chosen else self.change(key, lambda version: version, None, until_s)
        )

    def content(self, key: str, state: State, offset: int, until_s: float) -> bytes:
        """Return a part of the content of a state; UnavailableError if nobody who answers has it."""
        wanted = min(PIECE, state.version.size - offset)
        holders = sorted(state.holders, key=lambda name: name != self._members.own)
        for left, name in zip(range(len(holders), 0, -1), holders, strict=True):
            now_s = time.monotonic()
            ask = Ask(Fetch(key, state.ballot, offset))
            try:
                answer = self._lines.one(name, ask, now_s + (until_s - now_s) / left)
            except UnavailableError:
                continue  # silent, or its file can't be read
            if answer.content is not None and len(answer.content) == wanted:
                return answer.content
        raise UnavailableError(f"{key}: the members that have it do not answer")

    def change(self, key: str, change: Change, source: Source | None, until_s: float) -> State:
        """Change a key and return what is there then; ConditionError when the change says no.

        source gives the new content; None: there is none, or what is there stays. After UnavailableError it is not
        known whether the change was made.
        """
        lowest: Ballot = NEVER
        tried: Version | None = None
        while time.monotonic() < until_s:
            ballot, state = self._begin(key, lowest, until_s)
            if state is None:
                lowest = ballot
                time.sleep(_PAUSE_S * random.random())
                continue
            is_ours = tried is not None and state.version == tried  # others finished what we began
            wanted = state.version if is_ours else change(state.version)
            if wanted is None and (state.is_chosen or state.ballot == NEVER):
                raise ConditionError(
                    f"{key}: " + ("exists" if state.version.present else "is absent")
                )
            is_kept = wanted is None or wanted is state.version
            made = self._propose(key, ballot, state, None if is_kept else wanted, source, until_s)
            if isinstance(made, State):
                if wanted is None:
                    raise ConditionError(f"{key}: the condition does not hold")
                return made
            lowest, tried = made, tried if is_kept else wanted
        raise UnavailableError(f"{key}: no majority in time")

    def _begin(self, key: str, lowest: Ballot, until_s: float) -> tuple[Ballot, State | None]:
        """Return a ballot that a majority has promised us and what is there; no state: begin again above it."""
        with self._lock:
            known = self._promised.pop(key, None)
        if known is not None and known[0] > lowest:
            return known
        ballot = self._above((max(lowest[0], known[0][0] if known else 0), ""))
        asks = {name: Ask(Prepare(key, ballot)) for name in self._lines.peers}
        answers = self._majority(asks, until_s)
        promises = {n: a for n, a in answers.items() if not isinstance(a.reply, Refused)}
        if len(promises) < self._members.majority:
            return _highest(answers), None
        return ballot, _state(promises, self._members.majority)

    def _propose(
        self,
        key: str,
        ballot: Ballot,
        state: State,
        wanted: Version | None,
        source: Source | None,
        until_s: float,
    ) -> State | Ballot:
        """Have a version accepted (None: what is there); return it, or the ballot that was in our way."""
        is_new = wanted is not None and wanted.present and not state.version.present
        copies = self._members.copies if is_new and not key.startswith(LEASES) else 0
        version = state.version if wanted is None else wanted
        then = self._above(ballot)
        get = source if wanted is not None else self._kept(key, state, until_s)
        accept = Accept(key, ballot, version, then=then)
        content = self._content_for(key, version, get, until_s) if wanted is not None else None
        asks: Mapping[str, Ask]
        if wanted is None:
            asks = self._again(key, accept, state, get, until_s)
        else:
            asks = {
                name: Ask(accept, self._share(key, name, content)) for name in self._lines.peers
            }
        need, grace_s = self._members.majority, time.monotonic() + _GRACE_S

        def enough(heard: Answers) -> bool:
            done = [name for name, each in heard.items() if isinstance(each.reply, Done)]
            has_copies = sum(name in self._full for name in done) >= copies
            is_late = time.monotonic() > grace_s
            is_refused = _is_refused(heard) and (is_late or len(heard) >= need)
            return is_refused or (len(done) >= need and (has_copies or is_late))

        heard = self._lines.ask(asks, enough, until_s)
        done = [name for name, each in heard.items() if isinstance(each.reply, Done)]
        if len(done) < need:
            if _is_refused(heard):
                return _highest(heard)
            raise UnavailableError(f"{key}: no majority of the members answers")
        if sum(name in self._full for name in done) < copies:
            raise UnavailableError(f"{key}: fewer than {copies} members have a copy")
        holders = tuple(name for name in done if version.present and self._keeps(name, key))
        made = State(ballot, version, holders, True)
        self._remember(key, then, made)
        return made

    def _above(self, ballot: Ballot) -> Ballot:
        """Return a ballot above another that nobody has used: two tries never share one."""
        return (ballot[0] + 1, f"{self._members.own}.{secrets.token_hex(8)}")

    def _kept(self, key: str, state: State, until_s: float) -> Source:
        return lambda offset, count: self.content(key, state, offset, until_s)

    def _again(
        self, key: str, accept: Accept, state: State, get: Source | None, until_s: float
    ) -> dict[str, Ask]:
        """Return what has everybody accept what is there: who has it keeps it, the others are sent it."""
        keep = Accept(key, accept.ballot, accept.version, keep=state.ballot, then=accept.then)
        lacking = [name for name in self._lines.peers if name not in state.holders]
        content: bytes | None = None
        if accept.version.present and not state.holders:
            raise UnavailableError(f"{key}: the members that have it do not answer")
        if accept.version.present and lacking:
            content = self._content_for(key, accept.version, get, until_s)
        return {
            name: Ask(keep)
            if name in state.holders
            else Ask(accept, self._share(key, name, content))
            for name in self._lines.peers
        }

    def _content_for(
        self, key: str, version: Version, get: Source | None, until_s: float
    ) -> bytes | None:
        """Return a small content; a large one is sent to all who keep mail, in pieces, beforehand."""
        if not version.present or get is None:
            return None
        if not version.blob:
            return get(0, INLINE) if version.size else b""
        names = self._full
        for offset in range(0, max(1, version.size), PIECE):
            part = get(offset, min(PIECE, version.size - offset))
            is_last = offset + len(part) >= version.size
            heard = self._spread(names, Ask(Piece(version.blob, offset, is_last), part), until_s)
            names = frozenset(name for name, each in heard.items() if isinstance(each.reply, Done))
            if not names:
                raise UnavailableError(f"{key}: no member takes its content")
        return None

    def _spread(self, names: Collection[str], ask: Ask, until_s: float) -> Answers:
        """Send the same to some members; who is slower than the first by more than a while is left behind."""
        grace_s = time.monotonic() + _GRACE_S
        return self._lines.ask(
            dict.fromkeys(names, ask),
            lambda heard: bool(heard) and time.monotonic() > grace_s,
            until_s,
        )

    def _share(self, key: str, name: str, content: bytes | None) -> bytes | None:
        return content if self._keeps(name, key) else None

    def _keeps(self, name: str, key: str) -> bool:
        return name in self._full or key.startswith(LEASES)

    def _majority(self, asks: Mapping[str, Ask], until_s: float) -> Answers:
        """Return the answers of a majority, or of some who refused."""
        need, grace_s = self._members.majority, time.monotonic() + _PAUSE_S

        def enough(heard: Answers) -> bool:
            agreeing = sum(not isinstance(each.reply, Refused) for each in heard.values())
            if (
                agreeing >= need
            ):  # a witness alone may have the newest: the others can tell that it does not count
                return not _is_lost(_state(heard, need)) or time.monotonic() > grace_s + _GRACE_S
            return _is_refused(heard) and time.monotonic() > grace_s

        heard = self._lines.ask(asks, enough, until_s)
        if len(heard) < need and not _is_refused(heard):
            raise UnavailableError(
                f"replica: {len(heard)} of {len(self._lines.peers)} members answer, {need} are needed"
            )
        return heard

    def _remember(self, key: str, ballot: Ballot, state: State) -> None:
        with self._lock:
            self._promised[key] = (ballot, state)
            self._promised.move_to_end(key)
            while len(self._promised) > _REMEMBERED:
                self._promised.popitem(last=False)


def _state(answers: Answers, majority: int) -> State:
    """Return the newest of what members have; it is chosen if a majority has it.

    Any majority may be heard and the rest left out: so is who has a version whose content nobody has, as long as the
    others are enough. A writer that ended when only a witness had accepted its version leaves such a one.
    """
    known = {name: a.reply for name, a in answers.items() if isinstance(a.reply, Known)}
    while True:
        newest = max((each.accepted for each in known.values()), default=NEVER)
        having = {name: each for name, each in known.items() if each.accepted == newest}
        version = next((each.version for each in having.values()), Version())
        holders = tuple(name for name, each in having.items() if each.has_content)
        state = State(newest, version, holders, len(having) >= majority)
        if not _is_lost(state) or len(known) - len(having) < majority:
            return state
        known = {name: each for name, each in known.items() if name not in having}


def _is_lost(state: State) -> bool:
    return state.version.present and not state.holders


def _is_refused(answers: Answers) -> bool:
    return any(isinstance(each.reply, Refused) for each in answers.values())


def _highest(answers: Answers) -> Ballot:
    return max(a.reply.promised for a in answers.values() if isinstance(a.reply, Refused))
