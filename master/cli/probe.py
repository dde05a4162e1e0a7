"""Look at a mail server as a client sees it: banner, extensions, TLS, certificates; no mail is sent.

A first connection checks the certificate as `tls verify` would. When that fails, a second one looks at what
the server shows all the same.
"""

import datetime
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from columba.common.clock import from_now
from columba.common.dns.resolver import RecordType, Resolver
from columba.common.errors import RemoteProtocolError
from columba.common.net.check import Check
from columba.common.net.stream import Stream, StreamError, StreamTlsError, open_tcp
from columba.common.net.tls import client_context
from columba.common.smtp.client import Answer, ClientConnection, ClientEvent, ClientWait, Greeting
from columba.common.smtp.command import QUIT, STARTTLS
from columba.common.smtp.extensions import Extensions

SUBMISSIONS: Final = 465
QUIT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is probed, and how."""

    host: str
    address: str
    port: int
    helo: str
    lmtp: bool = False
    ca_file: str = ""
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Found:
    """What was seen; error says why no more was."""

    wanted: Wanted
    connect_ms: int = 0
    banner: str = ""
    hello: str = ""
    offered: Sequence[str] = ()
    offered_in_clear: Sequence[str] = ()
    tls: str = ""
    cipher: str = ""
    verified: bool = False
    verify_error: str = ""
    chain: Sequence[str] = field(default=())
    error: str = ""

    def row(self) -> dict[str, str | int | float | bool | list[str] | None]:
        """Return it for the formatters."""
        return {
            "host": self.wanted.host,
            "address": self.wanted.address,
            "port": self.wanted.port,
            "connect_ms": self.connect_ms,
            "banner": self.banner,
            "hello": self.hello,
            "extensions": list(self.offered),
            "extensions_in_clear": list(self.offered_in_clear),
            "tls": self.tls,
            "cipher": self.cipher,
            "verified": self.verified,
            "verify_error": self.verify_error,
            "chain": list(self.chain),
            "error": self.error,
        }


async def probe(wanted: Wanted) -> Found:
    """Return what a server shows."""
    found = await _look(wanted, Check.NAME)
    if not found.verify_error:
        return found
    again = await _look(wanted, Check.NOTHING)
    return replace(again, verified=False, verify_error=found.verify_error)


async def addresses_of(host: str, resolver: Resolver, timeout_s: float) -> tuple[str, ...]:
    """Return the addresses of a host, IPv6 first."""
    until_ns = from_now(timeout_s)
    ipv6 = await resolver.query(host, RecordType.AAAA, until_ns)
    ipv4 = await resolver.query(host, RecordType.A, until_ns)
    return (*ipv6.names(), *ipv4.names())


async def mx_of(domain: str, resolver: Resolver, timeout_s: float) -> tuple[str, ...]:
    """Return the MX hosts of a domain, best first, else the domain itself."""
    until_ns = from_now(timeout_s)
    answer = await resolver.query(domain, RecordType.MX, until_ns)
    records = sorted(answer.mx(), key=lambda record: (record.preference, record.host))
    return tuple(record.host for record in records if record.host) or (domain,)


async def _look(wanted: Wanted, check: Check) -> Found:
    began_ns = time.monotonic_ns()
    until_ns = began_ns + int(wanted.timeout_s * 1e9)
    found = Found(wanted)
    try:
        stream = await open_tcp(wanted.address, wanted.port, "", until_ns)
    except StreamError as error:
        return replace(found, error=str(error))
    connect_ms = (time.monotonic_ns() - began_ns) // 1_000_000
    talk = _Talk(stream, wanted, check, until_ns)
    talk.found = replace(found, connect_ms=connect_ms)
    try:
        await talk.run()
    except StreamTlsError as error:
        talk.found = replace(talk.found, verify_error=str(error))
        if check is Check.NOTHING:
            talk.found = replace(talk.found, error=str(error))
    except (StreamError, RemoteProtocolError) as error:
        talk.found = replace(talk.found, error=str(error))
    finally:
        stream.abort()
    return talk.found


class _Talk:
    """One connection; `found` grows as it goes on."""

    def __init__(self, stream: Stream, wanted: Wanted, check: Check, until_ns: int) -> None:
        self._stream, self._wanted, self._check = stream, wanted, check
        self._until_ns = until_ns
        self._smtp = ClientConnection(wanted.lmtp)
        self.found = Found(wanted)

    async def run(self) -> None:
        """Look, up to the end. Raises StreamError, RemoteProtocolError."""
        if self._wanted.port == SUBMISSIONS:
            await self._start_tls()
        greeting = await self._event()
        if not isinstance(greeting, Greeting):
            raise RemoteProtocolError("no greeting")
        self.found = replace(self.found, banner=greeting.reply.one_line())
        if greeting.reply.code != 220:
            raise RemoteProtocolError("the greeting is no welcome")
        await self._hello()
        if "STARTTLS" in self._smtp.extensions and not self._stream.tls_version:
            self.found = replace(self.found, offered_in_clear=self.found.offered)
            await self._upgrade()
            await self._hello()
        self._smtp.enqueue(QUIT)
        await self._stream.write(self._smtp.data_to_send(), self._until_ns)

    async def _hello(self) -> None:
        self._smtp.hello(self._wanted.helo.encode())
        while True:
            event = await self._event()
            if not isinstance(event, Answer) or (event.final and not event.reply.positive):
                raise RemoteProtocolError("EHLO was refused")
            if event.final:
                break
        hello = f"{event.command.verb.name} {event.reply.lines[0]}"
        self.found = replace(self.found, hello=hello, offered=_lines(self._smtp.extensions))

    async def _upgrade(self) -> None:
        self._smtp.enqueue(STARTTLS)
        event = await self._event()
        if not isinstance(event, Answer) or not event.reply.positive:
            raise RemoteProtocolError("STARTTLS was refused")
        await self._start_tls()
        self._smtp.tls_started()

    async def _start_tls(self) -> None:
        context = client_context(self._check, self._wanted.ca_file)
        await self._stream.start_tls(context, self._wanted.host, self._until_ns)
        self.found = replace(
            self.found,
            tls=self._stream.tls_version,
            cipher=self._stream.cipher,
            verified=self._check is Check.NAME,
            chain=tuple(certificate_line(der) for der in self._stream.chain()),
        )

    async def _event(self) -> ClientEvent:
        while True:
            output = self._smtp.data_to_send()
            if output:
                await self._stream.write(output, self._until_ns)
            event = self._smtp.next_event()
            if event is ClientWait.CLOSED:
                raise RemoteProtocolError("the server closed the session")
            if event is not ClientWait.NEED_DATA:
                return event
            data = await self._stream.read(self._until_ns)
            if not data:
                raise RemoteProtocolError("the server closed the connection")
            self._smtp.receive(data)


def certificate_line(der: bytes) -> str:
    """Return what matters of a certificate in one line."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = _names(certificate)
        return (
            f"{certificate.subject.rfc4514_string() or '(no subject)'};"
            f" issuer {certificate.issuer.rfc4514_string()};"
            f"{f' names {names};' if names else ''} {_key(certificate)};"
            f" {_day(certificate.not_valid_before_utc)} to {_day(certificate.not_valid_after_utc)};"
            f" sha256 {hashlib.sha256(der).hexdigest()}"
        )
    except ValueError as error:
        return f"a certificate that can't be read: {error}"


def _names(certificate: x509.Certificate) -> str:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ""
    return " ".join(found.value.get_values_for_type(x509.DNSName))


def _key(certificate: x509.Certificate) -> str:
    match certificate.public_key():
        case rsa.RSAPublicKey() as key:
            return f"RSA {key.key_size}"
        case ec.EllipticCurvePublicKey() as key:
            return f"EC {key.curve.name}"
        case key:
            return type(key).__name__.lstrip("_").removesuffix("PublicKey")


def _day(at: datetime.datetime) -> str:
    return at.strftime("%Y-%m-%d")


def _lines(offered: Extensions) -> tuple[str, ...]:
    return tuple(" ".join((keyword, *words)) for keyword, words in offered.offered.items())
