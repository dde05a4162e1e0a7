"""Tables of networks: `192.0.2.0/24 value`, a line each, in the order that counts: the first that fits (cidr_table(5)).

Pure. An address without a length is that one address. Looking up takes a step for each length that occurs, not for each
line.
"""

import ipaddress
from collections.abc import Iterable

from columba.common.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Networks:
    """Finds the first network of a file that holds an address."""

    def __init__(self, entries: Iterable[tuple[Network, str]]) -> None:
        self._by_length: dict[tuple[int, int], dict[int, tuple[int, str]]] = {}
        for order, (network, value) in enumerate(entries):
            known = self._by_length.setdefault((network.version, network.prefixlen), {})
            known.setdefault(int(network.network_address), (order, value))

    def find(self, key: str) -> str | None:
        """Return the value for an address; None also for what is no address."""
        try:
            address = ipaddress.ip_address(key)
        except ValueError:
            return None
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        address = mapped or address
        number, bits = int(address), address.max_prefixlen
        hits = [
            hit
            for (version, length), known in self._by_length.items()
            if version == address.version
            and (hit := known.get(number >> (bits - length) << (bits - length))) is not None
        ]
        return min(hits)[1] if hits else None


def parse_networks(lines: Iterable[tuple[int, str]], file: str) -> Networks:
    """Read lines with their numbers; raises ConfigError with file and line."""
    entries: list[tuple[Network, str]] = []
    for number, line in lines:
        pattern, _, value = line.partition(" ")
        if pattern.startswith("!") or pattern.lower() in ("if", "endif"):
            raise ConfigError(
                "write the networks in an order that needs no '!' or 'if'", file, number
            )
        try:
            entries.append((ipaddress.ip_network(pattern.strip("[]")), value.strip()))
        except ValueError as error:
            raise ConfigError(str(error), file, number) from error
    return Networks(entries)
