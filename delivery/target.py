"""Which recipients travel together, and where to.

Pure: routes go in, groups come out. Recipients with the same target share one transaction, as far as its limit
goes; each Maildir recipient is a job of its own. Names are not looked up here.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from columba.common.errors import RefusedError
from columba.common.hop.destination import destination, domain
from columba.common.ipc import wire

LMTP_PORT = 24
SMTP_PORT = 25
TlsDemand = Literal["none", "may", "encrypt", "verify"]


class NoTargetError(RefusedError):
    """A recipient has no place to go: its address has no domain and no route says where."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where one transaction goes.

    kind mx: `name` is a domain whose MX hosts are tried; kind host: a host name or a literal address without
    brackets; kind unix: the path of a socket.
    """

    kind: Literal["mx", "host", "unix"]
    name: str
    port: int
    lmtp: bool
    tls: TlsDemand
    source: str
    helo: str
    route: str  # as destination() names it
    auth: str = ""  # look-up table with the credentials; "" = that of relay_credentials
    concurrency: int = 0  # transactions at a time that policy allows; 0 = the settings'
    timeout_s: int = 0  # that policy allows one try; 0 = the call's own


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to connect to; host is the name that TLS checks."""

    host: str
    address: str  # literal address, or the path of a unix socket
    port: int  # 0 = unix socket

    @property
    def label(self) -> str:
        """Return "mx1.example.net[192.0.2.1]:25", or the path."""
        return f"{self.host}[{self.address}]:{self.port}" if self.port else self.address


def target_of(recipient: wire.Recipient, mx_port: int = SMTP_PORT) -> Target:
    """Return the target of a recipient whose route is mx, relay, lmtp or missing (then mx).

    Raises NoTargetError.
    """
    route = recipient.route or wire.Route(kind="mx")
    name = destination(recipient.route, recipient.address)
    common = (route.tls, route.source, route.helo, name)
    wishes = (route.auth, route.concurrency, route.timeout_s)
    if route.kind == "lmtp" and route.path:
        return Target("unix", route.path, 0, True, *common, *wishes)
    if route.kind == "mx":
        to = route.host.lower() or domain(recipient.address)
        if not to:
            raise NoTargetError("the recipient's address has no domain")
        port = route.port or mx_port
        literal = literal_address(to)
        return Target("host" if literal else "mx", literal or to, port, False, *common, *wishes)
    host = literal_address(route.host) or route.host.lower().rstrip(".")
    if not host:
        raise NoTargetError(f"the {route.kind} route names no host")
    is_lmtp = route.kind == "lmtp"
    return Target(
        "host", host, route.port or (LMTP_PORT if is_lmtp else SMTP_PORT), is_lmtp, *common, *wishes
    )


def literal_address(name: str) -> str:
    """Return the address in "[192.0.2.1]", "[IPv6:2001:db8::1]" or a bare address, else ""."""
    inner = name.removeprefix("[").removesuffix("]")
    if inner[:5].lower() == "ipv6:":
        inner = inner[5:]
    try:
        return str(ipaddress.ip_address(inner))
    except ValueError:
        return ""


def grouped(
    recipients: Iterable[tuple[Target, wire.Recipient]], limit: int
) -> list[tuple[Target, tuple[wire.Recipient, ...]]]:
    """Return the transactions: at most `limit` recipients in each, in the order in which they came.

    One address twice in a transaction would get one copy and two replies, so its second comes in another.
    """
    batches: list[tuple[Target, dict[bytes, wire.Recipient]]] = []
    open_batches: dict[Target, list[dict[bytes, wire.Recipient]]] = {}
    for target, recipient in recipients:
        known = open_batches.setdefault(target, [])
        room = next((b for b in known if len(b) < limit and recipient.address not in b), None)
        if room is None:
            room = {}
            known.append(room)
            batches.append((target, room))
        room[recipient.address] = recipient
    return [(target, tuple(batch.values())) for target, batch in batches]
