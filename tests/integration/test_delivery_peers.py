"""Attempts against real mail servers: Postfix's smtp-sink, Postfix with TLS, Dovecot's LMTP, Knot for MX."""

import time
from collections.abc import AsyncIterator

import pytest

from columba.common.dns.client import Client, Server
from columba.common.ipc import wire
from columba.delivery.job import Result
from columba.delivery.target import Target
from tests.fakes.delivering import Bench, content, host_target, job
from tests.peers.all import Peers

pytestmark = pytest.mark.peer


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.close()


def codes(results: list[Result]) -> list[tuple[str, int]]:
    return [(r.decision.verdict.value, r.decision.why.code) for r in results]


async def test_a_sink_takes_a_large_mail_in_pieces(peers: Peers, bench: Bench) -> None:
    sink = peers.sink()
    body = b"".join(b"%06d .\r\n.\r\n" % n for n in range(100_000))
    results = await bench.attempts.run(job(host_target(sink.port), mail=content(body)))
    assert codes(results) == [("delivered", 250)]
    (mail,) = sink.mails()
    assert body.replace(b"\r\n", b"\n") in mail.message.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("stage", ["ehlo", "mail", "rcpt", "data", "."])
async def test_a_sink_that_refuses_or_defers(peers: Peers, bench: Bench, stage: str) -> None:
    refusing, deferring = peers.sink(refuse=stage), peers.sink(defer=stage)
    hard = await bench.attempts.run(job(host_target(refusing.port)))
    soft = await bench.attempts.run(job(host_target(deferring.port)))
    host_only = stage == "ehlo"  # HELO is tried then, and taken
    assert codes(hard)[0][0] == ("delivered" if host_only else "failed")
    assert codes(soft)[0][0] == "temporary"


@pytest.mark.parametrize("stage", ["ehlo", "mail", "rcpt", "data", "."])
async def test_a_sink_that_hangs_up(peers: Peers, bench: Bench, stage: str) -> None:
    for sink in (peers.sink(close=stage), peers.sink(close_421=stage)):
        (result,) = await bench.attempts.run(job(host_target(sink.port)))
        assert codes([result]) == [("temporary", 451)]
        assert result.decision.next_host is (stage != ".")  # it may have the mail


async def test_dovecot_takes_mail_for_each_recipient(peers: Peers, bench: Bench) -> None:
    dovecot = peers.dovecot({"kim@x.test": "secret", "lee@x.test": "secret"})
    targets = (
        Target("unix", dovecot.lmtp_path, 0, True, "may", "", "", "lmtp"),
        host_target(dovecot.lmtp_port, lmtp=True),
    )
    for target in targets:
        results = await bench.attempts.run(job(target, "kim@x.test", "nobody@x.test", "lee@x.test"))
        assert codes(results) == [("delivered", 250), ("failed", 550), ("delivered", 250)]
    mails = dovecot.mails("kim@x.test")
    assert len(mails) == 2 and b"Subject: hi" in mails[0]
    assert len(dovecot.mails("lee@x.test")) == 2


async def test_dovecot_over_quota_fails_one_recipient_alone(peers: Peers, bench: Bench) -> None:
    dovecot = peers.dovecot({"kim@x.test": "secret"}, quota="1k")
    target = Target("unix", dovecot.lmtp_path, 0, True, "may", "", "", "lmtp")
    big = content(b"x" * 70 + b"\r\n" + b"y\r\n" * 2000)
    (result,) = await bench.attempts.run(job(target, "kim@x.test", mail=big))
    assert result.decision.verdict.value in ("failed", "temporary")
    assert result.decision.why.enhanced[1:] == ".2.2"


async def test_mx_from_a_real_name_server_to_a_real_postfix(peers: Peers) -> None:
    postfix = peers.postfix(discard=True, domain="postfix.test")
    names = peers.names(
        {"postfix.test": "@ MX 10 dead\n@ MX 20 alive\ndead A 127.0.0.9\nalive A 127.0.0.1\n"}
    )
    bench = Bench(Client([Server("127.0.0.1", names.port)]))
    target = Target("mx", "postfix.test", postfix.port, False, "may", "", "", "mx:postfix.test")
    envelope = wire.Envelope(sender=b"me@x.test", body8=True)
    for _ in range(2):
        began = time.monotonic()
        results = await bench.attempts.run(job(target, "kim@postfix.test", envelope=envelope))
        assert codes(results) == [("delivered", 250)]
        assert results[0].hop.startswith("alive.postfix.test[127.0.0.1]")
    assert bench.pool.reused == 1 and time.monotonic() - began < 1
    await bench.close()
