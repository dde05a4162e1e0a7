"""Exim as the SMTP client: mails that it is given on its standard input, sent on to a port of ours at once.

It uses what is offered: CHUNKING, PRDR, DSN, PIPELINING. Its debugging output is the dialogue, as text.
"""

import asyncio
import re
from pathlib import Path

from tests.peers.exim import USER
from tests.peers.process import PATH, run
from tests.peers.unpacked import in_namespace, unpacked


class EximSender:
    """Sends to 127.0.0.1:port. Needs root."""

    def __init__(self, folder: Path, port: int) -> None:
        binary = unpacked("exim4-daemon-light") / "usr/sbin/exim4"
        self.folder = folder / f"exim-to-{port}"
        for name in ("spool", "log"):
            (self.folder / name).mkdir(parents=True)
        config = self.folder / "exim.conf"
        config.write_text(_config(self.folder, port, binary))
        config.chmod(0o644)
        given = [str(binary), "-C", str(config), "-d-all+transport+deliver", "-odf", "-bs"]
        self._argv = in_namespace(self.folder, [USER], [], given)
        passwd = (self.folder / "passwd").read_text().splitlines()
        uid = next(line.split(":")[2] for line in passwd if line.startswith(USER + ":"))
        run(["chown", "-R", f"{uid}:{uid}", str(self.folder / "spool"), str(self.folder / "log")])

    async def send(self, *lines: str, timeout_s: float = 30.0) -> list[str]:
        """Say these lines to it; return what it said (C: …) and heard (S: …) on the way to us."""
        text = "".join(line + "\r\n" for line in ("EHLO giver.test", *lines, "QUIT"))
        log = self.folder / "dialogue"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", *self._argv,
                stdin=asyncio.subprocess.PIPE, stdout=output, stderr=output, cwd=self.folder,
                env={"PATH": PATH}, start_new_session=True,
            )  # fmt: skip
            try:
                async with asyncio.timeout(timeout_s):
                    await process.communicate(text.encode())
            finally:
                if process.returncode is None:
                    process.kill()
        found = re.findall(r"SMTP(>>|[|+]>|<<) (.*)", log.read_text(errors="replace"))
        return [("S: " if way == "<<" else "C: ") + words for way, words in found]

    def log(self) -> str:
        """Return its main log."""
        path = self.folder / "log" / "main.log"
        return path.read_text() if path.exists() else ""


def _config(folder: Path, port: int, binary: Path) -> str:
    return f"""
primary_hostname = exim.sender.test
exim_path = {binary}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%s.log
keep_environment =
host_lookup =
tls_advertise_hosts =
smtp_enforce_sync = false
dsn_advertise_hosts = *
prdr_enable = true
acl_smtp_rcpt = accept
acl_smtp_data = accept
log_selector = +smtp_confirmation
begin acl
begin routers
all:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = out
begin transports
out:
  driver = smtp
  port = {port}
  allow_localhost
  hosts_try_chunking = *
  hosts_try_prdr = *
  hosts_avoid_tls = *
  hosts_try_dane =
begin retry
* * F,1h,10m
"""
