"""A real authoritative name server (Knot) with the zones that a test gives."""

from collections.abc import Mapping
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from tests.peers.process import Program, free_port, require

SOA = "@ 60 IN SOA ns.{zone}. hostmaster.{zone}. 1 60 60 600 60\n@ 60 IN NS ns.{zone}.\n"


class Names:
    """A running knotd: UDP and TCP on 127.0.0.1:port."""

    def __init__(self, folder: Path, zones: Mapping[str, str], *, signed: bool = False) -> None:
        """Serve zones: name to records in master file form; SOA and NS are added."""
        require("knotd")
        self.port = free_port()
        self._folder = folder / f"knot-{self.port}"
        (self._folder / "db").mkdir(parents=True)
        self._zones = dict(zones)
        for zone, text in zones.items():
            head = f"$ORIGIN {zone}.\n$TTL 60\n" + SOA.format(zone=zone)
            (self._folder / f"{zone}.zone").write_text(f"{head}ns 60 IN A 127.0.0.1\n{text}\n")
        config = self._folder / "knot.conf"
        config.write_text(self._config(signed))
        self.program = Program(["knotd", "-c", str(config)], folder, f"knot-{self.port}")
        try:
            self.program.wait_ready(self._is_loaded)
        except BaseException:
            self.program.stop()
            raise

    def stop(self) -> None:
        """End the server."""
        self.program.stop()

    def _config(self, signed: bool) -> str:
        """Return knot.conf."""
        signing = "    dnssec-signing: on\n" if signed else ""
        entries = "".join(
            f"  - domain: {zone}\n    file: {self._folder}/{zone}.zone\n"
            f"    zonefile-sync: -1\n{signing}"
            for zone in self._zones
        )
        return (
            f"server:\n    rundir: {self._folder}\n    listen: 127.0.0.1@{self.port}\n"
            "    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n"
            f"database:\n    storage: {self._folder}/db\n    timer-db-max-size: 10M\n"
            "    journal-db-max-size: 10M\n    kasp-db-max-size: 10M\n"
            "log:\n  - target: stderr\n    any: info\n"
            f"zone:\n{entries}"
        )

    def _is_loaded(self) -> bool:
        """Tell whether every zone is answered with authority."""
        for zone in self._zones:
            query = dns.message.make_query(zone, "SOA")
            try:
                answer = dns.query.udp(query, "127.0.0.1", timeout=0.5, port=self.port)
            except (dns.exception.DNSException, OSError):
                return False
            if not answer.answer:
                return False
        return True
