"""The settings of smtpd that may differ from listener to listener.

Pure: declarations only. Each may stand at the root, in `service smtpd { … }` or inside one `inet_listener` or
`unix_listener` of it: the innermost value holds. The master resolves them for every listener and passes them on with
the listener's socket.
"""

from dataclasses import dataclass

from columba.common.config.schema import Kind, setting


@dataclass(frozen=True)
class Listening:
    """What clients of one listener are offered, and what is taken from them."""

    smtp_extensions: list[str] = setting(
        Kind.STRLIST,
        "",
        """EHLO keywords that are offered. Empty: what suits the listener's protocol. Words with a minus before
        them are taken from that.""",
    )
    message_size_limit: int = setting(Kind.SIZE, "50M", "Greatest message that is accepted.")
    recipient_limit: int = setting(Kind.UINT, "1000", "Recipients of one message.")
    error_limit: int = setting(
        Kind.UINT, "20", "Commands of one session that may be answered with 4xx or 5xx before 421."
    )
    unknown_recipient_limit: int = setting(
        Kind.UINT,
        "15",
        "Recipients of one session that may be refused as unknown (5.1.x) before 421; a sign of guessing.",
    )
    tarpit_after: int = setting(
        Kind.UINT, "5", "Errors of one session after which answers to further ones come late."
    )
    tarpit_delay: float = setting(Kind.TIME, "1 s", "How late they come. 0: at once.")
    greet_delay: float = setting(
        Kind.TIME,
        "0",
        "How long the greeting is held back, to see who talks first; trusted_networks do not wait.",
    )
    early_talkers: str = setting(
        Kind.ENUM,
        "refuse",
        """What is done with clients that talk before the greeting, where greet_delay or the connect stage holds it
        back: refuse answers 554, note tells the stages (environment item vnd.columba.pregreet).""",
        choices=("refuse", "note"),
    )
    data_rate_minimum: int = setting(
        Kind.SIZE,
        "100",
        "Octets a second that a message must come with at the least; slower clients hear 421.",
    )
    data_rate_grace: float = setting(
        Kind.TIME, "60 secs", "How long a client may be slower than data_rate_minimum."
    )
    junk_command_limit: int = setting(
        Kind.UINT,
        "100",
        """Commands that bring no mail nearer (NOOP, RSET, VRFY, a further EHLO …) between two mails; each
        one more counts as an error.""",
    )
    bare_newline: str = setting(
        Kind.ENUM,
        "reject",
        "What is done with a CR or LF that stands alone in a message.",
        choices=("reject", "normalize"),
    )
    bare_newline_normalize_networks: list[str] = setting(
        Kind.STRLIST, "", "Networks for whose clients bare_newline is normalize (printers)."
    )
    haproxy_trusted_networks: list[str] = setting(
        Kind.STRLIST,
        "",
        "Networks whose PROXY header is believed, where haproxy = yes; other clients are cut off.",
    )
    xclient_networks: list[str] = setting(
        Kind.STRLIST,
        "",
        """Networks whose clients may say with XCLIENT for whom they speak: address, name, login. These are
        trusted with everything that depends on it.""",
    )
    xforward_networks: list[str] = setting(
        Kind.STRLIST,
        "",
        "Networks whose clients may say with XFORWARD where a mail first came from.",
    )
    vrfy: str = setting(
        Kind.ENUM,
        "neutral",
        """Answer to VRFY: neutral is 252 to all, ask lets trusted clients hear what RCPT would be answered, off is
        502.""",
        choices=("neutral", "ask", "off"),
    )
    expn_table: str = setting(
        Kind.STR,
        "",
        """Look-up table (a URL as in lookup NAME { url = … }) whose lists EXPN shows to trusted clients: list, then
        its members. Empty: 502.""",
        secret=True,
    )
    submission_sender_login: str = setting(
        Kind.STR,
        "",
        """Look-up table (a URL as in lookup NAME { url = … }) that says who may send as whom after a login:
        address, or @domain, then the logins. An address that is not in it is nobody's. Empty: every login may use
        every address.""",
        secret=True,
    )
    submission_trust_networks: bool = setting(
        Kind.BOOL, "no", "Let trusted_networks use submission without a login."
    )
    submission_hide_client: bool = setting(
        Kind.BOOL,
        "no",
        "Leave address, name and TLS of a submission's client out of the Received field.",
    )
    future_release_limit: float = setting(
        Kind.TIME,
        "7 days",
        "How far ahead a mail may be told to leave (FUTURERELEASE); 0 turns it off.",
    )
