"""A private Exim that takes mail and keeps it in its queue: PRDR, CHUNKING, DSN, PIPELINING.

Recipients whose local part begins with "no" are refused at RCPT, with "picky" after the message (its own PRDR reply).
"""

from pathlib import Path

from tests.peers.process import Program, answers, free_port, run
from tests.peers.unpacked import in_namespace, unpacked

USER = "Debian-exim"


class Exim:
    """A running instance on 127.0.0.1:port. Needs root."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        binary = unpacked("exim4-daemon-light") / "usr/sbin/exim4"
        self.port = free_port()
        self.folder = folder / f"exim-{self.port}"
        for name in ("spool", "log"):
            (self.folder / name).mkdir(parents=True)
        config = self.folder / "exim.conf"
        config.write_text(self._config())
        config.chmod(0o644)
        listen = f"127.0.0.1.{self.port}"
        argv = in_namespace(
            self.folder, [USER], [], [str(binary), "-C", str(config), "-bdf", "-oX", listen]
        )
        owner = [line for line in (self.folder / "passwd").read_text().splitlines() if USER in line]
        uid = owner[0].split(":")[2]
        run(["chown", "-R", f"{uid}:{uid}", str(self.folder / "spool"), str(self.folder / "log")])
        self.program = Program(argv, folder, f"exim-{self.port}")
        try:
            self.program.wait_ready(lambda: answers(("127.0.0.1", self.port)))
        except BaseException:
            self.program.stop()
            raise

    def log(self) -> str:
        """Return the main log: a line for each message taken."""
        path = self.folder / "log" / "main.log"
        return path.read_text() if path.exists() else ""

    def bodies(self) -> list[bytes]:
        """Return the bodies that the queue holds, without the first line, which names the message."""
        paths = sorted((self.folder / "spool" / "input").glob("*-D"))
        return [path.read_bytes().partition(b"\n")[2] for path in paths]

    def envelopes(self) -> list[str]:
        """Return the envelopes that the queue holds, as Exim writes them."""
        paths = sorted((self.folder / "spool" / "input").glob("*-H"))
        return [path.read_text(errors="replace") for path in paths]

    def stop(self) -> None:
        """End it."""
        self.program.stop()

    def _config(self) -> str:
        """Return its configuration."""
        return f"""
primary_hostname = mx.exim.test
exim_path = /bin/false
spool_directory = {self.folder}/spool
log_file_path = {self.folder}/log/%s.log
queue_only = true
keep_environment =
host_lookup =
tls_advertise_hosts =
chunking_advertise_hosts = *
prdr_enable = true
dsn_advertise_hosts = *
pipelining_connect_advertise_hosts =
acl_smtp_rcpt = rcpt
acl_smtp_data_prdr = each
acl_smtp_data = accept
begin acl
rcpt:
  deny local_parts = ^no
    message = no such user
  accept
each:
  deny local_parts = ^picky
    message = not for me
  accept
begin routers
all:
  driver = accept
  transport = nowhere
begin transports
nowhere:
  driver = appendfile
  file = /dev/null
"""
