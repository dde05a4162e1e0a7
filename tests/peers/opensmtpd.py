"""A private OpenSMTPD that relays to a hop: no PIPELINING, DSN, SIZE. It uses TLS where it is offered."""

from pathlib import Path

from tests.peers.process import Program, answers, free_port
from tests.peers.unpacked import in_namespace, unpacked

USERS = ("opensmtpd", "opensmtpq")
FOLDERS = ("/var/spool", "/var/spool/smtpd", "/run", "/var/lib", "/var/lib/opensmtpd/empty")


class OpenSmtpd:
    """A running instance on 127.0.0.1:port. Needs root."""

    def __init__(self, folder: Path, relay: str) -> None:
        """Start it; relay "host:port" gets all mail."""
        binary = unpacked("opensmtpd") / "usr/sbin/smtpd"
        self.port = free_port()
        self.folder = folder / f"opensmtpd-{self.port}"
        self.folder.mkdir()
        config = self.folder / "smtpd.conf"
        config.write_text(
            f"listen on 127.0.0.1 port {self.port} hostname mx.opensmtpd.test\n"
            f'action "out" relay host smtp://{relay} helo mx.opensmtpd.test\n'
            'match from any for domain "refused.test" reject\n'
            'match from any for any action "out"\n'
        )
        argv = in_namespace(self.folder, USERS, FOLDERS, [str(binary), "-d", "-f", str(config)])
        self.program = Program(argv, folder, f"opensmtpd-{self.port}")
        try:
            self.program.wait_ready(lambda: answers(("127.0.0.1", self.port)))
        except BaseException:
            self.program.stop()
            raise

    def log(self) -> str:
        """Return what it printed: a line for each event."""
        return self.program.output()

    def stop(self) -> None:
        """End it."""
        self.program.stop()
