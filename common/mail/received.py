"""The Received field: how it is written, and loops.

Pure: RFC 5321 §4.4 (time stamp), RFC 3848 and 6531 §3.7 and 8314 §7.4 (`with` and `tls`).
What goes in is checked here: no name that a client gave can end a clause, add one, or add a
field. Old fields are counted and searched for own names, never rewritten.
"""

import re
from dataclasses import dataclass
from typing import Final

from columba.common.limits import RECEIVED_FIELDS
from columba.common.mail.date import format_date
from columba.common.mail.header import Header

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._:\[\]+=/@!#$%&'*?^`{|}~\x80-\U0010ffff-]")
_UNSAFE_COMMENT: Final = re.compile(r"[^ A-Za-z0-9._:\[\]+=/@-]")
_BY: Final = re.compile(rb"(?:^|[\s)])by[\s]+([A-Za-z0-9._-]{1,255})", re.IGNORECASE)
_NAME_LENGTH: Final = 255


@dataclass(frozen=True, slots=True)
class Hop:
    """What one Received field says. Empty text leaves its clause out.

    helo is what the client called itself, name its verified host name ("" is "unknown"), address its
    IP address without brackets; by is our host name; id the message id; recipient only if it is the
    one recipient (more would tell each about the others); wall_s seconds since 1970.
    """

    helo: str
    name: str
    address: str
    by: str
    id: str
    wall_s: float
    is_esmtp: bool = True
    is_lmtp: bool = False
    is_utf8: bool = False
    is_authenticated: bool = False
    tls_version: str = ""
    tls_cipher: str = ""
    recipient: str = ""
    is_tls_told: bool = True


def protocol(hop: Hop) -> str:
    """Return the word after `with` (RFC 3848, RFC 6531 §4.3)."""
    if not (hop.is_esmtp or hop.is_lmtp):
        return "SMTP"
    base = "LMTP" if hop.is_lmtp else "SMTP" if hop.is_utf8 else "ESMTP"
    suffix = ("S" if hop.tls_version else "") + ("A" if hop.is_authenticated else "")
    return ("UTF8" if hop.is_utf8 else "") + base + suffix


def received(hop: Hop) -> bytes:
    """Return the raw field, folded, with its last CRLF."""
    who = _name(hop.helo) or "unknown"
    tcp = f"{_name(hop.name)} " if hop.name else ""
    source = f"from {who} ({tcp}[{_literal(hop.address)}])" if hop.address else f"from {who}"
    lines = [f"Received: {source}", f"by {_name(hop.by)} with {protocol(hop)} id {_name(hop.id)}"]
    if hop.tls_version and hop.is_tls_told:
        lines.append(_tls(hop.tls_version, hop.tls_cipher))
    if hop.recipient:
        lines.append(f"for <{_UNSAFE.sub('?', hop.recipient)}>")
    folded = "\r\n\t".join(lines)
    return f"{folded};\r\n\t{format_date(hop.wall_s)}\r\n".encode()


def count_hops(header: Header) -> int:
    """Return how many hops a mail has made (RFC 5321 §6.3)."""
    return header.count("Received")


def passages(header: Header, own_name: str) -> int:
    """Return how many Received fields say that the host of this name wrote them."""
    wanted = own_name.lower().encode("ascii", "replace")
    found = 0
    for field in header.get_all("Received"):
        match = _BY.search(field.unfolded)
        found += match is not None and match[1].lower().rstrip(b".") == wanted
    return found


def is_looping(
    header: Header, own_name: str, limit: int = RECEIVED_FIELDS, own_limit: int = 10
) -> bool:
    """Tell whether a mail is to be refused with 5.4.6 because it goes in circles.

    A mail may pass one host several times for good reasons (filters, lists, forwarding and back), so
    own_limit is not 1; limit bounds circles of which we see only a part.
    """
    return count_hops(header) > limit or passages(header, own_name) > own_limit


def _tls(version: str, cipher: str) -> str:
    """RFC 8314 §4.3: the clause `tls` takes a registered name; others stand in a comment."""
    if cipher.startswith("TLS_"):
        return f"tls {_name(cipher)} ({_comment(version)})"
    return f"({_comment(version)} {_comment(cipher)})"


def _name(text: str) -> str:
    return _UNSAFE.sub("?", text[:_NAME_LENGTH])


def _literal(address: str) -> str:
    """Return an IP address as in an address literal (RFC 5321 §4.1.3)."""
    clean = re.sub(r"[^0-9A-Fa-f.:]", "", address)
    return f"IPv6:{clean}" if ":" in clean else clean


def _comment(text: str) -> str:
    return _UNSAFE_COMMENT.sub("?", text[:_NAME_LENGTH])
