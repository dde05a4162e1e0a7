"""Find a client's name: by its PTR records, of which one must lead back to its address.

A name that does not lead back is nobody's word (RFC 1912 §2.1): it is not told.
"""

import ipaddress
from typing import Final

from columba.common.dns.resolver import MxRecord, Record, RecordType, Resolver, TlsaRecord

NAMES_MAX: Final = 5  # of one address that are looked at


async def client_name(resolver: Resolver, ip: str, deadline_ns: int) -> str:
    """Return "confirmed NAME", "unconfirmed", "missing", or "unknown" when the DNS does not answer. Raises nothing."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return "missing"  # a client on a unix socket
    answer = await resolver.query(address.reverse_pointer, RecordType.PTR, deadline_ns)
    if answer.is_temporary:
        return "unknown"
    kind = RecordType.A if address.version == 4 else RecordType.AAAA
    is_sure = True
    for name in answer.names()[:NAMES_MAX]:
        back = await resolver.query(name, kind, deadline_ns)
        if any(_is_same(text, address) for text in back.names()):
            return f"confirmed {name.lower().rstrip('.')}"
        is_sure &= not back.is_temporary
    if not is_sure:
        return "unknown"
    return "unconfirmed" if answer.names() else "missing"


def _is_same(text: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return ipaddress.ip_address(text) == address
    except ValueError:
        return False


def record_text(record: Record) -> str:
    """Return a record as scripts see it."""
    match record:
        case MxRecord(preference, host):
            return f"{preference} {host or '.'}"
        case TlsaRecord(usage, selector, matching, data):
            return f"{usage} {selector} {matching} {data.hex()}"
        case bytes():
            return record.decode("utf-8", "surrogateescape")
        case _:
            return record
