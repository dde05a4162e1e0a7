"""TLS handshakes in memory."""

import ssl
from dataclasses import dataclass


@dataclass
class Met:
    """Both ends after the handshake."""

    client: ssl.SSLObject
    server: ssl.SSLObject

    @property
    def names(self) -> set[str]:
        """Return the names of the certificate that the client was shown."""
        found = self.client.getpeercert() or {}
        return {str(pair[1]) for pair in found.get("subjectAltName", ())}


def client_context(*trusted: bytes) -> ssl.SSLContext:
    """Return a context that trusts these certificates (PEM)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata="\n".join(cert.decode() for cert in trusted))
    return context


def meet(
    server: ssl.SSLContext,
    client: ssl.SSLContext,
    name: str | None = None,
    session: ssl.SSLSession | None = None,
) -> Met:
    """Shake hands, and let the client read its session ticket. Raises ssl.SSLError."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(down, up, server_hostname=name, session=session)
    two = server.wrap_bio(up, down, server_side=True)
    waiting = [one, two]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                continue
    assert not waiting
    two.write(b"x")
    assert one.read(1) == b"x"
    return Met(one, two)
