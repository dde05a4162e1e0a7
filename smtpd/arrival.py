"""From a new transport to a Session: who came, over which TLS.

A proxy that we believe has said who the client really is (proxied.py): then its words count, not the socket's.
"""

import asyncio
import os
import ssl
import time
from asyncio import BaseTransport
from dataclasses import dataclass

from columba.smtpd.listening import Profile
from columba.smtpd.session import Networks, Session, is_within
from columba.smtpd.tls import ServerTls


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of a connection; an ip is "" where there is none."""

    ip: str = ""
    port: int = 0
    local_ip: str = ""
    local_port: int = 0


def make_session(
    transport: BaseTransport, profile: Profile, trusted: Networks, said: Ends | None
) -> Session:
    """Return the session of a new connection; said is what a trusted proxy said, None if nobody did."""
    ends = said or ends_of(transport)
    session = Session(os.urandom(8).hex(), profile.listener.name, profile.role)
    session.peer_ip = session.ip = ends.ip
    session.port = ends.port
    session.local_ip, session.local_port = ends.local_ip, ends.local_port
    session.hides_client = profile.settings.submission_hide_client
    session.since_s = time.time()
    session.in_trusted_network = is_within(session.ip, trusted)
    return session


def ends_of(transport: BaseTransport) -> Ends:
    """Return the ends of a transport's socket."""
    peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    if not (isinstance(peer, tuple) and isinstance(local, tuple)):
        return Ends()
    return Ends(plain_ip(str(peer[0])), int(peer[1]), plain_ip(str(local[0])), int(local[1]))


def note_tls(transport: BaseTransport, tls: ServerTls, session: Session) -> ssl.SSLObject | None:
    """Write a finished handshake into the session; return what knows the details."""
    secure = transport.get_extra_info("ssl_object")
    if not isinstance(secure, ssl.SSLObject):
        return None
    cipher = secure.cipher()
    session.tls_started(secure.version() or "", cipher[0] if cipher else "", tls.user_of(secure))
    return secure


async def begin_tls(
    transport: asyncio.Transport,
    protocol: asyncio.Protocol,
    context: ssl.SSLContext,
    timeout_s: float,
) -> asyncio.Transport | str:
    """Return the transport inside TLS after STARTTLS, or why there is none."""
    if transport.is_closing():  # the event loops would wait for its handshake for ever
        return "closed"
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            made = await loop.start_tls(
                transport, protocol, context, server_side=True, ssl_handshake_timeout=timeout_s
            )
    except (OSError, TimeoutError, EOFError) as error:
        return str(error) or "closed"
    return made or "closed"


def plain_ip(text: str) -> str:
    """Return an address without its zone, and an IPv4-mapped one as IPv4."""
    mapped = text.removeprefix("::ffff:")
    return mapped if "." in mapped and ":" not in mapped else text.partition("%")[0]
