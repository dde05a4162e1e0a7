"""A real validating resolver (Unbound) in front of a test's name server."""

from pathlib import Path

import dns.message
import dns.query
import dns.rdatatype

from tests.peers.names import Names
from tests.peers.process import Program, answers, free_port, require


class Validator:
    """A running Unbound on 127.0.0.1:port that asks `names` for its zones.

    It trusts the keys that `keys_of` (names, if it is not given) has for them; with trusts=False none.
    """

    def __init__(
        self,
        folder: Path,
        names: Names,
        zones: tuple[str, ...],
        *,
        trusts: bool = True,
        keys_of: Names | None = None,
    ) -> None:
        require("unbound")
        self.port = free_port()
        home = folder / f"unbound-{self.port}"
        home.mkdir()
        anchors = home / "anchors"
        anchors.write_text(
            "".join(_keys((keys_of or names).port, zone) for zone in zones) if trusts else ""
        )
        config = home / "unbound.conf"
        config.write_text(self._config(names.port, zones, home, anchors))
        argv = ["unbound", "-d", "-p", "-c", str(config)]
        self.program = Program(argv, folder, f"unbound-{self.port}")
        try:
            self.program.wait_ready(lambda: answers(("127.0.0.1", self.port)))
        except BaseException:
            self.program.stop()
            raise

    def stop(self) -> None:
        """End the server."""
        self.program.stop()

    def _config(self, port: int, zones: tuple[str, ...], home: Path, anchors: Path) -> str:
        stubs = "".join(
            f'stub-zone:\n  name: "{zone}"\n  stub-addr: 127.0.0.1@{port}\n' for zone in zones
        )
        # Unbound answers for these itself, unless it is told not to.
        own = "".join(f'  local-zone: "{zone}." nodefault\n' for zone in ("test", *zones))
        return (
            "server:\n  interface: 127.0.0.1\n"
            f'  port: {self.port}\n  username: ""\n  chroot: ""\n  directory: "{home}"\n'
            f"{own}"
            "  do-not-query-localhost: no\n  use-syslog: no\n  do-daemonize: no\n"
            '  module-config: "validator iterator"\n  num-threads: 1\n  do-ip6: no\n'
            f'  trust-anchor-file: "{anchors}"\nremote-control:\n  control-enable: no\n{stubs}'
        )


def _keys(port: int, zone: str) -> str:
    """Return the zone's DNSKEY records, which are trusted as they are."""
    query = dns.message.make_query(zone, dns.rdatatype.DNSKEY)
    reply = dns.query.tcp(query, "127.0.0.1", timeout=5, port=port)
    return "".join(f"{rrset}\n" for rrset in reply.answer if rrset.rdtype == dns.rdatatype.DNSKEY)
