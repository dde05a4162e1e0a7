"""A private HAProxy before our listeners: each way in has a port, and says in a PROXY header who comes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers.process import Program, answers, free_port, require

GLOBAL = """
global
  log stdout format raw local0
  maxconn 50
defaults
  mode tcp
  log global
  option tcplog
  option log-health-checks
  timeout connect 5s
  timeout client 30s
  timeout server 30s
"""


@dataclass(frozen=True)
class Way:
    """A way in: its name, our port behind it, HAProxy's word for the header; checked: asks the port's health."""

    name: str
    port: int
    header: str
    checked: bool = False


class Haproxy:
    """A running instance; ports tells the port of each way on 127.0.0.1. It connects from `source`."""

    def __init__(self, folder: Path, ways: Sequence[Way], source: str) -> None:
        require("haproxy")
        self.ports = {way.name: free_port() for way in ways}
        config = folder / "haproxy.cfg"
        config.write_text(GLOBAL + "".join(self._listen(way, source) for way in ways))
        self.program = Program(["haproxy", "-db", "-f", str(config)], folder, "haproxy")
        try:
            self.program.wait_ready(
                lambda: all(answers(("127.0.0.1", port)) for port in self.ports.values())
            )
        except BaseException:
            self.stop()
            raise

    def log(self) -> str:
        """Return what it printed: connections, health checks."""
        return self.program.output()

    def stop(self) -> None:
        """End it."""
        self.program.stop()

    def _listen(self, way: Way, source: str) -> str:
        """Return the section of one way."""
        check = " check check-send-proxy inter 200ms" if way.checked else ""
        talk = "  option smtpchk EHLO balancer.test\n" if way.checked else ""
        return (
            f"listen {way.name}\n  bind 127.0.0.1:{self.ports[way.name]}\n{talk}"
            f"  server columba 127.0.0.1:{way.port} source {source} {way.header}{check}\n"
        )
