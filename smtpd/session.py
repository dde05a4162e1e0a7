"""Who is connected: the peer, its TLS, its name, its login, what scripts remembered of it.

Pure. A Session lives as long as its connection; `client()` is the picture of it that other services get.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

import msgspec

from columba.common.ipc import wire
from columba.common.mail.received import Hop, protocol

PtrState = Literal["", "confirmed", "unconfirmed", "missing", "unknown"]
Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]


class Role(Enum):
    """What a listener is for."""

    MX = "smtp"
    SUBMISSION = "submission"
    LMTP = "lmtp"


def role_of(name: str, type: str) -> Role:
    """Return the role of a listener, from its type or, when that is empty, its name."""
    word = (type or name).lower()
    if word.startswith("submission"):
        return Role.SUBMISSION
    return Role.LMTP if word.startswith("lmtp") else Role.MX


def networks(words: Sequence[str]) -> Networks:
    """Return networks from CIDR text. Raises ValueError."""
    return [ipaddress.ip_network(word, strict=False) for word in words]


def is_within(ip: str, nets: Networks) -> bool:
    """Tell whether an address is in one of the networks; an IPv4-mapped one counts as IPv4."""
    if not ip or not nets:
        return False
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in net for net in nets)


@dataclass(slots=True)
class Session:
    """One connection's facts. ip is "" on unix sockets; helo is "" before HELO, EHLO or LHLO.

    peer_ip is who speaks with us in fact; ip, port, name, login and helo_said are what it said of the client behind it
    (XCLIENT), if it did. forwarded is what it said of the next mail's origin (XFORWARD), by attribute.
    """

    id: str
    listener: str
    role: Role
    peer_ip: str = ""
    ip: str = ""
    port: int = 0
    name: str = ""  # by the PTR record, once a script asked for it, or as a proxy says
    local_ip: str = ""
    local_port: int = 0
    in_trusted_network: bool = False
    hides_client: bool = False  # our Received field does not tell who it is
    helo: str = ""
    helo_said: str = ""
    is_esmtp: bool = False
    login: str = ""
    tls: str = ""
    cipher: str = ""
    cert_user: str = ""  # whom a verified client certificate names
    variables: dict[str, str] = field(default_factory=dict)
    forwarded: dict[str, str] = field(default_factory=dict)
    ptr: PtrState = ""
    pregreet: bool = False
    since_s: float = 0.0  # wall clock
    refused: int = 0  # recipients
    messages: int = 0  # accepted

    @property
    def is_trusted(self) -> bool:
        """Tell whether the client is authenticated or in trusted_networks."""
        return bool(self.login) or self.in_trusted_network

    def tls_started(self, version: str, cipher: str, cert_user: str = "") -> None:
        """Note the handshake; what was said before it is forgotten (RFC 3207 §4.2)."""
        self.tls, self.cipher, self.cert_user = version, cipher, cert_user
        self.helo, self.is_esmtp, self.login = "", False, ""

    def client(self, is_utf8: bool = False, errors: int = 0) -> wire.Client:
        """Return the picture that goes to other services."""
        own = wire.Client(
            session=self.id,
            listener=self.listener,
            protocol=protocol(self.hop("", "", 0.0, is_utf8)),
            ip=self.ip,
            port=self.port,
            local_ip=self.local_ip,
            local_port=self.local_port,
            name=self.name,
            ptr=self.ptr,
            pregreet=self.pregreet,
            errors=errors,
            refused=self.refused,
            messages=self.messages,
            helo=self.helo,
            login=self.login,
            tls=self.tls,
            cipher=self.cipher,
            trusted=self.is_trusted,
        )
        return _from(own, self.forwarded) if self.forwarded else own

    def hop(self, hostname: str, id: str, wall_s: float, is_utf8: bool, recipient: str = "") -> Hop:
        """Return what our Received field says."""
        return Hop(
            helo=self.helo,
            name=self.name,
            address=self.ip,
            by=hostname,
            id=id,
            wall_s=wall_s,
            is_esmtp=self.is_esmtp,
            is_lmtp=self.role is Role.LMTP,
            is_utf8=is_utf8,
            is_authenticated=bool(self.login),
            tls_version=self.tls,
            tls_cipher=self.cipher,
            recipient=recipient,
        )


def _from(client: wire.Client, forwarded: Mapping[str, str]) -> wire.Client:
    """Return the picture of a client whose mail came from elsewhere; what it may do stays its own."""
    name = forwarded.get("NAME", "" if "ADDR" in forwarded else client.name)
    ptr: PtrState = "confirmed" if name else ""
    return msgspec.structs.replace(
        client,
        ip=forwarded.get("ADDR", client.ip),
        port=int(forwarded.get("PORT", client.port)),
        name=name,
        ptr=client.ptr if name == client.name else ptr,
        helo=forwarded.get("HELO", client.helo),
        protocol=forwarded.get("PROTO", client.protocol),
    )
