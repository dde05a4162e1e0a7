"""A private Dovecot 2.3: LMTP on a unix socket and on TCP, its auth socket, Maildirs."""

import pwd
from collections.abc import Mapping
from pathlib import Path

from tests.peers.process import Program, answers, free_port, lacking, require, run


class Dovecot:
    """A running instance. Needs root, as its processes change users.

    users: address to password; others are unknown (550). The folder must be one that the users
    dovecot and nobody can enter.
    """

    def __init__(
        self, folder: Path, users: Mapping[str, str], *, more: str = "", quota: str = ""
    ) -> None:
        """Start it; `more` is further configuration; quota ("10M") limits every user."""
        require("dovecot", root=True)
        version = run(["dovecot", "--version"]).stdout
        if not version.startswith("2.3."):
            lacking(f"this configuration is for Dovecot 2.3, here is {version.strip()}")
        self.lmtp_port = free_port()
        self.folder = folder / f"dovecot-{self.lmtp_port}"
        self.lmtp_path = str(self.folder / "lmtp")
        self.auth_path = str(self.folder / "auth-client")
        self.mail_log = self.folder / "dovecot.log"
        self._lay_out(users)
        config = self.folder / "dovecot.conf"
        config.write_text(self._config() + more + (self._quota(quota) if quota else ""))
        argv = ["dovecot", "-F", "-c", str(config)]
        self.program = Program(argv, folder, f"dovecot-{self.lmtp_port}")
        try:
            self.program.wait_ready(self._is_ready)
        except BaseException:
            self.program.stop()
            raise

    def maildir(self, address: str) -> Path:
        """Return the Maildir of a user."""
        local, _, domain = address.partition("@")
        return self.folder / "mail" / domain / local

    def mails(self, address: str) -> list[bytes]:
        """Return the new messages of a user."""
        return [path.read_bytes() for path in sorted((self.maildir(address) / "new").glob("*"))]

    def log(self) -> str:
        """Return Dovecot's log."""
        return self.mail_log.read_text() if self.mail_log.exists() else ""

    def stop(self) -> None:
        """End it with all its children."""
        self.program.stop()

    def _is_ready(self) -> bool:
        return all(
            answers(at) for at in (self.lmtp_path, self.auth_path, ("127.0.0.1", self.lmtp_port))
        )

    def _lay_out(self, users: Mapping[str, str]) -> None:
        """Make the folders and the passwd-file."""
        import os

        nobody = pwd.getpwnam("nobody")
        mail = self.folder / "mail"
        mail.mkdir(parents=True)
        self.folder.chmod(0o755)
        os.chown(mail, nobody.pw_uid, nobody.pw_gid)
        lines = [
            f"{user}:{{PLAIN}}{password}:{nobody.pw_uid}:{nobody.pw_gid}::{self.maildir(user)}::\n"
            for user, password in users.items()
        ]
        (self.folder / "users").write_text("".join(lines))
        (self.folder / "users").chmod(0o644)

    def _config(self) -> str:
        """Return dovecot.conf."""
        here = self.folder
        return f"""
base_dir = {here}/run
state_dir = {here}/state
instance_name = test-{self.lmtp_port}
log_path = {self.mail_log}
auth_verbose = yes
protocols = lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login scram-sha-256
mail_location = maildir:{here}/mail/%d/%n
first_valid_uid = 1
first_valid_gid = 1
hostname = mail.dovecot.test
postmaster_address = postmaster@dovecot.test
passdb {{
  driver = passwd-file
  args = username_format=%u {here}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {here}/users
}}
service lmtp {{
  unix_listener {self.lmtp_path} {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {self.lmtp_port}
  }}
}}
service auth {{
  unix_listener {self.auth_path} {{
    mode = 0666
  }}
}}
"""

    @staticmethod
    def _quota(limit: str) -> str:
        """Return the quota plugin's settings."""
        return f"""
mail_plugins = quota
plugin {{
  quota = maildir:User quota
  quota_rule = *:storage={limit}
  quota_grace = 0
}}
"""
