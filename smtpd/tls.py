"""TLS as a server: contexts from what the master hands over, at birth and at each change.

TLS 1.2 is the least (RFC 8996). The name that a client asks for (SNI, RFC 6066 §3) chooses the certificate: the same
name, else `*.` and the rest of it, else the default: the one without names, or the first. Client certificates are
asked for on submission listeners alone: other servers show certificates that no root of ours has signed, and
OpenSSL would end their handshakes. Sessions go on with the context that they began with, and tickets are good only
where as much is asked of clients, and the same roots are trusted: a ticket of port 25 shows no certificate.
"""

import hashlib
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from columba.common.errors import ConfigError
from columba.common.ipc.tlsfiles import TICKET_OCTETS, Pair, TlsFiles
from columba.common.net import openssl

EXPORTER: Final = b"EXPORTER-Channel-Binding"  # RFC 9266 §2
EXPORTED_OCTETS: Final = 32
_OLD_HASHES: Final = (hashes.MD5, hashes.SHA1)
_ASK: Final = {"no": ssl.CERT_NONE, "yes": ssl.CERT_OPTIONAL, "require": ssl.CERT_REQUIRED}


@dataclass(frozen=True, slots=True)
class ClientCerts:
    """Whether submission asks for client certificates (no, yes, require), and which field names the user."""

    ask: str = "no"
    field: str = "commonName"


class _Context(ssl.SSLContext):
    """A context that knows the hash of its certificate."""

    end_point = b""  # RFC 5929 §4.1


@dataclass(frozen=True, slots=True)
class _Contexts:
    """The default contexts; both choose by name."""

    plain: _Context
    asking: _Context


class ServerTls:
    """The present contexts. It is false while there is no certificate."""

    def __init__(self, files: TlsFiles, clients: ClientCerts) -> None:
        """Raises ConfigError for certificates that can't be used."""
        self._clients = clients
        self._contexts: _Contexts | None = None
        self.replace(files)

    def __bool__(self) -> bool:
        """Tell whether there is a certificate."""
        return self._contexts is not None

    def replace(self, files: TlsFiles) -> None:
        """Take new certificates for connections that come. Raises ConfigError, and keeps the old ones."""
        if not files.pairs:
            self._contexts = None
            return
        plain = _load(files, ssl.CERT_NONE)
        ask = _ASK[self._clients.ask]
        self._contexts = _Contexts(plain, _load(files, ask) if ask else plain)

    def context(self, *, asks: bool) -> ssl.SSLContext:
        """Return the context of a new connection; asks = of a submission listener."""
        contexts = self._contexts  # replace() may run in a thread
        assert contexts is not None
        return contexts.asking if asks else contexts.plain

    def user_of(self, connection: ssl.SSLObject) -> str:
        """Return the user whom a verified client certificate names, "" if there is none."""
        if self._clients.ask == "no":
            return ""
        found = connection.getpeercert() or {}
        if self._clients.field == "rfc822Name":
            names = found.get("subjectAltName", ())
            return next((str(n[1]) for n in names if n[0] == "email"), "")
        pairs = [pair for part in found.get("subject", ()) for pair in part]
        return next((str(p[1]) for p in reversed(pairs) if p[0] == self._clients.field), "")


def bindings(connection: ssl.SSLObject | None) -> Mapping[str, bytes]:
    """Return what a client may bind its authentication to: tls-exporter and tls-server-end-point."""
    if connection is None or not isinstance(connection.context, _Context):
        return {}
    found = {}
    exported = openssl.export_key(connection, EXPORTER, EXPORTED_OCTETS)
    if exported is not None:
        found["tls-exporter"] = exported
    if connection.context.end_point:
        found["tls-server-end-point"] = connection.context.end_point
    return found


def choose(name: str, named: Mapping[str, _Context]) -> _Context | None:
    """Return the context for a name asked for, None for the default."""
    asked = name.lower().rstrip(".")
    return named.get(asked) or named.get("*." + asked.partition(".")[2])


def _load(files: TlsFiles, ask: ssl.VerifyMode) -> _Context:
    """Return the default context, which leads to the others."""
    default: _Context | None = None
    named: dict[str, _Context] = {}
    for pair in files.pairs:
        context = _context(pair, files, ask)
        if default is None or not pair.names:
            default = context
        named.update({name.lower(): context for name in pair.names})
    assert default is not None
    if named:
        default.sni_callback = lambda connection, name, _: _switch(connection, name, named)
    return default


def _switch(connection: ssl.SSLObject, name: str | None, named: Mapping[str, _Context]) -> None:
    found = choose(name or "", named)
    if found is not None:
        connection.context = found


def _context(pair: Pair, files: TlsFiles, ask: ssl.VerifyMode) -> _Context:
    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 1
    try:
        _load_chain(context, pair)
        context.end_point = _end_point(pair.cert)
        if ask:
            context.verify_mode = ask
            context.load_verify_locations(cadata=files.trust.decode("ascii", "replace"))
    except (OSError, ValueError, ssl.SSLError) as error:
        names = ", ".join(pair.names) or "the default name"
        raise ConfigError(f"The certificate for {names} can't be used: {error}") from error
    if len(files.tickets) == TICKET_OCTETS:
        openssl.share_tickets(context, _ticket_keys(files, ask))
    return context


def _ticket_keys(files: TlsFiles, ask: ssl.VerifyMode) -> bytes:
    """Return the keys of one kind of context: OpenSSL takes a ticket for proof of all that the handshake asks."""
    trust = hashlib.sha256(files.trust).digest() if ask else b""
    return hashlib.shake_256(files.tickets + bytes([ask]) + trust).digest(TICKET_OCTETS)


def _load_chain(context: ssl.SSLContext, pair: Pair) -> None:
    """Load from memory: the module takes paths alone, so memfds of our own give some."""
    opened: list[int] = []
    try:
        for content in (pair.cert, pair.key):
            opened.append(os.memfd_create("tls", os.MFD_CLOEXEC))
            os.write(opened[-1], content)
        context.load_cert_chain(*(f"/proc/self/fd/{fd}" for fd in opened))
    finally:
        for fd in opened:
            os.close(fd)


def _end_point(cert: bytes) -> bytes:
    """RFC 5929 §4.1: the certificate's hash by its signature's algorithm, SHA-256 for the broken ones."""
    leaf = x509.load_pem_x509_certificates(cert)[0]
    try:
        algorithm = leaf.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return b""
    if algorithm is None:  # Ed25519 names none: the binding is undefined
        return b""
    if isinstance(algorithm, _OLD_HASHES):
        algorithm = hashes.SHA256()
    return leaf.fingerprint(algorithm)
