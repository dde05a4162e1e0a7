"""How many clients there are by address, here and at other processes; anvil hears of all of them.

Limits are decided at once, by what this process knows: its own counts, and what anvil last said of the same address
elsewhere. Once a second anvil hears what changed, and answers with what the others have. If it is gone, each process
goes on with its own counts: no mail waits for it.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from columba.common.clock import from_now
from columba.common.errors import PeerError
from columba.common.ipc import wire
from columba.common.ipc.calls import Caller
from columba.common.log.event import Event
from columba.common.net.address_key import address_key
from columba.common.net.windows import Windows
from columba.smtpd.session import Session

REPORT_S: Final = 1.0
CALL_S: Final = 1.0
PART: Final = 500  # visits of one report
COUNTS: Final = 2000  # addresses of one report
CLOSED: Final = 5000  # ends of sessions; past that all that are left are told
STALE_S: Final = 5.0  # what others had so long ago counts no more


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits by address: connections at a time, connects and messages in a minute."""

    connections: int
    connects: int
    messages: int


class Presence:
    """The clients of one process. everyone gives the sessions that are there; kicked ends one by its id."""

    def __init__(self, process: str, bounds: Bounds, caller: Caller, event: Event) -> None:
        self._process, self._bounds = process, bounds
        self._caller, self._event = caller, event
        self._connections: Counter[str] = Counter()
        self._connects, self._messages = Windows(), Windows()
        self._elsewhere: dict[str, tuple[wire.Count, float]] = {}
        self._opened: dict[str, Session] = {}
        self._closed: list[str] = []
        self._told: Counter[str] = Counter()  # connects since the last report
        self._mailed: Counter[str] = Counter()
        self._epoch = ""
        self._is_silent = False  # anvil did not answer the last time

    def entered(self, ip: str) -> None:
        """Count a client's connection, before it has a session."""
        key, now_s = address_key(ip), time.monotonic()
        self._connections[key] += 1
        self._connects.add(key, now_s)
        self._told[key] += 1

    def left(self, ip: str, session: str = "") -> None:
        """Count it out."""
        key = address_key(ip)
        self._connections[key] -= 1
        if self._connections[key] <= 0:
            del self._connections[key]
        if session and self._opened.pop(session, None) is None:
            self._closed.append(session)

    def changed(self, session: Session) -> None:
        """A session began, or its login is another one."""
        self._opened[session.id] = session

    def mailed(self, ip: str) -> None:
        """Count a message."""
        key = address_key(ip)
        self._messages.add(key, time.monotonic())
        self._mailed[key] += 1

    def refusal(self, ip: str) -> str:
        """Return why a client that has just been counted is refused, or ""; who is trusted is not asked for."""
        if not ip:
            return ""
        key, now_s = address_key(ip), time.monotonic()
        others = self._others(key, now_s)
        if self._connections[key] + others.connections > self._bounds.connections:
            return "Too many connections from your address"
        if self._connects.count(key, now_s) + others.connects > self._bounds.connects:
            return "Too many connections from your address in a minute"
        return ""

    def is_mailing_too_much(self, ip: str) -> bool:
        """Tell whether the address has sent its messages of this minute."""
        if not ip:
            return False
        key, now_s = address_key(ip), time.monotonic()
        others = self._others(key, now_s)
        return self._messages.count(key, now_s) + others.messages >= self._bounds.messages

    async def penalty_s(self, ip: str) -> float:
        """Return how long a client must wait before its password is looked at; 0 if anvil can't be asked."""
        return await self._penalty(wire.PenaltyAsk(key=address_key(ip)))

    async def failed(self, ip: str, check: int) -> None:
        """Say that a password was wrong."""
        await self._penalty(wire.PenaltyAdd(key=address_key(ip), check=check))

    async def run(
        self, everyone: Callable[[], Iterable[Session]], kicked: Callable[[str], None]
    ) -> None:
        """Report until the task is cancelled."""
        while True:
            await asyncio.sleep(REPORT_S)
            try:
                answer = await self._report(everyone)
                self._is_silent = False
            except PeerError as error:
                self._epoch = ""  # what was on its way may be lost: say all to the next one
                self._warn(error)
                continue
            for session in answer.kicked:
                kicked(session)

    async def _report(self, everyone: Callable[[], Iterable[Session]]) -> wire.Elsewhere:
        is_whole = not self._epoch or len(self._closed) > CLOSED
        sessions = list(everyone()) if is_whole else list(self._opened.values())
        closed = () if is_whole else tuple(self._closed)
        counts = tuple(itertools.islice(self._counts(), COUNTS))
        self._opened, self._closed = {}, []
        parts = [sessions[at : at + PART] for at in range(0, len(sessions), PART)] or [[]]
        kicked: list[str] = []
        for number, part in enumerate(parts):
            first = number == 0
            answer = await self._say(
                wire.Present(
                    process=self._process,
                    epoch=self._epoch,
                    whole=is_whole and first,
                    opened=tuple(visit(session) for session in part),
                    closed=closed if first else (),
                    counts=counts if first else (),
                )
            )
            kicked += answer.kicked
        is_new = not is_whole and answer.epoch != self._epoch
        self._epoch = "" if is_new else answer.epoch
        return wire.Elsewhere(epoch=answer.epoch, kicked=tuple(kicked))

    async def _say(self, said: wire.Present) -> wire.Elsewhere:
        reply = await self._call(said)
        if not isinstance(reply, wire.Elsewhere):
            raise PeerError(f"anvil answered {type(reply).__name__}")
        now_s = time.monotonic()
        self._forget(now_s)
        for key in {visit.key for visit in said.opened} | {count.key for count in said.counts}:
            self._elsewhere.pop(key, None)
        self._elsewhere.update({count.key: (count, now_s) for count in reply.counts})
        return reply

    def _counts(self) -> Iterable[wire.Count]:
        told, mailed = self._told, self._mailed
        self._told, self._mailed = Counter(), Counter()
        for key in told.keys() | mailed.keys():
            yield wire.Count(key=key, connects=told[key], messages=mailed[key])

    def _others(self, key: str, now_s: float) -> wire.Count:
        found = self._elsewhere.get(key)
        if found is None:
            return wire.Count(key=key)
        if now_s - found[1] > STALE_S:
            del self._elsewhere[key]
            return wire.Count(key=key)
        return found[0]

    def _forget(self, now_s: float) -> None:
        """Drop what others had too long ago: most addresses never come back."""
        known = self._elsewhere.items()
        self._elsewhere = {key: each for key, each in known if now_s - each[1] <= STALE_S}

    async def _penalty(self, request: wire.PenaltyAsk | wire.PenaltyAdd) -> float:
        try:
            reply = await self._call(request)
        except PeerError as error:
            self._warn(error)
            return 0.0
        return reply.delay_s if isinstance(reply, wire.Penalty) else 0.0

    async def _call(self, request: wire.Request) -> wire.Reply:
        until_ns = from_now(CALL_S)
        return (await self._caller.call("anvil", request, until_ns=until_ns)).reply

    def _warn(self, error: PeerError) -> None:
        if not self._is_silent:
            self._is_silent = True
            self._event.warning(
                "anvil does not answer, limits hold for each process", error=str(error)
            )


def visit(session: Session) -> wire.Visit:
    """Return how anvil hears of a session."""
    return wire.Visit(
        session=session.id,
        listener=session.listener,
        ip=session.ip,
        key=address_key(session.ip),
        login=session.login,
        tls=session.tls,
        since_s=session.since_s,
    )
