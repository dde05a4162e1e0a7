"""What a submission server adds to a mail, and what it leaves unsaid (RFC 6409 §8).

Pure. Nothing that the author wrote is changed.
"""

import dataclasses

from columba.common.mail.date import format_date
from columba.common.mail.header import Header
from columba.common.mail.received import Hop


def missing_fields(header: Header, id: str, hostname: str, wall_s: float) -> bytes:
    """Return raw fields for what every mail must or should have and this one lacks (RFC 6409 §8.2, §8.3)."""
    date = b"" if header.count("Date") else f"Date: {format_date(wall_s)}\r\n".encode()
    if header.count("Message-ID"):
        return date
    return date + f"Message-ID: <{id}@{hostname}>\r\n".encode()


def hidden(hop: Hop) -> Hop:
    """Return what Received says when it is not to tell where the author sits.

    The word after `with` stays: that the author has logged in is what the next servers want to know.
    """
    return dataclasses.replace(hop, helo="", name="", address="", is_tls_told=False)
