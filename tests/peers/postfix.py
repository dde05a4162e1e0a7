"""A private Postfix: own configuration, queue and log; one port; relays to a hop, or delivers."""

import pwd
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.peers.process import Program, answers, free_port, require, run

SERVICES = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """A running instance; takes mail on 127.0.0.1:port. Needs root, as Postfix does.

    relay "host:port" sends everything there. Without it, mail for `domain` is kept in the Maildir
    `maildir` whoever the recipient is, and all else is refused; discard takes all and keeps none.
    The folder must be one that the user postfix can enter.
    """

    def __init__(
        self,
        folder: Path,
        *,
        relay: str = "",
        discard: bool = False,
        domain: str = "postfix.test",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        require("postfix", root=True)
        self.port = free_port()
        self.domain = domain
        self.folder = folder / f"postfix-{self.port}"
        self.maildir = self.folder / "mail" / "box"
        self.mail_log = self.folder / "mail.log"
        self._config = self.folder / "etc"
        self._lay_out()
        lines = {**self._main(), **self._transport(relay, discard), **(settings or {})}
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        (self._config / "main.cf").write_text(text)
        (self._config / "master.cf").write_text(
            f"127.0.0.1:{self.port} inet n - n - - smtpd\n{SERVICES.lstrip()}"
        )
        argv = ["postfix", "-c", str(self._config), "start-fg"]
        self.program = Program(argv, folder, f"postfix-{self.port}")
        try:
            self.program.wait_ready(lambda: answers(("127.0.0.1", self.port)))
        except BaseException:
            self.stop()
            raise

    def mails(self) -> list[bytes]:
        """Return the messages in the Maildir."""
        return [path.read_bytes() for path in sorted((self.maildir / "new").glob("*"))]

    def queued(self) -> int:
        """Return how many messages the queue holds."""
        names = ("maildrop", "incoming", "active", "deferred")
        folders = [self.folder / "queue" / name for name in names]
        return sum(1 for folder in folders for path in folder.rglob("*") if path.is_file())

    def log(self) -> str:
        """Return the mail log."""
        return self.mail_log.read_text() if self.mail_log.exists() else ""

    def stop(self) -> None:
        """End it with all its children."""
        if self.program.is_running():
            run(["postfix", "-c", str(self._config), "stop"], 15)
        self.program.stop()

    def _lay_out(self) -> None:
        """Make the folders with the owners that Postfix demands."""
        user = pwd.getpwnam("postfix")
        nobody = pwd.getpwnam("nobody")
        for name in ("etc", "queue", "data", "mail"):
            (self.folder / name).mkdir(parents=True)
        for path in (self.folder, self._config, self.folder / "queue"):
            path.chmod(0o755)
        subprocess.run(["chown", str(user.pw_uid), str(self.folder / "data")], check=True)
        subprocess.run(
            ["chown", f"{nobody.pw_uid}:{nobody.pw_gid}", str(self.folder / "mail")], check=True
        )

    def _main(self) -> dict[str, str]:
        """Return main.cf without the way that mail takes."""
        return {
            "compatibility_level": "3.6",
            "queue_directory": str(self.folder / "queue"),
            "data_directory": str(self.folder / "data"),
            "command_directory": "/usr/sbin",
            "daemon_directory": "/usr/lib/postfix/sbin",
            "maillog_file": str(self.mail_log),
            "maillog_file_prefixes": str(self.folder),
            "myhostname": f"mail.{self.domain}",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "alias_maps": "",
            "alias_database": "",
            "local_recipient_maps": "",
            "biff": "no",
            "smtputf8_enable": "yes",
            "smtp_tls_security_level": "none",
            "smtp_dns_support_level": "disabled",
            "smtp_host_lookup": "native",
            "disable_dns_lookups": "yes",
            "smtpd_client_connection_count_limit": "0",
            "smtpd_peername_lookup": "no",
        }

    def _transport(self, relay: str, discard: bool) -> dict[str, str]:
        """Return the settings that say where mail goes."""
        if relay:
            host, _, port = relay.rpartition(":")
            return {"relayhost": f"[{host}]:{port}"}
        if discard:
            return {"default_transport": "discard:", "relay_transport": "discard:"}
        nobody = pwd.getpwnam("nobody")
        return {
            "virtual_mailbox_domains": self.domain,
            "virtual_mailbox_base": str(self.folder / "mail"),
            "virtual_mailbox_maps": "static:box/",
            "virtual_minimum_uid": "1",
            "virtual_uid_maps": f"static:{nobody.pw_uid}",
            "virtual_gid_maps": f"static:{nobody.pw_gid}",
            "smtpd_relay_restrictions": "reject_unauth_destination",
        }
