"""What the master itself is told, and what `service NAME { … }` may say.

Pure: declarations only.
"""

from dataclasses import dataclass

from columba.common.config.general import General, Tls, TlsClients
from columba.common.config.listening import Listening
from columba.common.config.schema import Kind, named, setting


@dataclass(frozen=True)
class Spoken:
    """What stands in a listener of smtpd alone."""

    protocol: str = setting(
        Kind.ENUM,
        "auto",
        "What smtpd speaks here; auto: by the listener's name.",
        choices=("auto", "smtp", "submission", "lmtp"),
    )


@dataclass(frozen=True)
class UnixListener(Listening, Spoken):
    """`unix_listener PATH { … }`; a relative path is below base_dir."""

    mode: int = setting(Kind.OCTAL, "0600", "Permissions; 0 turns the listener off.")
    user: str = setting(Kind.STR, "", "Owner; empty: the service's user.")
    group: str = setting(Kind.STR, "", "Group; empty: the service's group.")
    type: str = setting(Kind.STR, "", "What is spoken here, when the path does not say it.")


@dataclass(frozen=True)
class InetListener(Listening, Spoken):
    """`inet_listener NAME { … }`."""

    port: int = setting(Kind.PORT, "0", "TCP port; 0 turns the listener off.")
    listen: list[str] = setting(
        Kind.STRLIST, "$SET:listen", "Addresses; * is all of IPv4, :: all of IPv6."
    )
    ssl: bool = setting(Kind.BOOL, "no", "Implicit TLS from the first octet (RFC 8314).")
    type: str = setting(Kind.STR, "", "What is spoken here, when the name does not say it.")
    haproxy: bool = setting(
        Kind.BOOL, "no", "Clients come through a proxy that says in a PROXY header who they are."
    )


@dataclass(frozen=True)
class ServiceSettings:
    """`service NAME { … }`."""

    executable: str = setting(
        Kind.STR, "", "Program and arguments; the word python stands for the running interpreter."
    )
    user: str = setting(Kind.STR, "$SET:default_internal_user", "User that the processes run as.")
    group: str = setting(Kind.STR, "$SET:default_internal_group", "Group that they run as.")
    process_min_avail: int = setting(
        Kind.UINT, "0", "Keep so many processes that can still take work."
    )
    process_limit: int = setting(Kind.UINT, "$SET:default_process_limit", "At most so many.")
    client_limit: int = setting(
        Kind.UINT, "$SET:default_client_limit", "Clients or calls that one process takes at a time."
    )
    restart_request_count: int = setting(
        Kind.UINT, "unlimited", "A process that has served so many ends and is replaced."
    )
    idle_kill_interval: float = setting(
        Kind.TIME,
        "$SET:default_idle_kill_interval",
        "Processes above process_min_avail that were idle for so long end.",
    )
    memory_limit: int = setting(
        Kind.SIZE, "$SET:default_memory_limit", "Data memory of a process (RLIMIT_DATA)."
    )
    inet_listener: dict[str, InetListener] = named(InetListener, "TCP sockets.")
    unix_listener: dict[str, UnixListener] = named(UnixListener, "Unix sockets.")


@dataclass(frozen=True)
class MasterSettings(General, Tls, TlsClients):
    """Settings of the whole server."""

    services: list[str] = setting(
        Kind.STRLIST,
        "anvil log stats auth smtpd sieve dkim delivery queue",
        "Services that run; anvil and log always do.",
    )
    ssl_reload_interval: float = setting(
        Kind.TIME,
        "1 min",
        "How often certificate and key files are looked at; changed ones are used at once, without restart.",
    )
    ssl_expiry_warning: float = setting(
        Kind.TIME, "14 days", "How long before its end a certificate is warned of in the log."
    )
    listen: list[str] = setting(Kind.STRLIST, "* ::", "Default addresses of inet_listeners.")
    default_internal_user: str = setting(
        Kind.STR,
        "columba",
        "User of most services. Empty: all services run as the user who starts columba.",
    )
    default_internal_group: str = setting(
        Kind.STR, "columba", "Group of all services, by which they reach each other's sockets."
    )
    default_login_user: str = setting(
        Kind.STR, "columba-login", "User of the processes that strangers talk to."
    )
    default_process_limit: int = setting(Kind.UINT, "100", "Default of process_limit.")
    default_client_limit: int = setting(Kind.UINT, "1000", "Default of client_limit.")
    default_idle_kill_interval: float = setting(
        Kind.TIME, "1 mins", "Default of idle_kill_interval."
    )
    default_memory_limit: int = setting(Kind.SIZE, "512M", "Default of memory_limit.")
    start_timeout: float = setting(
        Kind.TIME,
        "30 secs",
        "A process that has not reported for so long after its start is killed.",
    )
    throttle_min: float = setting(
        Kind.TIME, "2 secs", "First pause after a service's process ended before it was ready."
    )
    throttle_max: float = setting(Kind.TIME, "60 secs", "Longest such pause; it doubles each time.")
