"""What mails and their clients are, as it crosses between processes: the parts that wire.py's requests are made of.

Pure. A mail's header block is all fields, each ending in CRLF, without the empty line; its body is what
follows the empty line. wire.py offers all of this under its own name.
"""

from typing import Final, Literal

import msgspec

VERSION: Final = 1


class Frozen(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Base of all: immutable, by keyword, defaults are not sent. Each subclass says frozen=True again for mypy."""


class Client(Frozen, frozen=True, kw_only=True):
    """Who spoke to smtpd. `trusted` = authenticated or in trusted_networks."""

    session: str = ""
    listener: str = ""
    protocol: str = ""  # SMTP, ESMTP, ESMTPS, ESMTPA, ESMTPSA, LMTP, UTF8SMTP…: RFC 3848, 6531
    ip: str = ""
    port: int = 0
    local_ip: str = ""
    local_port: int = 0
    name: str = ""  # of the PTR record, when it was looked up and leads back
    helo: str = ""
    login: str = ""
    tls: str = ""  # TLSv1.3
    cipher: str = ""
    trusted: bool = False
    ptr: Literal["", "confirmed", "unconfirmed", "missing", "unknown"] = ""  # "" = not looked up
    pregreet: bool = False  # it spoke before it was greeted
    errors: int = 0  # of its commands so far in this session
    refused: int = 0  # recipients refused so far in this session
    messages: int = 0  # accepted so far in this session


class Envelope(Frozen, frozen=True, kw_only=True):
    """The transaction without its recipients. sender is b"" for the null sender, never in brackets."""

    sender: bytes
    size: int = 0  # octets of the message as received
    arrived_s: float = 0.0  # wall clock
    body8: bool = False  # BODY=8BITMIME
    smtputf8: bool = False
    requiretls: bool = False
    ret: Literal["", "FULL", "HDRS"] = ""
    envid: str = ""
    hold_until_s: float = 0.0  # wall clock: not to leave before (FUTURERELEASE, RFC 4865)
    tls_optional: bool = False  # the field TLS-Required: No (RFC 8689 §5)


class Route(Frozen, frozen=True, kw_only=True):
    """Where one recipient goes."""

    kind: Literal["mx", "relay", "lmtp", "maildir", "discard"]
    host: str = (
        ""  # relay, lmtp over TCP: host or [address]; mx: a domain instead of the recipient's
    )
    port: int = 0
    path: str = ""  # lmtp: unix socket; maildir: directory below the mail root
    folder: str = ""  # maildir: folder; "" is INBOX
    create: bool = False
    use: str = ""  # maildir: a folder of this special use (RFC 8579) is taken before `folder`
    flags: tuple[str, ...] = ()
    tls: Literal["none", "may", "encrypt", "verify"] = "may"
    source: str = ""  # local address to connect from
    helo: str = ""
    auth: str = ""  # relay: name of the credentials in columba.conf to log in with
    concurrency: int = 0  # calls at a time to this destination; 0 = the setting's
    timeout_s: int = 0  # for one try; 0 = the settings' own


class Effect(Frozen, frozen=True, kw_only=True):
    """A lasting effect of a script: a write to a dict, made once when its recipient was delivered or queued.

    dict: its name in columba.conf; "" = this server's own marks. docs/decisions/0010-effects.md.
    """

    kind: Literal["set", "add", "unset"]
    key: str
    dict: str = ""
    value: str = ""  # set
    amount: int = 1  # add
    expires_s: int = 0  # from the commit on; 0 = never


class QueueWish(Frozen, frozen=True, kw_only=True):
    """What policy wants of the queue for one recipient; what is not said is as the settings have it."""

    hold: str = ""  # a reason: do not try, store and wait for an administrator
    priority: int = 0  # -9 to 9; what is higher goes first
    retry_s: tuple[int, ...] = ()  # from each failed try to the next one; the last one repeats
    expire_s: int = 0  # from arrival until it is given up
    notice_s: int = 0  # from arrival until the sender is told of the delay


class Sign(Frozen, frozen=True, kw_only=True):
    """A signature that policy asks for; an empty selector means the domain's active one. seal: an ARC set."""

    domain: str
    selector: str = ""
    seal: bool = False


class Recipient(Frozen, frozen=True, kw_only=True):
    """One recipient. Its number is unique in the message; splits of 3 are 3.1, 3.2 (common/ids.py)."""

    number: str
    address: bytes
    original: bytes = b""  # as the client's RCPT said; b"" = the same as address
    orcpt: str = ""  # RFC 3461: "rfc822;user@example"
    notify: tuple[Literal["NEVER", "SUCCESS", "FAILURE", "DELAY"], ...] = ()
    ret: Literal["", "FULL", "HDRS"] = ""  # policy's for it; "" = the envelope's
    route: Route | None = None
    pinned: bool = False  # the route stage is not run again for it
    sender: bytes | None = None  # policy's envelope sender for it; None = the envelope's
    wish: QueueWish | None = None
    sign: tuple[Sign, ...] = ()  # of the data stage, where the route stage says nothing else
    effects: tuple[Effect, ...] = ()  # of the stages before data; sieve-filter commits them


class Body(Frozen, frozen=True, kw_only=True):
    """Where the body is: in the frame after the header block, or in a spool file."""

    size: int = 0
    spool: str = ""  # file name below spool_dir


class Fenced(Frozen, frozen=True, kw_only=True):
    """What an earlier try of this recipient already reached (promises §4)."""

    original: bytes
    finals: tuple[bytes, ...] = ()
    in_doubt: bool = False
    id: str = ""
