"""TLS as a server: contexts from the certificates that the master hands over as memfds.

TLS 1.2 is the least (RFC 8996). The name that a client asks for (SNI) chooses the certificate; one without
names, else the first, is the default.
"""

import ssl
from collections.abc import Sequence

from columba.common.errors import ConfigError
from columba.common.ipc.master import Certificate


def server_context(certificates: Sequence[Certificate]) -> ssl.SSLContext | None:
    """Return the context of the default certificate, None if there is none. Raises ConfigError."""
    if not certificates:
        return None
    default: ssl.SSLContext | None = None
    named: dict[str, ssl.SSLContext] = {}
    for certificate in certificates:
        context = _load(certificate)
        if default is None or not certificate.names:
            default = context
        named.update({name.lower(): context for name in certificate.names})
    assert default is not None
    if named:
        default.sni_callback = lambda connection, name, _: _choose(connection, name, named)
    return default


def _choose(connection: ssl.SSLObject, name: str | None, named: dict[str, ssl.SSLContext]) -> None:
    found = named.get((name or "").lower())
    if found is not None:
        connection.context = found


def _load(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Opened anew by path, so that every process reads the memfd from its start.
        context.load_cert_chain(
            f"/proc/self/fd/{certificate.cert_fd}", f"/proc/self/fd/{certificate.key_fd}"
        )
    except (OSError, ssl.SSLError) as error:
        names = ", ".join(certificate.names) or "the default name"
        raise ConfigError(f"The certificate for {names} can't be used: {error}") from error
    return context
