"""Attempts against a scripted hop over real sockets: every stage, every way it can go wrong."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from columba.common.dns.resolver import MxRecord, RecordType
from columba.common.ipc import wire
from columba.delivery.job import Result
from columba.delivery.outcome import Verdict
from columba.delivery.pool import Limits
from columba.delivery.session import quit_all
from columba.delivery.target import Target, TlsDemand
from columba.delivery.window import Bounds, Windows
from tests.fakes.certificate import self_signed
from tests.fakes.delivering import BODY, HEADER, Bench, content, host_target, job, seconds
from tests.fakes.resolver import FakeResolver
from tests.peers.all import Peers
from tests.peers.hop import Step

A, MX = RecordType.A, RecordType.MX


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.close()


def said(results: list[Result]) -> list[tuple[str, int, str]]:
    return [
        (r.decision.verdict.value, r.decision.why.code, r.decision.why.enhanced) for r in results
    ]


async def test_a_mail_arrives_as_it_is(peers: Peers, bench: Bench) -> None:
    hop = peers.hop()
    results = await bench.attempts.run(job(host_target(hop.port), "a@x.test", "b@x.test"))
    assert said(results) == [("delivered", 250, "2.0.0")] * 2
    (one,) = hop.taken()
    assert (one.helo, one.sender, one.recipients) == (
        "us.test",
        "me@x.test",
        ["a@x.test", "b@x.test"],
    )
    assert one.message == HEADER + b"\r\n" + BODY
    assert results[0].hop == f"127.0.0.1[127.0.0.1]:{hop.port}"
    assert results[0].decision.why.text == f"taken ({results[0].hop})"


@pytest.mark.parametrize(
    "case",
    [
        ("mail", "550 5.7.1 no", ("failed", 550, "5.7.1")),
        ("mail", "451 4.7.1 later", ("temporary", 451, "4.7.1")),
        ("rcpt", "550 5.1.1 unknown", ("failed", 550, "5.1.1")),
        ("rcpt", "450 4.2.0 greylisted", ("temporary", 450, "4.2.0")),
        ("rcpt", "552 too many", ("temporary", 451, "4.0.0")),
        ("data", "554 5.7.1 spam", ("failed", 554, "5.7.1")),
        ("data", "452 4.3.1 full", ("temporary", 452, "4.3.1")),
        ("dot", "554 5.7.1 spam", ("failed", 554, "5.7.1")),
        ("dot", "451 4.3.0 later", ("temporary", 451, "4.3.0")),
        ("dot", "421 4.3.2 closing", ("temporary", 451, "4.3.2")),
        ("mail", "530 5.7.0 AUTH first", ("temporary", 451, "4.7.0")),
        ("rcpt", "503 5.5.1 order", ("temporary", 451, "4.5.1")),
        ("connect", "554 5.7.1 go away", ("temporary", 451, "4.7.1")),
        ("connect", "421 4.7.0 busy", ("temporary", 451, "4.7.0")),
        ("ehlo", "421 4.7.0 busy", ("temporary", 451, "4.7.0")),
        ("mail", "421 4.7.0 busy", ("temporary", 451, "4.7.0")),
        ("rcpt", "421 4.7.0 busy", ("temporary", 451, "4.7.0")),
        ("data", "421 4.7.0 busy", ("temporary", 451, "4.7.0")),
        ("connect", "what", ("temporary", 451, "4.4.2")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("features", [("PIPELINING", "8BITMIME"), ("8BITMIME",)])
async def test_a_reply_at_each_stage(
    peers: Peers,
    bench: Bench,
    case: tuple[str, str, tuple[str, int, str]],
    features: tuple[str, ...],
) -> None:
    stage, reply, expected = case
    hop = peers.hop(features=features)
    hop.always(stage, Step(reply))
    assert said(await bench.attempts.run(job(host_target(hop.port)))) == [expected]
    assert not hop.taken()


@pytest.mark.parametrize("stage", ["connect", "ehlo", "mail", "rcpt", "data", "dot"])
async def test_a_lost_connection_is_temporary_at_each_stage(
    peers: Peers, bench: Bench, stage: str
) -> None:
    hop = peers.hop()
    hop.always(stage, Step(close=True))
    (result,) = await bench.attempts.run(job(host_target(hop.port)))
    assert said([result]) == [("temporary", 451, "4.4.2")]
    assert result.decision.next_host is (stage != "dot")
    assert hop.connections == 1


@pytest.mark.parametrize("stage", ["mail", "rcpt"])
async def test_a_hop_that_refuses_and_hangs_up_has_refused(
    peers: Peers, bench: Bench, stage: str
) -> None:
    hop = peers.hop()
    hop.always(stage, Step("550 5.7.1 no", close=True))
    assert said(await bench.attempts.run(job(host_target(hop.port)))) == [("failed", 550, "5.7.1")]


@pytest.mark.parametrize("stage", ["connect", "ehlo", "mail", "rcpt", "data"])
async def test_a_silent_hop_costs_no_more_than_the_deadline(
    peers: Peers, bench: Bench, stage: str
) -> None:
    hop = peers.hop()
    hop.always(stage, Step(reply="", delay_s=0))
    began = time.monotonic()
    results = await bench.attempts.run(job(host_target(hop.port), within_s=0.4))
    assert results[0].decision.verdict is Verdict.TEMPORARY
    assert time.monotonic() - began < 2


async def test_each_recipient_has_its_own_fate(peers: Peers, bench: Bench) -> None:
    hop = peers.hop()
    hop.always("rcpt", Step("550 5.1.1 unknown"), "b@x.test")
    hop.always("rcpt", Step("450 4.2.1 later"), "c@x.test")
    results = await bench.attempts.run(
        job(host_target(hop.port), "a@x.test", "b@x.test", "c@x.test")
    )
    assert [r.decision.verdict.value for r in results] == ["delivered", "failed", "temporary"]
    assert hop.taken()[0].recipients == ["a@x.test"]


async def test_lmtp_answers_for_each_recipient(
    peers: Peers, bench: Bench, shared_path: Path
) -> None:
    path = str(shared_path / "lmtp")
    hop = peers.hop(lmtp=True, path=path)
    hop.always("dot", Step("552 5.2.2 full"), "b@x.test")
    hop.always("rcpt", Step("550 5.1.1 unknown"), "c@x.test")
    target = Target("unix", path, 0, True, "may", "", "", f"lmtp:{path}")
    results = await bench.attempts.run(job(target, "a@x.test", "b@x.test", "c@x.test", "d@x.test"))
    assert [r.decision.why.code for r in results] == [250, 552, 550, 250]
    assert results[1].hop == path


async def test_lmtp_lost_in_the_middle_of_the_replies(peers: Peers, bench: Bench) -> None:
    hop = peers.hop(lmtp=True)
    hop.always("dot", Step(close=True), "b@x.test")
    target = host_target(hop.port, lmtp=True)
    results = await bench.attempts.run(job(target, "a@x.test", "b@x.test", "c@x.test"))
    verdicts = [r.decision.verdict.value for r in results]
    assert verdicts == ["delivered", "temporary", "temporary"]


async def test_without_time_left_the_message_is_not_ended(peers: Peers, bench: Bench) -> None:
    hop = peers.hop()
    hop.always("data", Step(delay_s=0.3))
    results = await bench.attempts.run(job(host_target(hop.port), commit_s=0.1))
    assert said(results) == [("temporary", 451, "4.4.7")]
    assert hop.transactions and not hop.transactions[0].dot_s


async def test_a_late_answer_is_waited_for_once_the_message_is_ended(
    peers: Peers, bench: Bench
) -> None:
    hop = peers.hop()
    hop.always("dot", Step(delay_s=0.5))
    work = job(host_target(hop.port), within_s=0.3)
    results = await bench.attempts.run(work)
    assert work.commitment.is_entered and time.monotonic_ns() > work.deadline_ns
    assert said(results) == [("delivered", 250, "2.0.0")]


async def test_connections_are_used_again_until_they_are_worn(peers: Peers) -> None:
    bench = Bench(limits=Limits(300, 10, 3, 50))
    hop = peers.hop()
    hop.once("rcpt", Step("550 5.1.1 no"))
    for _ in range(5):
        await bench.attempts.run(job(host_target(hop.port)))
    assert len(hop.taken()) == 4 and hop.connections == 2 and bench.pool.reused == 3
    await bench.close()


async def test_a_connection_that_died_in_the_cache_is_replaced(peers: Peers, bench: Bench) -> None:
    hop = peers.hop()
    target = host_target(hop.port)
    await bench.attempts.run(job(target))
    hop.drop_all()
    assert said(await bench.attempts.run(job(target))) == [("delivered", 250, "2.0.0")]
    hop.once("mail", Step(close=True))  # the hop closes when it hears of the next mail
    assert said(await bench.attempts.run(job(target))) == [("delivered", 250, "2.0.0")]
    hop.once("mail", Step("421 4.4.2 idle too long", close=True))
    assert said(await bench.attempts.run(job(target))) == [("delivered", 250, "2.0.0")]
    assert len(hop.taken()) == 4 and hop.connections == 4


async def test_idle_and_old_connections_are_let_go(peers: Peers) -> None:
    bench = Bench(limits=Limits(age_s=0.2, idle_s=0.1, uses=10, size=1))
    one, two = peers.hop(), peers.hop()
    await bench.attempts.run(job(host_target(one.port)))
    await bench.attempts.run(job(host_target(two.port)))
    assert len(bench.pool) == 1  # no room for both
    assert bench.pool.expired(seconds(0)) == []
    (idle,) = bench.pool.expired(seconds(0.2))
    await idle.quit()
    await bench.attempts.run(job(host_target(two.port)))
    assert two.connections == 2
    await bench.close()


def mx_world(*hosts: tuple[int, str, str]) -> FakeResolver:
    resolver = FakeResolver()
    resolver.records["x.test", MX] = tuple(MxRecord(p, name) for p, name, _ in hosts)
    for _, name, address in hosts:
        resolver.records[name, A] = (address,)
    return resolver


def mx_target(port: int) -> Target:
    return Target("mx", "x.test", port, False, "may", "", "", "mx:x.test")


@pytest.mark.parametrize("reply", ["554 5.7.1 go away", "421 4.7.0 busy"])
async def test_the_next_host_is_tried(peers: Peers, reply: str) -> None:
    hop = peers.hop()
    hop.once("connect", Step(reply))
    bench = Bench(mx_world((10, "one.test", "127.0.0.1"), (20, "two.test", "127.0.0.1")))
    (result,) = await bench.attempts.run(job(mx_target(hop.port)))
    assert (result.decision.verdict, hop.connections) == (Verdict.DELIVERED, 2)
    assert result.hop.startswith("two.test[")
    await bench.close()


async def test_a_dead_address_is_passed_by(peers: Peers) -> None:
    hop = peers.hop()
    resolver = mx_world((10, "one.test", "127.0.0.3"))
    resolver.records["one.test", A] = ("127.0.0.3", "127.0.0.1")
    bench = Bench(resolver)
    (result,) = await bench.attempts.run(job(mx_target(hop.port)))
    assert result.decision.verdict is Verdict.DELIVERED
    await bench.close()


async def test_what_the_names_say(peers: Peers) -> None:
    resolver = FakeResolver({("null.test", MX): (MxRecord(0, ""),)}, fail=frozenset({"bad.test"}))
    bench = Bench(resolver)
    cases = {
        "null.test": ("failed", 556, "5.1.10"),
        "gone.test": ("failed", 550, "5.1.2"),
        "bad.test": ("temporary", 451, "4.4.3"),
        "us.test": ("failed", 554, "5.4.6"),
    }
    resolver.records["us.test", A] = ("127.0.0.1",)
    for name, expected in cases.items():
        target = Target("mx", name, 25, False, "may", "", "", f"mx:{name}")
        assert said(await bench.attempts.run(job(target))) == [expected]
    await bench.close()


async def test_a_hop_without_an_extension_that_is_needed(peers: Peers, bench: Bench) -> None:
    hop = peers.hop(features=("PIPELINING",))
    utf8 = wire.Envelope(sender="jürgen@x.test".encode(), smtputf8=True)
    results = await bench.attempts.run(job(host_target(hop.port), envelope=utf8))
    assert said(results) == [("failed", 550, "5.6.7")]
    plain = wire.Envelope(sender=b"me@x.test", smtputf8=True, body8=True)
    results = await bench.attempts.run(job(host_target(hop.port), envelope=plain))
    assert said(results) == [("delivered", 250, "2.0.0")]
    eight = content("grüße\r\n".encode())
    results = await bench.attempts.run(job(host_target(hop.port), mail=eight, envelope=plain))
    assert said(results) == [("rework", 554, "5.6.3")]


async def test_a_bare_newline_never_leaves(peers: Peers, bench: Bench) -> None:
    hop = peers.hop()
    results = await bench.attempts.run(job(host_target(hop.port), mail=content(b"a\n.\r\nb\r\n")))
    assert said(results) == [("temporary", 451, "4.6.0")]
    assert not hop.transactions[0].dot_s


async def test_no_room_at_the_destination(peers: Peers) -> None:
    windows = Windows(Bounds(1))
    bench = Bench(windows=windows)
    hop = peers.hop()
    target = host_target(hop.port)
    assert await windows.of(target.route).enter(seconds(1))
    assert said(await bench.attempts.run(job(target, within_s=0.1))) == [
        ("temporary", 451, "4.3.2")
    ]
    windows.of(target.route).leave()
    assert said(await bench.attempts.run(job(target))) == [("delivered", 250, "2.0.0")]
    await bench.close()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"), "hop.test")


def server_tls(pair: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context


@pytest.mark.parametrize(
    "case",
    [
        ("may", "other.test", 250, True),
        ("none", "hop.test", 250, False),
        ("encrypt", "other.test", 250, True),
        ("verify", "hop.test", 250, True),
        ("verify", "other.test", 451, False),
    ],
)
async def test_tls_as_demanded(
    peers: Peers, pair: tuple[Path, Path], case: tuple[TlsDemand, str, int, bool]
) -> None:
    demand, name, expected, tls = case
    resolver = FakeResolver({(name, A): ("127.0.0.1",)})
    bench = Bench(resolver, ca_file=str(pair[0]))
    hop = peers.hop(tls=server_tls(pair))
    for _ in range(2):
        target = host_target(hop.port, tls=demand, name=name)
        (result,) = await bench.attempts.run(job(target))
        assert result.decision.why.code == expected
        assert bool(result.tls) is tls
    assert all(one.tls is tls for one in hop.taken())
    assert bench.pool.reused == (expected == 250)
    await bench.close()


async def test_goodbyes_to_silent_hops_take_no_longer_than_one(
    peers: Peers, bench: Bench, pair: tuple[Path, Path]
) -> None:
    hop = peers.hop(tls=server_tls(pair))
    jobs = [job(host_target(hop.port, tls="encrypt")) for _ in range(4)]
    await asyncio.gather(*map(bench.attempts.run, jobs))
    idle = bench.pool.close()
    hop.stall(2.5)
    began_s = time.monotonic()
    await quit_all(idle)
    assert len(idle) > 2 and time.monotonic() - began_s < 2.0


async def test_tls_that_is_not_offered_or_fails(peers: Peers, bench: Bench) -> None:
    hop = peers.hop()
    (result,) = await bench.attempts.run(job(host_target(hop.port, tls="encrypt")))
    assert result.decision.verdict is Verdict.TEMPORARY and not hop.transactions
    broken = peers.hop(features=("STARTTLS", "PIPELINING"))
    broken.always("starttls", Step("454 4.7.0 not now"))
    (result,) = await bench.attempts.run(job(host_target(broken.port)))
    assert result.decision.verdict is Verdict.DELIVERED


async def test_a_hop_that_wants_a_message_for_nobody_gets_none(peers: Peers, bench: Bench) -> None:
    hop = peers.hop()  # it answers 354 although MAIL was refused
    hop.once("mail", Step("451 4.7.1 later"))
    first = await bench.attempts.run(job(host_target(hop.port), "a@x.test"))
    assert said(first) == [("temporary", 451, "4.7.1")]
    began = time.monotonic()
    second = await bench.attempts.run(job(host_target(hop.port), "a@x.test"))
    assert said(second) == [("delivered", 250, "2.0.0")]
    assert time.monotonic() - began < 5
    assert len(hop.taken()) == 1
    assert hop.connections == 2
