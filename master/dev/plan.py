"""What a development server looks like: where its files are, and its columba.conf.

It touches no file: a Plan goes in, text comes out. prepare.py writes it down.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

DOMAIN: Final = "columba.test"
USER: Final = f"ann@{DOMAIN}"
PASSWORD: Final = "correct horse"
SCRIPTS: Final = ("rcpt", "data", "route")  # of the default policy
OUTSIDER: Final = "friend@elsewhere.test"


@dataclass(frozen=True, slots=True)
class Plan:
    """One server. Ports of 0 are not listened on; relay "host:port" takes all mail that leaves.

    Mail for `users` is kept in Maildirs. What DOMAIN and the domains in signs write is signed. trusted are
    networks that may relay without a password. dns_port 0 is the system's name server. With own_users the
    services run as users of their own, else all run as the one who starts them. `more` is configuration
    appended as it is (the last value wins).
    """

    root: Path
    smtp_port: int = 2525
    submission_port: int = 2587
    submissions_port: int = 2465
    relay: str = ""
    signs: tuple[str, ...] = ()
    users: tuple[str, ...] = (USER,)
    trusted: str = ""
    dns_port: int = 0
    own_users: bool = False
    more: str = ""

    @property
    def config(self) -> Path:
        """Return the path of columba.conf."""
        return self.root / "columba.conf"

    @property
    def run(self) -> Path:
        """Return the run directory."""
        return self.root / "run"

    @property
    def state(self) -> Path:
        """Return the state directory."""
        return self.root / "state"

    @property
    def mail(self) -> Path:
        """Return the folder of the Maildirs."""
        return self.root / "mail"

    @property
    def log(self) -> Path:
        """Return the log file."""
        return self.root / "log" / "columba.log"

    @property
    def passwords(self) -> Path:
        """Return the passwd-file."""
        return self.root / "users"

    @property
    def mailboxes(self) -> Path:
        """Return the table of local users."""
        return self.root / "mailboxes"

    @property
    def certificate(self) -> Path:
        """Return the TLS certificate."""
        return self.root / "tls" / "cert.pem"

    @property
    def tls_key(self) -> Path:
        """Return the TLS key."""
        return self.root / "tls" / "key.pem"

    @property
    def dkim_key(self) -> Path:
        """Return the DKIM key."""
        return self.root / "dkim" / "dev.pem"

    @property
    def scripts(self) -> Path:
        """Return the folder of the scripts that replace the default ones."""
        return self.root / "sieve"

    def text(self) -> str:
        """Return columba.conf."""
        text = _BASE.format(plan=self, domain=DOMAIN)
        text += f"trusted_networks = {self.trusted}\n" if self.trusted else ""
        text += f"dns_servers = 127.0.0.1:{self.dns_port}\n" if self.dns_port else _NO_DNS
        for stage in SCRIPTS:
            text += f"sieve_{stage} = {self.script(stage)}\n"
        text += "".join(self._signing(domain) for domain in (DOMAIN, *self.signs))
        return text + ("" if self.own_users else _ONE_USER) + self.more

    def script(self, stage: str) -> Path:
        """Return the path of a stage's script."""
        return self.scripts / f"{stage}.sieve"

    def relayed(self, route_script: str) -> str:
        """Return the route script with the relay in the place of MX; without a relay, as it is."""
        host, _, port = self.relay.rpartition(":")
        wanted = f'route :relay "[{host}]" :port {port}'
        return route_script.replace("route :mx", wanted) if host else route_script

    def _signing(self, domain: str) -> str:
        """Return the section that names a domain's signing key."""
        return f"dkim {domain} {{\n  selector = dev\n  key_file = {self.dkim_key}\n}}\n"


# A development machine may have no name server that answers: the checks of strangers' mail give up soon.
_NO_DNS: Final = "mailauth_timeout = 500 msecs\n"
_ONE_USER: Final = """
# All services run as the user who starts columba.
default_internal_user =
default_internal_group =
default_login_user =
service auth {
  user =
}
service dkim {
  user =
}
"""
_BASE: Final = """# Written anew at each start of the development server: edits are lost.
columba_config_version = 1.0
hostname = mail.{domain}
base_dir = {plan.run}
state_dir = {plan.state}
log_path = {plan.log}
listen = 127.0.0.1
mail_root = {plan.mail}
ssl_cert_file = {plan.certificate}
ssl_key_file = {plan.tls_key}
auth_passwd_file = {plan.passwords}
service smtpd {{
  inet_listener smtp {{
    port = {plan.smtp_port}
  }}
  inet_listener submission {{
    port = {plan.submission_port}
  }}
  inet_listener submissions {{
    port = {plan.submissions_port}
    ssl = yes
  }}
}}
lookup local_domains {{
  url = inline:{domain}
}}
lookup local_users {{
  url = file:{plan.mailboxes}
}}
lookup aliases {{
  url = inline:
}}
"""
