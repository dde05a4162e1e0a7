"""Settings of auth.

Pure.
"""

from dataclasses import dataclass

from columba.common.config.general import General
from columba.common.config.schema import Kind, setting


@dataclass(frozen=True)
class Settings(General):
    """What auth needs to know."""

    auth_passwd_file: str = setting(
        Kind.PATH,
        "/etc/columba/users",
        """Users and passwords: name:{SCHEME}hash:uid:gid:gecos:home:shell:extra. Readable by the auth
        service's user alone.""",
    )
    auth_mechanisms: list[str] = setting(
        Kind.STRLIST,
        "plain login",
        """Mechanisms that the auth service offers: plain, login, scram-sha-256, scram-sha-256-plus,
        scram-sha-1, scram-sha-1-plus, external, oauthbearer, xoauth2. SCRAM needs users whose password is
        stored as {SCRAM-SHA-256}, {SCRAM-SHA-1} or {PLAIN}.""",
    )
    auth_failure_delay: float = setting(
        Kind.TIME, "2 secs", "How long after its question a wrong password is answered."
    )
    auth_waiting_limit: int = setting(
        Kind.UINT, "200", "Passwords that wait to be checked; past it the answer is temporary."
    )
