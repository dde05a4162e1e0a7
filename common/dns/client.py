"""Ask the configured name servers, with dnspython.

The servers are recursive resolvers (or, in tests, an authoritative server on a port of its own). Each is
asked in turn within the deadline; the first that answers wins. The AD bit is believed only from a
server on loopback (design: DNSSEC is validated by a trusted resolver): anybody on the path could
set it elsewhere. Names are asked as they are, absolute, without a search list.
"""

import ipaddress
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
from columba.common.clock import left_s
from columba.common.dns.cache import Cache
from columba.common.dns.resolver import (
    Answer,
    MxRecord,
    Record,
    RecordType,
    Status,
    TlsaRecord,
)
from columba.common.errors import ConfigError
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.TLSA import TLSA
from dns.rdtypes.ANY.TXT import TXT

CACHE_SIZE: Final = 10_000
TRY_S: Final = 3.0  # how long one server may think before the next is asked
ROUNDS: Final = 2
PAYLOAD: Final = 1232  # octets of UDP that pass every path unfragmented
NEGATIVE_TTL_S: Final = 60  # of a negative answer that came without SOA (RFC 2308 §5)


@dataclass(frozen=True, slots=True)
class Server:
    """A name server; `address` is a literal IP address."""

    address: str
    port: int = 53

    @property
    def is_trusted(self) -> bool:
        """Tell whether its AD bit is believed."""
        return ipaddress.ip_address(self.address).is_loopback


IDNA: Final = dns.name.IDNA_2008_UTS_46  # RFC 5891; case and width are folded as RFC 5895 says


class Client:
    """A Resolver that asks real servers and remembers what they said."""

    def __init__(self, servers: Sequence[Server], cache_size: int = CACHE_SIZE) -> None:
        """Ask these servers, in this order."""
        self._servers = tuple(servers)
        self._cache = Cache(cache_size)

    async def query(self, name: str, kind: RecordType, deadline_ns: int) -> Answer:
        """Return the answer, at the latest at deadline_ns (CLOCK_MONOTONIC). Raises nothing."""
        try:
            wanted = dns.name.from_text(name.lower(), dns.name.root, IDNA)
        except (dns.exception.DNSException, UnicodeError) as error:
            return Answer(Status.NO_NAME, name=name, reason=f"not a domain name: {error}")
        key = (wanted.to_text(omit_final_dot=True), kind)
        known = self._cache.get(key, time.monotonic_ns())
        if known is not None:
            return known
        answer = await self._ask_all(wanted, kind, deadline_ns)
        self._cache.put(key, answer, time.monotonic_ns())
        return answer

    async def _ask_all(self, name: dns.name.Name, kind: RecordType, deadline_ns: int) -> Answer:
        last = Answer(Status.TIMEOUT, name=str(name), reason="no name server answered in time")
        for server in self._servers * ROUNDS:
            timeout_s = min(TRY_S, left_s(deadline_ns))
            if not timeout_s:
                break
            answer = await self._ask(server, name, kind, timeout_s)
            if not answer.is_temporary:
                return answer
            if answer.status is Status.FAILED:
                last = answer
        return last

    async def _ask(
        self, server: Server, name: dns.name.Name, kind: RecordType, timeout_s: float
    ) -> Answer:
        message = dns.message.make_query(
            name, kind.value, use_edns=0, payload=PAYLOAD, flags=dns.flags.RD | dns.flags.AD
        )
        try:
            reply, _ = await dns.asyncquery.udp_with_fallback(
                message, server.address, timeout=timeout_s, port=server.port, ignore_errors=True
            )
        except dns.exception.Timeout:
            return Answer(Status.TIMEOUT, name=str(name), reason=f"{server.address} is silent")
        except (dns.exception.DNSException, OSError, EOFError) as error:
            return Answer(Status.FAILED, name=str(name), reason=f"{server.address}: {error}")
        return _read(reply, server)


def parse_server(text: str) -> Server:
    """Return the server of "192.0.2.1", "192.0.2.1:5353", "2001:db8::1" or "[2001:db8::1]:5353".

    Raises ValueError.
    """
    address, port = text, "53"
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} has no valid port")
    return Server(str(ipaddress.ip_address(address)), int(port))


def system_servers(path: str = "/etc/resolv.conf") -> tuple[Server, ...]:
    """Return the machine's name servers, loopback when the file names none. Reads one small file."""
    try:
        lines = Path(path).read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    found: list[Server] = []
    for words in (line.split() for line in lines):
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                ipaddress.ip_address(words[1])
            except ValueError:
                continue
            found.append(Server(words[1]))
    return tuple(found) or (Server("127.0.0.1"),)


def name_servers(words: Sequence[str]) -> tuple[Server, ...]:
    """Return the name servers that dns_servers names, else the system's. Raises ConfigError."""
    try:
        return tuple(parse_server(word) for word in words) or system_servers()
    except ValueError as error:
        raise ConfigError(f"dns_servers: {error}") from error


def _read(reply: dns.message.Message, server: Server) -> Answer:
    """Turn a reply message into an answer (RFC 2308 §2: NXDOMAIN and no data)."""
    secure = bool(reply.flags & dns.flags.AD) and server.is_trusted
    code = reply.rcode()
    name = str(reply.question[0].name) if reply.question else ""
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return Answer(Status.FAILED, name=name, reason=dns.rcode.to_text(code))
    if not isinstance(reply, dns.message.QueryMessage):
        return Answer(Status.FAILED, name=name, reason="the answer is no answer to a query")
    try:
        chain = reply.resolve_chaining()
    except dns.exception.DNSException as error:  # a loop of CNAMEs, two of them, a foreign question
        return Answer(Status.FAILED, name=name, reason=str(error))
    end = _host(chain.canonical_name)
    if chain.answer is None:
        has_soa = any(rrset.rdtype == dns.rdatatype.SOA for rrset in reply.authority)
        ttl_s = chain.minimum_ttl if has_soa else NEGATIVE_TTL_S
        status = Status.NO_NAME if code == dns.rcode.NXDOMAIN else Status.NO_DATA
        return Answer(status, (), secure, ttl_s, end)
    records = tuple(_record(item) for item in chain.answer)
    return Answer(Status.FOUND, records, secure, chain.minimum_ttl, end)


def _record(item: dns.rdata.Rdata) -> Record:
    match item:
        case MX():
            return MxRecord(int(item.preference), _host(item.exchange))
        case TXT():
            return b"".join(item.strings)
        case TLSA():
            kinds = (int(item.usage), int(item.selector), int(item.mtype))
            return TlsaRecord(*kinds, bytes(item.cert))
        case PTR() | CNAME():
            return _host(item.target)
        case _:
            return item.to_text()


def _host(name: dns.name.Name) -> str:
    """Return a name in lower case without the last dot; the root is the empty string."""
    return name.to_text(omit_final_dot=True).lower().rstrip(".")
