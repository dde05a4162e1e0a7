"""The settings of remote-delivery.

Pure: declarations only.
"""

from dataclasses import dataclass

from columba.common.config.general import Dns, FirstRetry, General, Handing, Lookups
from columba.common.config.schema import Kind, named, setting


@dataclass(frozen=True)
class SourceSection:
    """`source NAME { … }`: addresses of this machine that mail leaves from, and the name that goes with them."""

    address: list[str] = setting(
        Kind.STRLIST, "", "Local address; one of IPv4 and one of IPv6 at most."
    )
    helo: str = setting(Kind.STR, "", "Name said in EHLO from here; empty: hostname.")
    pools: list[str] = setting(
        Kind.STRLIST, "", "Pools that this source belongs to; a try draws one source of a pool."
    )


@dataclass(frozen=True)
class MailboxSection:
    """`mailbox NAME { … }`: what a folder of every Maildir is for."""

    special_use: list[str] = setting(
        Kind.STRLIST, "", "Special uses of the folder (RFC 6154), such as \\Junk."
    )


@dataclass(frozen=True)
class Settings(Handing, FirstRetry, Dns, Lookups, General):
    """What a delivery process knows."""

    inet_preference: str = setting(
        Kind.ENUM,
        "ipv6",
        "Address family tried first, or the only one used.",
        choices=("ipv6", "ipv4", "ipv6-only", "ipv4-only"),
    )
    source: dict[str, SourceSection] = named(SourceSection, "Addresses that mail leaves from.")
    default_source: str = setting(
        Kind.STR,
        "",
        "Source, pool or address of routes that name none; empty: what the system takes.",
    )
    relay_credentials: str = setting(
        Kind.STR,
        "",
        "Look-up table, its name or a URL, from HOST:PORT or HOST of a relay to USER:PASSWORD.",
        secret=True,
    )
    relay_auth_in_clear: bool = setting(
        Kind.BOOL, "no", "Log in to relays also where there is no TLS to protect the password."
    )
    ignored_extensions: list[str] = setting(
        Kind.STRLIST,
        "",
        "EHLO keywords of hops that are not used, such as CHUNKING or PIPELINING.",
    )
    reply_detail: str = setting(
        Kind.ENUM,
        "hop",
        "What our answers and reports tell of the next hop: its name and words, or only our own words.",
        choices=("hop", "own"),
    )
    transcript_memory: int = setting(
        Kind.SIZE,
        "4M",
        "Memory of one process for what was said to hops, which columbadm trace shows; 0 keeps nothing.",
    )
    mx_host_limit: int = setting(Kind.UINT, "10", "Hosts of a domain that are tried for one mail.")
    mx_address_limit: int = setting(
        Kind.UINT, "20", "Addresses that are tried for one mail, over all hosts."
    )
    smtp_port: int = setting(Kind.PORT, "25", "Port of MX hosts.")
    mail_root: str = setting(
        Kind.PATH, "%{state_dir}/mail", "Maildirs of local mailboxes are below this directory."
    )
    mailbox: dict[str, MailboxSection] = named(
        MailboxSection,
        "Folders of Maildirs by their use; without any: Archive, Drafts, Junk, Sent, Trash.",
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
        Kind.UINT,
        "50",
        "Most transactions at the same time to one destination, per process; never over a quarter of it.",
    )
    destination_concurrency_first: int = setting(
        Kind.UINT,
        "20",
        "Transactions at the same time to a new destination; success lets them grow, 4xx and lost "
        "connections shrink them.",
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
