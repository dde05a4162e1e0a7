"""Addresses of the envelope: RFC 5321 paths and mailboxes, as bytes.

Pure. An address is bytes without angle brackets, as the client wrote it (b"" is the null sender); the
domain may be an address literal. What equals what is decided by canonical(); whether an address exists
is nobody's business here.
"""

import ipaddress

import idna

from columba.common import limits
from columba.common.errors import RemoteProtocolError
from columba.common.smtp import abnf, codes
from columba.common.smtp.codes import Reply


class SyntaxProblem(RemoteProtocolError):  # it names what the client made
    """A command or a parameter that does not parse; `reply` says so to the client."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.one_line())
        self.reply = reply


def parse_sender(text: bytes) -> tuple[bytes, int]:
    """Return the address of the reverse path at the start of text and where it ends.

    Raises SyntaxProblem. RFC 5321 §4.1.1.2; "<>" gives b"".
    """
    if text.startswith(b"<>"):
        return b"", 2
    return _mailbox(text, codes.BAD_PATH)


def parse_recipient(text: bytes) -> tuple[bytes, int]:
    """Return the address of the forward path at the start of text and where it ends.

    `<postmaster>` in any case and without domain is an address (RFC 5321 §4.5.1). Raises SyntaxProblem.
    """
    if found := abnf.POSTMASTER.match(text):
        return found[1], found.end()
    return _mailbox(text, codes.BAD_RECIPIENT)


def is_mailbox(address: bytes) -> bool:
    """Tell whether address is a complete mailbox within the limits of RFC 5321 §4.5.3.1."""
    found = abnf.MAILBOX.fullmatch(address)
    return found is not None and _problem(found[1], found[2]) is None


def split(address: bytes) -> tuple[bytes, bytes]:
    """Return local part and domain; the domain is b"" for b"" and for a bare `postmaster`."""
    local, at, domain = address.rpartition(b"@")
    return (local, domain) if at else (domain, b"")


def canonical(address: bytes) -> bytes:
    """Return the form under which two addresses are the same mailbox.

    The domain in lower case, a quoted local part without needless quotes (RFC 5321 §4.1.2); the case of
    the local part is kept.
    """
    local, domain = split(address)
    if local.startswith(b'"') and local.endswith(b'"') and len(local) >= 2:
        plain = _unescape(local[1:-1])
        found = abnf.LOCAL_PART.fullmatch(plain)
        local = plain if found and not plain.startswith(b'"') else _quote(plain)
    return local + b"@" + domain.lower() if domain else local


def with_ascii_domain(address: bytes) -> bytes:
    """Return an address with its domain in A-labels; unchanged where that does not help or can't be done.

    RFC 6531 §3.2: an address whose local part is ASCII can so be said to a server without SMTPUTF8.
    """
    local, domain = split(address)
    if domain.isascii() or not local.isascii():
        return address
    try:
        return local + b"@" + a_labels(domain.decode()).encode()
    except UnicodeError:
        return address


def a_labels(domain: str) -> str:
    """Return a domain in A-labels, as it stands in the DNS (RFC 5891, folded as RFC 5895 says).

    Raises UnicodeError for one that can't stand there.
    """
    return idna.encode(domain, uts46=True).decode("ascii")  # idna.IDNAError is a UnicodeError


def needs_smtputf8(address: bytes) -> bool:
    """Tell whether an address can travel only with SMTPUTF8 (RFC 6531)."""
    return not address.isascii()


def is_literal(domain: bytes) -> bool:
    """Tell whether a domain is an address literal, `[192.0.2.1]`."""
    return domain.startswith(b"[")


def literal_address(domain: bytes) -> str:
    """Return the IP address of a literal as text. Raises ValueError for what is no IP address."""
    inner = domain.removeprefix(b"[").removesuffix(b"]").decode("ascii")
    if inner[:5].lower() == "ipv6:":
        return str(ipaddress.IPv6Address(inner[5:]))
    return str(ipaddress.IPv4Address(inner))


def _mailbox(text: bytes, bad: Reply) -> tuple[bytes, int]:
    found = abnf.PATH.match(text)
    if found is None:
        raise SyntaxProblem(bad)
    if problem := _problem(found[1], found[2]):
        raise SyntaxProblem(codes.LOCAL_PART_TOO_LONG if problem == "local" else bad)
    return text[found.start(1) : found.end(2)], found.end()


def _problem(local: bytes, domain: bytes) -> str | None:
    if len(local) > limits.LOCAL_PART:
        return "local"
    if len(domain) > limits.DOMAIN or len(local) + len(domain) + 1 > limits.PATH:
        return "length"
    if is_literal(domain):
        try:
            literal_address(domain)
        except ValueError:
            return "literal"
    elif len(domain) > 63 and any(len(label) > 63 for label in domain.split(b".")):
        return "label"
    if not (local.isascii() and domain.isascii()) and not _is_utf8(local + domain):
        return "utf8"
    return None


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _unescape(text: bytes) -> bytes:
    out, n = bytearray(), 0
    while n < len(text):
        n += text[n] == 0x5C and n + 1 < len(text)
        out.append(text[n])
        n += 1
    return bytes(out)


def _quote(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
