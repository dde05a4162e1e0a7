"""A real name server: NSD with zones of the test's own, on a port chosen by the kernel."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_HEAD = "$TTL 300\n@ IN SOA ns.{zone}. host.{zone}. 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n"
_CONF = """server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  zonesdir: "{folder}"
  database: ""
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  logfile: "{folder}/nsd.log"
  rrl-ratelimit: 0
remote-control:
  control-enable: no
"""


@dataclass(frozen=True)
class NameServer:
    """Where it answers."""

    address: str
    port: int


@contextmanager
def name_server(folder: Path, zones: dict[str, str]) -> Iterator[NameServer]:
    """Serve these zones (their records without SOA and NS) until the block ends."""
    port = _free_port()
    conf = _CONF.format(port=port, folder=folder)
    for zone, records in zones.items():
        (folder / f"{zone}.zone").write_text(_HEAD.format(zone=zone) + records)
        conf += f'zone:\n  name: "{zone}"\n  zonefile: "{zone}.zone"\n'
    (folder / "nsd.conf").write_text(conf)
    with (folder / "nsd.out").open("wb") as output:
        process = subprocess.Popen(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                "/usr/sbin/nsd",
                "-d",
                "-c",
                str(folder / "nsd.conf"),
            ],
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _wait_answering(port, folder)
            yield NameServer("127.0.0.1", port)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _free_port() -> int:
    """Return a port that was free for TCP and UDP a moment ago."""
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        port: int = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        return port


def _wait_answering(port: int, folder: Path) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError((folder / "nsd.out").read_text())
