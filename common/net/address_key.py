"""The part of an address that limits count.

Pure. A customer of IPv6 has at least a /64: counting single addresses would count nothing.
"""

import ipaddress


def address_key(ip: str) -> str:
    """Return an IPv4 address as it is, an IPv6 address as its /64; "" and what is no address as they are."""
    if ":" not in ip:
        return ip
    try:
        address = ipaddress.IPv6Address(ip)
    except ValueError:
        return ip
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
