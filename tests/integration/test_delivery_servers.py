"""Whole mail servers as next hops: Exim with PRDR and chunks, OpenSMTPD, Postfix with a login by Dovecot."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from columba.common.ipc import wire
from columba.common.lookup.tables import InlineTable
from columba.delivery.content import Content
from columba.delivery.job import Job, Result
from columba.delivery.logins import Logins
from tests.fakes.delivering import Bench, content, host_target
from tests.fakes.delivering import job as make_job
from tests.peers.all import Peers
from tests.peers.process import wait_until

pytestmark = pytest.mark.peer
LARGE = b"".join(b"%06d .\r\n.\r\n" % n for n in range(100_000))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.close()


def job(port: int, *to: str, mail: Content | None = None) -> Job:
    """Return a mail of a queue run: real servers may take their time."""
    return replace(make_job(host_target(port), *to, mail=mail, within_s=40.0), is_client=False)


def codes(results: list[Result]) -> list[tuple[str, int]]:
    return [(r.decision.verdict.value, r.decision.why.code) for r in results]


def heard(bench: Bench) -> str:
    """Return what was said in all connections."""
    entries = [entry for one in bench.shelf.of("01M") for entry in one.entries]
    return b"".join(data for _, _, data in entries).decode()


async def test_exim_has_a_reply_for_each_recipient(peers: Peers, bench: Bench) -> None:
    exim = peers.exim()
    to = ("kim@x.test", "nobody@x.test", "picky@x.test", "lee@x.test")
    results = await bench.attempts.run(job(exim.port, *to))
    assert codes(results) == [
        ("delivered", 250),
        ("failed", 550),
        ("failed", 550),
        ("delivered", 250),
    ]
    assert "not for me" in results[2].decision.why.text
    said = heard(bench)
    assert "PRDR\r\n" in said and "353" in said and "BDAT" in said and "DATA" not in said
    (envelope,) = exim.envelopes()
    assert "kim@x.test" in envelope and "lee@x.test" in envelope and "picky@x.test" not in envelope
    assert exim.bodies() == [b"one\n.two\n"]


async def test_exim_takes_large_chunks_one_after_the_other(peers: Peers, bench: Bench) -> None:
    exim = peers.exim()
    asking = wire.Recipient(number="1", address=b"kim@x.test", notify=("SUCCESS",))
    for _ in range(2):
        work = job(exim.port, mail=content(LARGE))
        (result,) = await bench.attempts.run(replace(work, recipients=(asking,)))
        assert codes([result]) == [("delivered", 250)] and result.passes_dsn
    assert exim.bodies() == [LARGE.replace(b"\r\n", b"\n")] * 2
    assert bench.pool.reused == 1 and "NOTIFY=SUCCESS" in heard(bench)


async def test_opensmtpd_takes_mail_command_by_command(peers: Peers, bench: Bench) -> None:
    sink = peers.sink()
    opensmtpd = peers.opensmtpd(f"127.0.0.1:{sink.port}")
    to = ("kim@x.test", "lee@refused.test")
    results = await bench.attempts.run(job(opensmtpd.port, *to))
    assert codes(results) == [("delivered", 250), ("failed", 550)]
    large = job(opensmtpd.port, "kim@x.test", mail=content(LARGE))
    assert codes(await bench.attempts.run(large)) == [("delivered", 250)]
    too_large = job(opensmtpd.port, mail=content(b"x\r\n" * 13_000_000))
    assert codes(await bench.attempts.run(too_large)) == [("failed", 552)]
    wait_until(lambda: sink.count() == 2, "two mails")
    assert any(LARGE.replace(b"\r\n", b"\n") in mail.message for mail in sink.mails())


@pytest.mark.parametrize("mechanisms", ["login", "scram-sha-256 plain"])
async def test_postfix_lets_us_in_by_a_login(peers: Peers, mechanisms: str) -> None:
    more = f"auth_mechanisms = {mechanisms}\n"
    dovecot = peers.dovecot({"kim@x.test": "secret, =word"}, more=more)
    postfix = peers.postfix(
        discard=True,
        settings={
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_type": "dovecot",
            "smtpd_sasl_path": dovecot.auth_path,
            "mynetworks": "192.0.2.1/32",
            "smtpd_relay_restrictions": "permit_sasl_authenticated,reject",
        },
    )
    bench = Bench()
    (refused,) = await bench.attempts.run(job(postfix.port))
    assert refused.decision.verdict.value == "failed"
    await bench.close()
    for password, expected in (("secret, =word", "delivered"), ("other", "temporary")):
        table = InlineTable({f"127.0.0.1:{postfix.port}": f"kim@x.test:{password}"})
        bench = Bench(logins=Logins(table, allows_clear=True))
        (result,) = await bench.attempts.run(job(postfix.port))
        assert result.decision.verdict.value == expected
        assert result.decision.alert is (expected == "temporary")
        assert mechanisms.split(maxsplit=1)[0].upper() in heard(bench)
        await bench.close()
