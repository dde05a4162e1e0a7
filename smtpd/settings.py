"""Settings of smtpd.

Pure: declarations only.
"""

from dataclasses import dataclass

from columba.common.config.general import General, Handing, Scripts, Softness, TlsClients
from columba.common.config.listening import Listening
from columba.common.config.schema import Kind, setting


@dataclass(frozen=True)
class Settings(General, Handing, Listening, Scripts, Softness, TlsClients):
    """What smtpd is told."""

    trusted_networks: list[str] = setting(
        Kind.STRLIST,
        "",
        "Networks whose clients may relay without authentication, and whose mail may be queued.",
    )
    client_limit_per_ip: int = setting(
        Kind.UINT,
        "100",
        """Connections of one address (IPv6: /64) at a time, over all processes; trusted networks are exempt.""",
    )
    connection_rate_limit: int = setting(
        Kind.UINT,
        "600",
        "Connections of one address (IPv6: /64) in a minute, over all processes; trusted networks are exempt.",
    )
    message_rate_limit: int = setting(
        Kind.UINT,
        "unlimited",
        """Messages of one address (IPv6: /64) in a minute, over all processes; trusted networks and clients that are
        logged in are exempt.""",
    )
    message_memory_limit: int = setting(
        Kind.SIZE,
        "128M",
        """Memory of one process for messages that are coming in. From half of it on they go to the spool early;
        past it a message hears 452.""",
    )
    command_timeout: float = setting(
        Kind.TIME, "5 mins", "How long a client may take for a whole command (RFC 5321 §4.5.3.2.7)."
    )
    reply_deadline: float = setting(
        Kind.TIME, "120 secs", "How long the answer to end of data may take on port 25 and LMTP."
    )
    submission_reply_deadline: float = setting(
        Kind.TIME, "30 secs", "How long the answer to end of data may take on submission."
    )
    inline_body_limit: int = setting(
        Kind.SIZE, "16K", "Bodies up to this size are held in memory, others in a spool file."
    )
    spool_limit: int = setting(
        Kind.SIZE, "1G", "Room in spool_dir that one process uses; past it 452."
    )
    queue_unverified: bool = setting(
        Kind.BOOL,
        "no",
        """Queue mail of unknown senders too, for a backup MX. What finally fails is held, never
        bounced.""",
    )
    auth_socket: str = setting(
        Kind.PATH,
        "%{base_dir}/auth-client",
        "Socket of the auth service, ours or Dovecot's. Empty: no authentication.",
    )
    auth_timeout: float = setting(
        Kind.TIME, "150 secs", "How long the auth service may take; failures are slow on purpose."
    )
    auth_without_tls: bool = setting(
        Kind.BOOL, "no", "Offer authentication on connections without TLS too."
    )
    stage_timeout: float = setting(
        Kind.TIME, "10 secs", "How long a script may take to answer a command before 451."
    )
    haproxy_timeout: float = setting(
        Kind.TIME, "3 secs", "How long a PROXY header may take to come where haproxy = yes."
    )
