"""The base of the key under which a mail is known when its client comes again (promises §4).

Pure. Two tries of one mail by one client have the same base, everything else another. Without a
Message-ID there is none (b""), and nothing is ever taken for a duplicate. Recipients are not part of it: they
are asked for one by one.
"""

import hashlib
import ipaddress

from columba.common.mail.header import Header
from columba.common.smtp.path import canonical

_FIELDS = ("Message-ID", "Date", "From", "Subject")


def fence_base(login: str, ip: str, sender: bytes, header: Header, body_hash: bytes) -> bytes:
    """Return 32 octets, or b"" if the mail can't be told from others.

    header is as the client sent it; body_hash is over the body as received.
    """
    if not header.count("Message-ID"):
        return b""
    digest = hashlib.sha256()
    for part in (who(login, ip).encode(), canonical(sender), *_values(header), body_hash):
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


def who(login: str, ip: str) -> str:
    """Return what stays the same of a client between its tries: its login, else its network."""
    if login:
        return f"login:{login}"
    if not ip:
        return "local"
    if ":" not in ip:
        return f"net:{ip.rpartition('.')[0]}.0/24"
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    bits = 24 if address.version == 4 else 64
    return f"net:{ipaddress.ip_network((address, bits), strict=False)}"


def _values(header: Header) -> list[bytes]:
    found: list[bytes] = []
    for name in _FIELDS:
        values = [field.unfolded for field in header.get_all(name)]
        found += [len(values).to_bytes(2, "big"), *values]
    return found
