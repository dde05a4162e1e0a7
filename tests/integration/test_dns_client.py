"""The DNS client against a real name server."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from columba.common.dns.client import Client, Server, system_servers
from columba.common.dns.resolver import Answer, MxRecord, RecordType, Status, TlsaRecord
from tests.peers.all import open_folder
from tests.peers.names import Names

pytestmark = pytest.mark.peer
ZONE = """$TTL 300
@ IN MX 10 mx1
@ IN MX 20 mx2.other.test.
mx1 IN A 127.0.0.2
mx1 IN AAAA ::1
null IN MX 0 .
text IN TXT "v=spf1 " "-all"
alias IN CNAME mx1
round IN CNAME round2
round2 IN CNAME round
_25._tcp.mx1 IN TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
big IN TXT "{text}"
""".replace("{text}", '" "'.join(["x" * 250] * 12))


@pytest.fixture(scope="module")
def server() -> Iterator[Names]:
    with open_folder() as folder:
        running = Names(folder, {"mail.test": ZONE})
        yield running
        running.stop()


async def ask(server: Names, name: str, kind: RecordType) -> Answer:
    client = Client([Server("127.0.0.1", server.port)])
    return await client.query(name, kind, time.monotonic_ns() + 5_000_000_000)


async def test_mx_and_addresses(server: Names) -> None:
    answer = await ask(server, "Mail.Test.", RecordType.MX)
    assert answer.status is Status.FOUND
    assert set(answer.mx()) == {MxRecord(10, "mx1.mail.test"), MxRecord(20, "mx2.other.test")}
    assert (answer.ttl_s, answer.secure) == (300, False)
    assert (await ask(server, "mx1.mail.test", RecordType.A)).names() == ("127.0.0.2",)
    assert (await ask(server, "mx1.mail.test", RecordType.AAAA)).names() == ("::1",)


async def test_null_mx_text_and_tlsa(server: Names) -> None:
    assert (await ask(server, "null.mail.test", RecordType.MX)).mx() == (MxRecord(0, ""),)
    assert (await ask(server, "text.mail.test", RecordType.TXT)).texts() == (b"v=spf1 -all",)
    tlsa = (await ask(server, "_25._tcp.mx1.mail.test", RecordType.TLSA)).records
    assert tlsa == (TlsaRecord(3, 1, 1, bytes.fromhex("00112233445566778899aabbccddeeff" * 2)),)


async def test_a_large_answer_comes_over_tcp(server: Names) -> None:
    assert (await ask(server, "big.mail.test", RecordType.TXT)).texts() == (b"x" * 3000,)


async def test_names_that_are_not_there(server: Names) -> None:
    missing = await ask(server, "nobody.mail.test", RecordType.MX)
    assert (missing.status, missing.ttl_s) == (Status.NO_NAME, 60)
    assert (await ask(server, "text.mail.test", RecordType.MX)).status is Status.NO_DATA
    assert (await ask(server, "elsewhere.example", RecordType.MX)).status is Status.FAILED
    assert (await ask(server, "a..b", RecordType.MX)).status is Status.NO_NAME


async def test_aliases_are_followed_and_loops_end(server: Names) -> None:
    answer = await ask(server, "alias.mail.test", RecordType.A)
    assert (answer.names(), answer.name) == (("127.0.0.2",), "mx1.mail.test")
    assert (await ask(server, "round.mail.test", RecordType.A)).records == ()


async def test_a_silent_server_costs_its_share_and_the_next_one_answers(server: Names) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        mute = Server("127.0.0.1", silent.getsockname()[1])
        only = Client([mute])
        began = time.monotonic()
        answer = await only.query("mail.test", RecordType.MX, time.monotonic_ns() + 300_000_000)
        assert answer.status is Status.TIMEOUT
        assert time.monotonic() - began < 1.5
        dead = Server("127.0.0.1", 1)
        both = Client([dead, Server("127.0.0.1", server.port)])
        answer = await both.query("mail.test", RecordType.MX, time.monotonic_ns() + 5_000_000_000)
        assert answer.status is Status.FOUND


async def test_the_second_question_is_answered_from_memory(server: Names) -> None:
    client = Client([Server("127.0.0.1", server.port)])
    deadline_ns = time.monotonic_ns() + 5_000_000_000
    first = await client.query("mail.test", RecordType.MX, deadline_ns)
    assert await client.query("MAIL.test.", RecordType.MX, deadline_ns) is first


async def test_names_with_letters_of_their_own_are_asked_in_a_labels() -> None:
    answer = await Client([]).query("Stra\u00dfe.test", RecordType.MX, time.monotonic_ns() + 10**9)
    assert answer.name == "xn--strae-oqa.test."


def test_trust_and_the_systems_servers(tmp_path: Path) -> None:
    assert Server("127.0.0.53").is_trusted and Server("::1").is_trusted
    assert not Server("192.0.2.53").is_trusted
    file = tmp_path / "resolv.conf"
    file.write_text("# c\nsearch x\nnameserver 192.0.2.1\nnameserver junk\nnameserver ::1\n")
    assert system_servers(str(file)) == (Server("192.0.2.1"), Server("::1"))
    assert system_servers(str(tmp_path / "missing")) == (Server("127.0.0.1"),)
