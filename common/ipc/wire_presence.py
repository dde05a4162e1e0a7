"""What smtpd and anvil say to each other: who is connected, how often clients come, penalties for wrong passwords.

Pure. A key is a client's address as limits count it: IPv4 as it is, IPv6 as its /64. `_s` are seconds; since_s is wall
clock.
"""

from columba.common.ipc.wire_mail import Frozen


class Visit(Frozen, frozen=True, kw_only=True):
    """One connection; a second one of the same session replaces the first."""

    session: str
    listener: str = ""
    ip: str = ""
    key: str = ""
    login: str = ""
    tls: str = ""
    since_s: float = 0.0


class Count(Frozen, frozen=True, kw_only=True):
    """What clients of one key did: connections that are there, connects and messages of the last minute."""

    key: str
    connections: int = 0
    connects: int = 0
    messages: int = 0


class Present(Frozen, frozen=True, tag="present", kw_only=True):
    """What changed at one process since it last said so; whole = these are all, forget the rest. Answer: Elsewhere."""

    process: str
    epoch: str = ""  # of the anvil that knows what was said before
    whole: bool = False
    opened: tuple[Visit, ...] = ()
    closed: tuple[str, ...] = ()
    counts: tuple[Count, ...] = ()  # connects and messages since the last time


class Elsewhere(Frozen, frozen=True, tag="elsewhere", kw_only=True):
    """What the keys just named do at other processes; sessions to be ended; which anvil speaks."""

    epoch: str
    counts: tuple[Count, ...] = ()
    kicked: tuple[str, ...] = ()


class PenaltyAsk(Frozen, frozen=True, tag="penalty_ask", kw_only=True):
    """How long must a client of this key wait before its password is looked at? Answer: Penalty."""

    key: str


class PenaltyAdd(Frozen, frozen=True, tag="penalty_add", kw_only=True):
    """A client gave a wrong password; check sums up what it said, the same again counts once. Answer: Penalty."""

    key: str
    check: int


class Penalty(Frozen, frozen=True, tag="penalty", kw_only=True):
    """Seconds to wait."""

    delay_s: float = 0.0
