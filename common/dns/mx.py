"""Which hosts take the mail of a domain, and in which order.

Pure: answers and a source of randomness go in; a list of hosts or one reason why there is none comes
out. It never decides that mail is refused for good except where the DNS says so for certain: a name
that does not exist, a null MX, or a best MX that is this server. Whatever may be a passing fault of the DNS is
temporary.
Sources: RFC 5321 §5.1, RFC 7505 (null MX), RFC 7504 (556), RFC 3463 (enhanced codes).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from columba.common.dns.resolver import Answer, MxRecord, Status

Shuffle = Callable[[list[MxRecord]], None]  # random.Random(…).shuffle


@dataclass(frozen=True, slots=True)
class MxHosts:
    """Hosts to try, best first; never empty. `secure`: the MX answer was validated by DNSSEC."""

    hosts: tuple[str, ...]
    secure: bool


@dataclass(frozen=True, slots=True)
class MxProblem:
    """Why no host can be tried: `permanent` only for NXDOMAIN, null MX, and an MX that is ourselves."""

    permanent: bool
    code: int
    enhanced: str
    text: str
    alert: bool = False


@dataclass(frozen=True, slots=True)
class Addresses:
    """A host's addresses in the order to try; empty when `reason` says why."""

    addresses: tuple[str, ...]
    secure: bool
    reason: str = ""


def mx_hosts(
    domain: str, answer: Answer, shuffle: Shuffle, own_names: frozenset[str], limit: int
) -> MxHosts | MxProblem:
    """Return the hosts of a domain from the answer to its MX question.

    own_names: host names of this server in lower case; hosts that are no better than ourselves are
    not tried (RFC 5321 §5.1, the loop). limit: the most hosts to return.
    """
    if answer.status is Status.NO_NAME:
        return MxProblem(True, 550, "5.1.2", f"Domain {domain} does not exist")
    if answer.is_temporary:
        text = f"MX of {domain} can't be looked up now ({answer.status.value})"
        return MxProblem(False, 451, "4.4.3", text)
    records = answer.mx()
    if not records:
        if domain.lower() in own_names:
            return loop_of(domain)
        return MxHosts((domain.lower(),), answer.secure)
    real = [record for record in records if record.host]
    if not real:  # RFC 7505 §3: one record, "." as host
        return MxProblem(True, 556, "5.1.10", f"Domain {domain} does not accept mail (null MX)")
    better = _better_than_us(real, own_names)
    if not better:
        return loop_of(domain)
    return MxHosts(_ordered(better, shuffle)[:limit], answer.secure)


def host_addresses(ipv4: Answer, ipv6: Answer, ipv6_first: bool, limit: int) -> Addresses:
    """Return a host's addresses, both families in turn, so that one dead family costs one try."""
    first, second = (ipv6, ipv4) if ipv6_first else (ipv4, ipv6)
    pairs = zip_longest(sorted(first.names()), sorted(second.names()))
    mixed = tuple(address for pair in pairs for address in pair if address is not None)
    asked = [answer for answer in (ipv4, ipv6) if answer.records]
    if mixed:
        return Addresses(mixed[:limit], all(answer.secure for answer in asked))
    failed = next((answer for answer in (ipv4, ipv6) if answer.is_temporary), None)
    reason = f"look-up {failed.status.value}" if failed is not None else "no address"
    return Addresses((), ipv4.secure and ipv6.secure, reason)


def loop_of(domain: str) -> MxProblem:
    """Return the problem of a domain whose mail comes to us although we do not serve it (RFC 5321 §5.1)."""
    text = f"MX of {domain} points to this server, which does not serve it"
    return MxProblem(True, 554, "5.4.6", text, alert=True)


def no_addresses(domain: str, reasons: Sequence[str]) -> MxProblem:
    """Return the problem of a domain none of whose hosts has an address: always temporary."""
    detail = "; ".join(reasons[:3])
    return MxProblem(False, 451, "4.4.4", f"No mail host of {domain} has an address ({detail})")


def _better_than_us(records: list[MxRecord], own_names: frozenset[str]) -> list[MxRecord]:
    ours = [record.preference for record in records if record.host in own_names]
    if not ours:
        return records
    return [record for record in records if record.preference < min(ours)]


def _ordered(records: Iterable[MxRecord], shuffle: Shuffle) -> tuple[str, ...]:
    """Sort by preference, equal ones shuffled, each host once (its best place)."""
    mixed = list(records)
    shuffle(mixed)
    mixed.sort(key=lambda record: record.preference)
    return tuple(dict.fromkeys(record.host for record in mixed))
