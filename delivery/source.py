"""Which of our own addresses a connection comes from, and what we call ourselves there.

Pure: settings, a route's word and a source of chance go in. A route names a literal address, a source or a pool; of
a pool one source is drawn for each try, so that a retry may come from another one. A source has at most one address
of each family; hosts without an address of a family that it has can't be reached from it.
"""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from columba.common.errors import ConfigError, RefusedError
from columba.delivery.settings import Settings
from columba.delivery.target import Endpoint


class NoSourceError(RefusedError):
    """A route names a source that is not configured."""


@dataclass(frozen=True, slots=True)
class Source:
    """Local addresses by family, "" = none; helo "" = the hostname. Without any address: whatever the kernel takes."""

    name: str = ""
    ipv4: str = ""
    ipv6: str = ""
    helo: str = ""

    def address_for(self, address: str) -> str:
        """Return the local address for a remote one, "" = any."""
        return self.ipv6 if ":" in address else self.ipv4

    def reachable(self, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
        """Return the endpoints that can be reached from here."""
        if not self.ipv4 and not self.ipv6:
            return tuple(endpoints)
        return tuple(e for e in endpoints if not e.port or self.address_for(e.address))


ANY: Final = Source()
Choose = Callable[[Sequence[Source]], Source]  # random.Random(…).choice


class Sources:
    """The configured sources and pools; draw() is asked for each try."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        pools: Mapping[str, Sequence[str]],
        default: str,
        choose: Choose,
    ) -> None:
        self._sources, self._default, self._choose = sources, default, choose
        self._pools = {name: [sources[one] for one in members] for name, members in pools.items()}

    @property
    def names(self) -> frozenset[str]:
        """Return all names under which we greet hops, in lower case."""
        return frozenset(s.helo.lower() for s in self._sources.values() if s.helo)

    def draw(self, wanted: str) -> Source:
        """Return the source for a try. Raises NoSourceError."""
        name = wanted or self._default
        if not name:
            return ANY
        if pool := self._pools.get(name):
            return self._choose(pool)
        if source := self._sources.get(name):
            return source
        return _literal(name)


def sources_of(settings: Settings, choose: Choose) -> Sources:
    """Return the configured sources and pools. Raises ConfigError."""
    sources: dict[str, Source] = {}
    pools: dict[str, list[str]] = {}
    for name, section in settings.source.items():
        sources[name] = make_source(name, section.address, section.helo)
        for pool in section.pools:
            pools.setdefault(pool, []).append(name)
    both = set(sources) & set(pools)
    if both:
        raise ConfigError(f"source {min(both)}: a pool has the same name")
    made = Sources(sources, pools, settings.default_source, choose)
    try:
        made.draw("")
    except NoSourceError as error:
        raise ConfigError(f"default_source: {error}") from error
    return made


def make_source(name: str, addresses: Sequence[str], helo: str) -> Source:
    """Return a source of the settings. Raises ConfigError."""
    found: dict[int, str] = {}
    for word in addresses:
        try:
            address = ipaddress.ip_address(word)
        except ValueError as error:
            raise ConfigError(f"source {name}: address: {word!r} is no address") from error
        if address.version in found:
            raise ConfigError(f"source {name}: address: two of IPv{address.version}")
        found[address.version] = str(address)
    return Source(name, found.get(4, ""), found.get(6, ""), helo)


def _literal(name: str) -> Source:
    try:
        address = ipaddress.ip_address(name)
    except ValueError as error:
        raise NoSourceError(f"there is no source or pool {name!r}") from error
    return Source(name, **{f"ipv{address.version}": str(address)})
