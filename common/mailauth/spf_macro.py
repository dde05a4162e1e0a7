"""Expand the macros of SPF: %{i}, %{d2}, %{lr-} …

Pure. The validated name of %{p} must be known before: spf.py asks for it where it stands.
Source: RFC 7208 §7.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote

from columba.common.limits import DOMAIN
from columba.common.mailauth.spf_record import MACRO

UNKNOWN = "unknown"  # RFC 7208 §7.3: the name of a client that has none
_LITERALS = {"%": "%", "_": " ", "-": "%20"}
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class SpfIdentity:
    """Who sends. sender: an address, its local part perhaps "postmaster"; helo: as the client said it.

    receiver: this server's name; wall_s: seconds since 1970. Both stand only in explanations.
    """

    ip: Address
    sender: str
    helo: str
    receiver: str = UNKNOWN
    wall_s: int = 0

    @property
    def local_part(self) -> str:
        """The part before the last @."""
        return self.sender.rpartition("@")[0]

    @property
    def sender_domain(self) -> str:
        """The part behind it."""
        return self.sender.rpartition("@")[2]


def needs_name(text: str) -> bool:
    """Tell whether %{p} stands in a text."""
    return any((match[1] or "") in "pP" and match[1] for match in MACRO.finditer(text))


def expand(text: str, who: SpfIdentity, domain: str, name: str = UNKNOWN) -> str:
    """Return a macro-string expanded. domain: whose record it stands in; name: the validated name of the client."""
    return MACRO.sub(lambda match: _expanded(match, who, domain, name), text)


def expand_domain(spec: str, who: SpfIdentity, domain: str, name: str = UNKNOWN) -> str:
    """Return a domain-spec expanded, without a last dot, cut from the left to 253 octets (RFC 7208 §7.3)."""
    found = expand(spec, who, domain, name).removesuffix(".")
    while len(found) > DOMAIN - 2 and "." in found:
        found = found.partition(".")[2]
    return found


def reversed_name(ip: Address) -> str:
    """Return the name of an address below in-addr.arpa or ip6.arpa."""
    return ip.reverse_pointer


def _expanded(match: "re.Match[str]", who: SpfIdentity, domain: str, name: str) -> str:
    if match[5]:
        return _LITERALS[match[5]]
    value = _value(match[1].lower(), who, domain, name)
    if match[2] or match[3] or match[4]:
        parts = re.split(f"[{re.escape(match[4] or '.')}]", value)
        if match[3]:
            parts.reverse()
        count = min(int(match[2][:4] or 0), 999)
        value = ".".join(parts[-count:] if count else parts)
    return quote(value, safe="-._~", errors="replace") if match[1].isupper() else value


def _value(letter: str, who: SpfIdentity, domain: str, name: str) -> str:
    match letter:
        case "s":
            return who.sender
        case "l":
            return who.local_part
        case "o":
            return who.sender_domain
        case "d":
            return domain
        case "i":
            return _dotted(who.ip)
        case "p":
            return name
        case "v":
            return "in-addr" if who.ip.version == 4 else "ip6"
        case "h":
            return who.helo
        case "c":
            return str(who.ip)
        case "r":
            return who.receiver
        case _:
            return str(who.wall_s)


def _dotted(ip: Address) -> str:
    """Return an address in dots: IPv6 by its hexadecimal digits."""
    return str(ip) if ip.version == 4 else ".".join(ip.exploded.replace(":", "").upper())
