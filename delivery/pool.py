"""Connections that wait for the next mail to the same hop.

A connection is reused only for the same host, address, TLS demand, source, EHLO name and login, while it is
young, not worn and open; the last one used is taken first, so that the others can grow old and be closed.
"""

from collections import OrderedDict
from dataclasses import dataclass

from columba.delivery.session import Session
from columba.delivery.target import Endpoint
from columba.delivery.tlspolicy.decide import Demand


@dataclass(frozen=True, slots=True)
class Key:
    """What must be the same. `host` is part of the endpoint: TLS may have checked it."""

    endpoint: Endpoint
    demand: Demand
    source: str
    helo: str
    lmtp: bool
    user: str = ""  # as whom we have logged in


@dataclass(frozen=True, slots=True)
class Limits:
    """How long connections are kept: seconds, mails, connections."""

    age_s: float
    idle_s: float
    uses: int
    size: int


class Pool:
    """Idle sessions of one process. Sessions that must be closed are returned, never closed here."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._idle: OrderedDict[Session, tuple[Key, int]] = OrderedDict()  # the oldest first
        self._by_key: dict[Key, list[Session]] = {}
        self.reused = 0

    def __len__(self) -> int:
        return len(self._idle)

    def take(self, key: Key, now_ns: int) -> Session | None:
        """Return an idle session, or None. One that the hop has closed is dropped on the way."""
        while sessions := self._by_key.get(key):
            session = sessions[-1]
            self._remove(session)
            if session.is_usable and self._is_young(session, now_ns):
                self.reused += 1
                return session
            session.abort()
        return None

    def give_back(self, key: Key, session: Session, now_ns: int, held_ns: int = 0) -> list[Session]:
        """Keep a session for later; return those that have to be closed instead.

        held_ns: how much longer than usual it may be idle, because its mail is on the way.
        """
        if not session.is_usable or session.uses >= self._limits.uses or not self._limits.size:
            return [session]
        if not self._is_young(session, now_ns):
            return [session]
        self._idle[session] = (key, now_ns + held_ns)
        self._by_key.setdefault(key, []).append(session)
        out: list[Session] = []
        while len(self._idle) > self._limits.size:
            out.append(self._remove(next(iter(self._idle))))
        return out

    def expired(self, now_ns: int) -> list[Session]:
        """Remove and return the sessions that have been idle too long; called every second."""
        idle_ns = int(self._limits.idle_s * 1e9)
        old = [s for s, (_, since_ns) in self._idle.items() if now_ns - since_ns >= idle_ns]
        return [self._remove(session) for session in old]

    def close(self) -> list[Session]:
        """Remove and return all sessions."""
        return [self._remove(session) for session in list(self._idle)]

    def _is_young(self, session: Session, now_ns: int) -> bool:
        return now_ns - session.born_ns < self._limits.age_s * 1e9

    def _remove(self, session: Session) -> Session:
        key, _ = self._idle.pop(session)
        sessions = self._by_key[key]
        sessions.remove(session)
        if not sessions:
            del self._by_key[key]
        return session
