"""columbadm smtp probe: what a server shows, with and without TLS, and with certificates that do not hold."""

import json
import ssl
from pathlib import Path

import pytest
from click.testing import CliRunner

from columba.common.dns.resolver import MxRecord, RecordType
from columba.master.cli.__main__ import columbadm
from columba.master.cli.cmd_smtp import host_and_port
from columba.master.cli.probe import Found, Wanted, addresses_of, mx_of, probe
from tests.fakes.certificate import self_signed
from tests.fakes.resolver import FakeResolver
from tests.peers.all import Peers
from tests.peers.hop import Hop, Step


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"), "hop.test")


def server_tls(pair: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context


async def look(hop: Hop, host: str, ca_file: str = "") -> Found:
    return await probe(Wanted(host, "127.0.0.1", hop.port, "us.test", ca_file=ca_file, timeout_s=5))


async def test_a_server_in_clear(peers: Peers) -> None:
    found = await look(peers.hop(features=("PIPELINING", "SIZE 100")), "hop.test")
    assert (found.banner, found.hello) == ("220 hop.test ESMTP", "EHLO hop.test")
    assert found.offered == ("PIPELINING", "SIZE 100")
    assert (found.tls, found.chain, found.verified, found.error) == ("", (), False, "")


@pytest.mark.parametrize(("name", "holds"), [("hop.test", True), ("other.test", False)])
async def test_a_server_with_tls(
    peers: Peers, pair: tuple[Path, Path], name: str, holds: bool
) -> None:
    hop = peers.hop(features=("SIZE",), tls=server_tls(pair))
    found = await look(hop, name, str(pair[0]))
    assert found.offered == ("SIZE",) and found.offered_in_clear == ("SIZE", "STARTTLS")
    assert found.tls == "TLSv1.3" and found.cipher and found.error == ""
    (line,) = found.chain
    assert line.startswith("CN=hop.test; issuer CN=hop.test;") and " names hop.test;" in line
    assert found.verified is holds and bool(found.verify_error) is not holds
    if not holds:
        assert "other.test" in found.verify_error


@pytest.mark.parametrize(
    ("stage", "reply", "words"),
    [
        ("connect", "554 go away", "no welcome"),
        ("ehlo", "421 busy", "EHLO was refused"),
        ("connect", "HTTP/1.1 400", "not a reply"),
        ("starttls", "454 not now", "STARTTLS was refused"),
    ],
)
async def test_servers_that_do_not_play(
    peers: Peers, pair: tuple[Path, Path], stage: str, reply: str, words: str
) -> None:
    hop = peers.hop(tls=server_tls(pair))
    hop.always(stage, Step(reply))
    assert words in (await look(hop, "hop.test")).error


async def test_nobody_answers(peers: Peers) -> None:
    hop = peers.hop()
    hop.stop()
    found = await look(hop, "hop.test")
    assert "no connection" in found.error and not found.banner


async def test_names() -> None:
    resolver = FakeResolver()
    resolver.records["x.test", RecordType.MX] = (MxRecord(20, "b.test"), MxRecord(10, "a.test"))
    resolver.records["a.test", RecordType.A] = ("192.0.2.1",)
    resolver.records["a.test", RecordType.AAAA] = ("2001:db8::1",)
    assert await mx_of("x.test", resolver, 1) == ("a.test", "b.test")
    assert await mx_of("a.test", resolver, 1) == ("a.test",)
    assert await addresses_of("a.test", resolver, 1) == ("2001:db8::1", "192.0.2.1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mx.test", ("mx.test", 25)),
        ("mx.test:587", ("mx.test", 587)),
        ("[2001:db8::1]:26", ("2001:db8::1", 26)),
        ("2001:db8::1", ("2001:db8::1", 25)),
        ("[192.0.2.1]", ("192.0.2.1", 25)),
    ],
)
def test_where_to_look(text: str, expected: tuple[str, int]) -> None:
    assert host_and_port(text) == expected


def test_the_command(peers: Peers, pair: tuple[Path, Path], tmp_path: Path) -> None:
    config = tmp_path / "columba.conf"
    config.write_text("columba_config_version = 1.0\nhostname = us.test\n")
    hop = peers.hop(tls=server_tls(pair))
    runner = CliRunner()
    at = f"127.0.0.1:{hop.port}"
    done = runner.invoke(columbadm, ["-c", str(config), "-f", "json", "smtp", "probe", at])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    assert (
        row["tls"] == "TLSv1.3" and row["verified"] is False and "PIPELINING" in row["extensions"]
    )
    assert "self-signed" in row["verify_error"] or "self signed" in row["verify_error"]
    done = runner.invoke(columbadm, ["-c", str(config), "smtp", "probe", at])
    assert "  banner: 220 hop.test ESMTP\n" in done.stdout and "  chain: CN=hop.test" in done.stdout
    hop.stop()
    done = runner.invoke(columbadm, ["-c", str(config), "smtp", "probe", at])
    assert done.exit_code == 69 and "error: no connection" in done.stdout
