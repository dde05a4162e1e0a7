"""Read the PROXY header of a client that comes through a proxy.

It is read from the bare socket, octet-exact, before a transport exists: the client's TLS handshake may stand in the
same segment. A proxy that is not trusted is not heard, for it could claim any address.
"""

import asyncio
import socket

from columba.common.errors import RemoteProtocolError
from columba.common.net.proxy import Proxied, ProxyReader
from columba.smtpd.accepting import peer_of
from columba.smtpd.arrival import Ends, plain_ip
from columba.smtpd.session import Networks, is_within


async def read_header(accepted: socket.socket, trusted: Networks, timeout_s: float) -> Ends | None:
    """Return what the proxy says of both ends, None if it speaks for itself.

    Raises RemoteProtocolError, TimeoutError, OSError.
    """
    if not is_within(plain_ip(peer_of(accepted)), trusted):
        raise RemoteProtocolError("not in haproxy_trusted_networks")
    loop, reader = asyncio.get_running_loop(), ProxyReader()
    async with asyncio.timeout(timeout_s):
        while reader.wants:
            data = await loop.sock_recv(accepted, reader.wants)
            if not data:
                raise RemoteProtocolError("closed before the PROXY header")
            reader.feed(data)
    found = reader.result or Proxied()
    if not found.is_known:
        return None
    return Ends(found.ip, found.port, found.local_ip, found.local_port)
