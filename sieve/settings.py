"""Settings of sieve-filter.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from columba.common.config.general import Dicts, Dns, General, Handing, Lookups, Scripts
from columba.common.config.schema import Kind, setting
from columba.sieve.lang.limits import Limits
from columba.sieve.tuning import Lists, Tuning

LEAST_VALUE: Final = 4000  # RFC 5229 §6


@dataclass(frozen=True)
class Settings(General, Scripts, Lookups, Dicts, Dns, Handing, Tuning, Lists):
    """What sieve-filter needs to know.

    script_texts is no setting: the master puts there what its check has read, path to octets (as Latin-1), so
    that a process born later runs the accepted scripts and not what an editor is in the middle of.
    """

    dry_run: bool = setting(
        Kind.BOOL,
        "no",
        """Deliver nothing: scripts decide, the log says what they decided, accepted mail is DISCARDED. For a copy of
        the mails of a server that is to be replaced.""",
    )
    lookup_timeout: float = setting(
        Kind.TIME, "5 secs", "How long a look-up may take before the mail is answered 451."
    )
    sieve_max_actions: int = setting(Kind.UINT, "32", "Actions that one script may take.")
    sieve_max_redirects: int = setting(Kind.UINT, "4", "Redirects that one script may make.")
    sieve_max_cpu_time: float = setting(
        Kind.TIME, "1 secs", "CPU time that one run of a script may use."
    )
    sieve_max_script_size: int = setting(Kind.SIZE, "1 M", "Largest script that is read.")
    sieve_max_string_size: int = setting(Kind.SIZE, "1 M", "Longest string in a script.")
    sieve_max_nesting: int = setting(
        Kind.UINT, "32", "How deep blocks, and tests, may be nested; the outermost counts."
    )
    sieve_max_requests: int = setting(
        Kind.UINT, "256", "Questions (look-ups and the like) that one run of a script may ask."
    )
    sieve_variables_max_scope_size: int = setting(
        Kind.UINT, "255", "Variables that one script may have."
    )
    sieve_variables_max_value_size: int = setting(
        Kind.SIZE, "4 k", "Longest value of a variable; what is longer is cut. At least 4000."
    )
    sieve_regex_max_size: int = setting(Kind.SIZE, "8 k", "Longest regular expression.")
    recipient_limit_expanded: int = setting(
        Kind.UINT, "1000", "Recipients of one mail after aliases and redirects."
    )
    sieve_state_dict: str = setting(
        Kind.STR,
        "default",
        "Dict of this server's own marks, such as duplicates and replies sent; several servers share one.",
    )
    sieve_metadata_dict: str = setting(
        Kind.STR,
        "",
        """Dict with the annotations that scripts test (RFC 5490): `server/shared/NAME`, and for the Maildir PATH
        `mailbox/PATH/FOLDER/shared/NAME`; empty: there are none.""",
    )
    dns_timeout: float = setting(
        Kind.TIME, "5 secs", "How long a script's question to the DNS may take."
    )
    mailauth_timeout: float = setting(
        Kind.TIME,
        "20 secs",
        "How long a check of SPF, DKIM, DMARC or ARC may take; then its result is temperror.",
    )
    dnsbl_timeout: float = setting(
        Kind.TIME, "2 secs", "How long a list in the DNS may take to answer."
    )
    dnsbl_unanswered: str = setting(
        Kind.ENUM,
        "ignore",
        "A list in the DNS that does not answer has listed nothing, or is a temporary error (451).",
        choices=("ignore", "tempfail"),
    )
    callout_timeout: float = setting(
        Kind.TIME, "30 secs", "How long a next hop that is asked about a recipient may take."
    )
    callout_positive_ttl: float = setting(
        Kind.TIME, "1 days", "How long it is remembered that a next hop accepts a recipient."
    )
    callout_negative_ttl: float = setting(
        Kind.TIME, "1 hours", "How long it is remembered that a next hop refuses a recipient."
    )
    srs_secret_file: str = setting(
        Kind.PATH,
        "",
        "Secrets of the Sender Rewriting Scheme, one a line: the first signs, all are accepted.",
    )
    script_texts: dict[str, str] = field(default_factory=dict, kw_only=True)


def limits_of(
    settings: Settings, options: Mapping[str, str], lists: Mapping[str, frozenset[str]]
) -> Limits:
    """Return the limits that the settings ask for; options are those of extensions, by name."""
    return Limits(
        script_bytes=settings.sieve_max_script_size,
        string_bytes=settings.sieve_max_string_size,
        nesting=settings.sieve_max_nesting,
        actions=settings.sieve_max_actions,
        redirects=settings.sieve_max_redirects,
        cpu_ms=int(settings.sieve_max_cpu_time * 1000),
        requests=settings.sieve_max_requests,
        variables=settings.sieve_variables_max_scope_size,
        variable_bytes=max(LEAST_VALUE, settings.sieve_variables_max_value_size),
        includes=settings.sieve_include_max_includes,
        include_depth=settings.sieve_include_max_nesting_depth,
        regex_bytes=settings.sieve_regex_max_size,
        delimiters=settings.recipient_delimiter or "+",
        options=options,
        lists=lists,
    )
