"""Find a target's hosts and connect to one of a host's addresses.

An address that does not answer within HEAD_START_S gets company: the next one is tried beside it, and the
first that connects wins (RFC 8305 §5, in its simple form). Order and finality are decided in mx.py.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from enum import Enum
from typing import Final

from columba.common import limits
from columba.common.clock import from_now
from columba.common.dns.mx import (
    Addresses,
    MxHosts,
    MxProblem,
    host_addresses,
    mx_hosts,
    no_addresses,
)
from columba.common.dns.resolver import Answer, RecordType, Resolver, Status
from columba.common.net.stream import Stream, StreamError, StreamLateError, open_tcp, open_unix
from columba.delivery.health import Health
from columba.delivery.source import Source
from columba.delivery.target import Endpoint, Target, literal_address

HEAD_START_S: Final = 0.25
LOOKUP_S: Final = 10.0


class Families(Enum):
    """Which address families are used, and which one is tried first (`inet_preference`)."""

    IPV6 = "ipv6"
    IPV4 = "ipv4"
    IPV6_ONLY = "ipv6-only"
    IPV4_ONLY = "ipv4-only"


class Finder:
    """Looks up where targets are."""

    def __init__(
        self,
        resolver: Resolver,
        own_names: frozenset[str],
        chance: random.Random,
        families: Families,
        hosts_max: int = limits.MX_HOSTS,
    ) -> None:
        self._resolver, self._own_names = resolver, own_names
        self._chance, self._families, self._hosts_max = chance, families, hosts_max

    async def hosts(self, target: Target, deadline_ns: int) -> tuple[str, ...] | MxProblem:
        """Return the names of the hosts to try, best first."""
        if target.kind != "mx":
            return (target.name,)
        until_ns = _earlier(deadline_ns, LOOKUP_S)
        answer = await self._resolver.query(target.name, RecordType.MX, until_ns)
        found = mx_hosts(
            target.name, answer, self._chance.shuffle, self._own_names, self._hosts_max
        )
        return found.hosts if isinstance(found, MxHosts) else found

    async def endpoints(
        self, target: Target, host: str, deadline_ns: int
    ) -> tuple[Endpoint, ...] | MxProblem:
        """Return the places of one host, in the order to try; MxProblem when it has none."""
        if target.kind == "unix":
            return (Endpoint("", target.name, 0),)
        literal = literal_address(host)
        if literal:
            return (Endpoint(host, literal, target.port),)
        found = await self._addresses(host, deadline_ns)
        if not found.addresses:
            return no_addresses(target.name, [f"{host}: {found.reason}"])
        return tuple(Endpoint(host, address, target.port) for address in found.addresses)

    async def _addresses(self, host: str, deadline_ns: int) -> Addresses:
        until_ns = _earlier(deadline_ns, LOOKUP_S)
        ipv4, ipv6 = await asyncio.gather(
            self._ask(host, RecordType.A, Families.IPV6_ONLY, until_ns),
            self._ask(host, RecordType.AAAA, Families.IPV4_ONLY, until_ns),
        )
        is_ipv6_first = self._families in (Families.IPV6, Families.IPV6_ONLY)
        return host_addresses(ipv4, ipv6, is_ipv6_first, limits.MX_ADDRESSES)

    async def _ask(self, host: str, kind: RecordType, unless: Families, until_ns: int) -> Answer:
        if self._families is unless:
            return Answer(Status.NO_DATA, secure=True, name=host)
        return await self._resolver.query(host, kind, until_ns)


async def connect(
    endpoints: Sequence[Endpoint],
    source: Source,
    timeout_s: float,
    deadline_ns: int,
    health: Health,
) -> tuple[Stream, Endpoint]:
    """Return a connection to the first of the endpoints that answers; each has timeout_s.

    Raises StreamError when none does, StreamLateError when the deadline came first.
    """
    tries: dict[asyncio.Task[Stream], Endpoint] = {}
    errors: list[StreamError] = []
    waiting = list(endpoints)
    try:
        while waiting or tries:
            if waiting:
                endpoint = waiting.pop(0)
                work = _open(endpoint, source, _earlier(deadline_ns, timeout_s), health)
                tries[asyncio.ensure_future(work)] = endpoint
            head_start_s = HEAD_START_S if waiting else None  # each try has its own deadline
            done, _ = await asyncio.wait(
                tries, timeout=head_start_s, return_when=asyncio.FIRST_COMPLETED
            )
            finished = [(task, tries.pop(task)) for task in done]
            connected = [(task.result(), at) for task, at in finished if not _error(task)]
            for stream, _ in connected[1:]:
                stream.abort()
            if connected:
                return connected[0]
            errors += [error for task, _ in finished if (error := _error(task))]
    finally:
        await _give_up(tries)
    if time.monotonic_ns() >= deadline_ns:
        raise StreamLateError(str(errors[-1]))
    raise errors[-1]


def _error(task: "asyncio.Task[Stream]") -> StreamError | None:
    """Return why a try failed, None when it did not. Raises what is no error of a connection."""
    error = task.exception()
    if error is None or isinstance(error, StreamError):
        return error
    raise error


async def _open(endpoint: Endpoint, source: Source, until_ns: int, health: Health) -> Stream:
    began_ns = time.monotonic_ns()
    try:
        if not endpoint.port:
            return await open_unix(endpoint.address, until_ns)
        local = source.address_for(endpoint.address)
        return await open_tcp(endpoint.address, endpoint.port, local, until_ns)
    except StreamError:
        now_ns = time.monotonic_ns()
        health.failed(endpoint, now_ns - began_ns, now_ns)
        raise


async def _give_up(tries: "dict[asyncio.Task[Stream], Endpoint]") -> None:
    """End the tries that lost, and close what still connected."""
    for task in tries:
        task.cancel()
    for task in tries:
        with contextlib.suppress(asyncio.CancelledError, StreamError):
            (await task).abort()


def _earlier(deadline_ns: int, seconds: float) -> int:
    return min(deadline_ns, from_now(seconds))
