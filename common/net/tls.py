"""TLS contexts for connections that we make.

Two kinds: encrypt only (the certificate is not looked at: opportunistic, RFC 7435), and verify (a chain to a
trusted root and the host's name). TLS 1.2 is the least (RFC 8996). A context is made once per process and kind,
because reading the trusted roots takes tens of milliseconds.
"""

import ssl

from columba.common.net.check import Check


def client_context(check: Check, ca_file: str = "") -> ssl.SSLContext:
    """Return a new context; ca_file replaces the system's trusted roots. Raises OSError, ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    match check:
        case Check.NOTHING:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        case Check.NAME:
            if ca_file:
                context.load_verify_locations(ca_file)
            else:
                context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context
