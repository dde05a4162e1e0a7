"""The settings of remote-delivery.

Pure: declarations only.
"""

from dataclasses import dataclass

from columba.common.config.general import FirstRetry, General, Handing, ReplyDetail
from columba.common.config.schema import Kind, setting


@dataclass(frozen=True)
class Settings(Handing, FirstRetry, ReplyDetail, General):
    """What a delivery process knows."""

    dns_servers: list[str] = setting(
        Kind.STRLIST,
        "",
        "Name servers, ADDRESS or ADDRESS:PORT, [IPv6]:PORT; empty: those of /etc/resolv.conf.",
    )
    inet_preference: str = setting(
        Kind.ENUM, "ipv6", "Address family tried first.", choices=("ipv6", "ipv4")
    )
    smtp_port: int = setting(Kind.PORT, "25", "Port of MX hosts.")
    mail_root: str = setting(
        Kind.PATH, "%{state_dir}/mail", "Maildirs of local mailboxes are below this directory."
    )
    mailbox_quota: int = setting(
        Kind.SIZE, "0", "Most that a mailbox may hold; 0 is unlimited. Over it: 452 4.2.2."
    )
    connect_timeout: float = setting(
        Kind.TIME, "8 secs", "How long one address may take to accept a connection."
    )
    greeting_timeout: float = setting(
        Kind.TIME, "20 secs", "How long a hop may take to greet us, while a client waits."
    )
    connection_max_age: float = setting(
        Kind.TIME, "5 mins", "A connection of this age is not used again."
    )
    connection_max_uses: int = setting(
        Kind.UINT, "100", "A connection that carried so many mails is not used again."
    )
    connection_idle: float = setting(
        Kind.TIME, "10 secs", "An idle connection is closed after this time."
    )
    connection_cache_size: int = setting(
        Kind.UINT, "200", "Idle connections kept by one process; 0 turns reuse off."
    )
    destination_concurrency: int = setting(
        Kind.UINT, "50", "Transactions at the same time to one destination, per process."
    )
    destination_rate: int = setting(
        Kind.UINT, "0", "Transactions a minute to one destination, per process; 0 is unlimited."
    )
    destination_recipients: int = setting(
        Kind.UINT, "100", "Recipients in one transaction; more go in further ones."
    )
    host_down_time: float = setting(
        Kind.TIME, "30 secs", "A host that was silent until a timeout is left alone for so long."
    )
    ssl_client_ca_file: str = setting(
        Kind.PATH, "", "Trusted roots for `tls verify`; empty: those of the system."
    )
