"""The settings that several services share.

Pure: declarations only. A service's own class, `Settings` in its settings.py, inherits from General and from
those of the other classes here that it needs; only what its class declares reaches its process. Each field is a
global setting; written inside `service NAME { … }` it holds for that service alone.
"""

from dataclasses import dataclass

from columba.common.config.schema import Kind, named, setting


@dataclass(frozen=True)
class General:
    """What every process knows."""

    hostname: str = setting(
        Kind.STR, "%{system:hostname}", "Name of this server in greetings, EHLO and Received."
    )
    base_dir: str = setting(
        Kind.PATH, "/run/columba", "Run directory: sockets, PID file, the master's admin socket."
    )
    state_dir: str = setting(Kind.PATH, "/var/lib/columba", "What must survive a restart.")
    spool_dir: str = setting(
        Kind.PATH,
        "%{state_dir}/spool",
        "Bodies of mails on their way through the processes, when too big to be held in memory.",
    )
    postmaster_address: str = setting(
        Kind.STR, "postmaster@%{hostname}", "Who is told of double bounces and alerts."
    )
    log_debug: bool = setting(Kind.BOOL, "no", "Write debug lines too.")
    shutdown_timeout: float = setting(
        Kind.TIME,
        "60 secs",
        "How long processes may finish their work at stop and at reload before they are killed.",
    )
    hang_limit: float = setting(
        Kind.TIME,
        "30 secs",
        "A process whose event loop has not reported for so long is killed.",
    )


@dataclass(frozen=True)
class Handing:
    """How a step of the chain hands mail to the next one."""

    handoff_limit: int = setting(
        Kind.UINT,
        "2000",
        "How many mails one process may have on their way to the next step; more go to the queue.",
    )
    sync_latency_limit: float = setting(
        Kind.TIME,
        "500 msecs",
        "When mails wait longer than this for our own processes, handoff_limit is cut for a while.",
    )
    takeover_delay: float = setting(
        Kind.TIME, "60 secs", "When the queue first tries a mail taken over from a dead process."
    )
    in_doubt_delay: float = setting(
        Kind.TIME,
        "10 mins",
        "When the queue first tries a mail that the next server may have, but did not confirm.",
    )


@dataclass(frozen=True)
class TlsName:
    """`local_name "NAME *.DOMAIN …" { … }`: another certificate for names that clients ask for (SNI)."""

    ssl_cert_file: str = setting(Kind.PATH, "", "Certificate chain for this name, PEM.")
    ssl_key_file: str = setting(Kind.PATH, "", "Private key for this name, PEM.")


@dataclass(frozen=True)
class Tls:
    """Where certificates and keys are. The master reads the files; processes get the content as memfds."""

    ssl_cert_file: str = setting(
        Kind.PATH, "", "Certificate chain of this server, PEM. Empty: TLS is not offered."
    )
    ssl_key_file: str = setting(
        Kind.PATH, "", "Private key of this server, PEM. Read by the master alone."
    )
    ssl_server_ca_file: str = setting(
        Kind.PATH, "", "Roots that the certificates of clients are checked with, PEM."
    )
    local_name: dict[str, TlsName] = named(TlsName, "Certificates by the name asked for (SNI).")


@dataclass(frozen=True)
class TlsClients:
    """Certificates of clients that submit mail."""

    ssl_server_request_client_cert: str = setting(
        Kind.ENUM,
        "no",
        """Whether submission listeners ask clients for a certificate that ssl_server_ca_file has signed,
        with which they may use the mechanism EXTERNAL; require: they must show one.""",
        choices=("no", "yes", "require"),
    )
    ssl_server_cert_username_field: str = setting(
        Kind.ENUM,
        "commonName",
        "Field of a client's certificate that names the user: of its subject, or rfc822Name among its alternatives.",
        choices=("commonName", "emailAddress", "rfc822Name"),
    )


@dataclass(frozen=True)
class DkimKey:
    """`dkim DOMAIN { … }`: the key that signs for a domain."""

    selector: str = setting(
        Kind.STR, "columba", "Selector: the key is published at SELECTOR._domainkey.DOMAIN."
    )
    key_file: str = setting(
        Kind.PATH,
        "",
        "Private key, PEM, RSA or Ed25519; readable by the dkim service's user alone.",
    )


@dataclass(frozen=True)
class DkimKeys:
    """The signing keys."""

    dkim: dict[str, DkimKey] = named(DkimKey, "Domains that are signed for, with their keys.")


@dataclass(frozen=True)
class Account:
    """Who we are at a server; what stands in its URL is the other way to say it."""

    username: str = setting(Kind.STR, "", "Name to log in with; empty: that of the URL.")
    password: str = setting(
        Kind.STR, "", "Password to log in with; empty: that of the URL.", secret=True
    )


@dataclass(frozen=True)
class LookupTable(Account):
    """`lookup NAME { … }`: a table that scripts ask."""

    url: str = setting(
        Kind.STR, "", "Where the table is, e.g. file:/etc/columba/users or inline:a=b.", secret=True
    )
    query: str = setting(
        Kind.STR,
        "",
        "What is asked there, with %{user} for the key: SQL, an LDAP filter, a redis command.",
    )
    pool_size: int = setting(
        Kind.UINT, "8", "Most connections of one process to the server of the table."
    )
    cache_ttl: float = setting(
        Kind.TIME, "5 secs", "How long an answer of a server is remembered; 0: not at all."
    )


@dataclass(frozen=True)
class Lookups:
    """The look-up tables."""

    lookup: dict[str, LookupTable] = named(LookupTable, "Tables for the scripts' lookup test.")


@dataclass(frozen=True)
class DictStore(Account):
    """`dict NAME { … }`: values that scripts keep."""

    url: str = setting(
        Kind.STR,
        "sqlite:%{state_dir}/dict.db",
        "Where the values are: memory:, sqlite:/PATH (one machine), redis://HOST/DB (several).",
        secret=True,
    )


DictStores = dict[str, DictStore]  # in the class below, `dict` is the setting


@dataclass(frozen=True)
class Dicts:
    """The dicts."""

    dict: DictStores = named(DictStore, "Dicts that scripts count and remember in.")
    dict_timeout: float = setting(
        Kind.TIME, "5 secs", "How long a dict may take before the mail is answered 451."
    )


@dataclass(frozen=True)
class ReplicaMember:
    """`replica_member NAME { … }`: a machine that keeps a copy of the queue, alike on all of them."""

    address: str = setting(Kind.STR, "", "HOST:PORT where the member listens for the others.")
    public_key: str = setting(
        Kind.STR, "", "The member's public key, 64 hexadecimal digits (columbadm replica key)."
    )
    witness: bool = setting(
        Kind.BOOL, "no", "The member decides with the others, but keeps leases and no mail."
    )


@dataclass(frozen=True)
class QueueStore:
    """Where queued mail is kept."""

    queue_url: str = setting(
        Kind.STR,
        "file:%{state_dir}/queue",
        "Store of the queue: file:PATH, replica:PATH (copies on every replica_member) or s3://BUCKET/PREFIX?endpoint=URL&region=NAME&path_style=yes|no&"
        "ca_file=PATH&credentials_file=PATH. Without a credentials file the keys come from the environment "
        "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY).",
        secret=True,
    )
    queue_key_file: str = setting(
        Kind.PATH,
        "",
        "Keys that queued mail is encrypted with (columbadm queue key gen); demanded for a store that is not on "
        "this machine. The latest whose time has come writes, all read.",
    )
    queue_plain: bool = setting(
        Kind.BOOL,
        "no",
        "Let queued mail stand unencrypted in a store that is not on this machine; with queue_key_file: "
        "encrypt, but read what is not.",
    )
    replica_member: dict[str, ReplicaMember] = named(
        ReplicaMember, "The machines that keep the queue together (queue_url = replica:PATH)."
    )
    replica_name: str = setting(
        Kind.STR, "%{system:hostname}", "Which replica_member this machine is."
    )
    replica_secret_key_file: str = setting(
        Kind.PATH, "", "This member's secret CURVE key (columbadm replica key)."
    )
    replica_copies: int = setting(
        Kind.UINT,
        "0",
        "How many members must have a new mail before it counts as stored; 0: more than half of those that keep mail.",
    )


@dataclass(frozen=True)
class FirstRetry:
    """When a try that failed is made again first."""

    queue_retry_first: float = setting(
        Kind.TIME, "1 min", "Time from the first failed try of a queued message to the second."
    )


@dataclass(frozen=True)
class Dns:
    """Who is asked in the domain name system."""

    dns_servers: list[str] = setting(
        Kind.STRLIST,
        "",
        "Name servers, ADDRESS or ADDRESS:PORT, [IPv6]:PORT; empty: those of /etc/resolv.conf.",
    )


@dataclass(frozen=True)
class Softness:
    """Whether what is refused is refused for good."""

    soft_bounce: bool = setting(
        Kind.BOOL,
        "no",
        "Answer 4xx instead of 5xx and hold reports of failures, for the days of a migration.",
    )


@dataclass(frozen=True)
class Scripts:
    """The scripts of the stages. An empty path: the stage has no script and costs nothing."""

    sieve_connect: str = setting(Kind.PATH, "", "Script run when a client connects.")
    sieve_helo: str = setting(Kind.PATH, "", "Script run before EHLO or HELO is answered.")
    sieve_auth: str = setting(Kind.PATH, "", "Script run when a client has authenticated.")
    sieve_mail: str = setting(Kind.PATH, "", "Script run before MAIL is answered.")
    sieve_rcpt: str = setting(
        Kind.PATH, "/etc/columba/sieve/rcpt.sieve", "Script run before each RCPT is answered."
    )
    sieve_data: str = setting(
        Kind.PATH, "/etc/columba/sieve/data.sieve", "Script run on the whole message."
    )
    sieve_route: str = setting(
        Kind.PATH,
        "/etc/columba/sieve/route.sieve",
        "Script that decides where each recipient goes.",
    )
    sieve_retry: str = setting(
        Kind.PATH, "", "Script that the queue asks after each try that failed."
    )
    sieve_bounce: str = setting(
        Kind.PATH, "", "Script that the queue asks before each report to a sender."
    )
