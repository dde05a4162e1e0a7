"""What attempts make of what a hop offers, limits and asks: chunks, PRDR, LIMITS, logins, sources, transcripts."""

import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from columba.common.dns.resolver import MxRecord, RecordType
from columba.common.errors import UnavailableError
from columba.common.ipc import wire
from columba.common.lookup.tables import InlineTable
from columba.delivery.connect import Families
from columba.delivery.job import Result
from columba.delivery.logins import Logins
from columba.delivery.source import Source
from columba.delivery.target import Endpoint, Target
from tests.fakes.certificate import self_signed
from tests.fakes.delivering import BODY, HEADER, Bench, content, host_target, job, seconds
from tests.fakes.resolver import FakeResolver
from tests.peers.all import Peers
from tests.peers.hop import FEATURES, Step

A, AAAA, MX = RecordType.A, RecordType.AAAA, RecordType.MX
FIVE = tuple(f"{name}@x.test" for name in "abcde")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.close()


def verdicts(results: list[Result]) -> list[str]:
    return [result.decision.verdict.value for result in results]


def codes(results: list[Result]) -> list[tuple[int, str]]:
    return [(r.decision.why.code, r.decision.why.enhanced) for r in results]


@pytest.mark.parametrize("lmtp", [False, True])
@pytest.mark.parametrize("body", [BODY, b"", b"no line end", b"ab\r\n" * 200_000])
async def test_a_chunk_brings_what_data_brings(
    peers: Peers, bench: Bench, body: bytes, lmtp: bool
) -> None:
    chunked = peers.hop(lmtp=lmtp, features=(*FEATURES, "CHUNKING"))
    plain = peers.hop(lmtp=lmtp)
    for hop in (chunked, plain):
        target = host_target(hop.port, lmtp=lmtp)
        results = await bench.attempts.run(job(target, "a@x.test", "b@x.test", mail=content(body)))
        assert verdicts(results) == ["delivered"] * 2
    (by_chunk,), (by_data,) = chunked.taken(), plain.taken()
    assert by_chunk.message == by_data.message
    assert by_data.message.startswith(HEADER + b"\r\n" + body)
    assert (by_chunk.chunked, by_data.chunked) == (True, False)


async def test_without_time_left_a_chunk_is_not_ended(peers: Peers, bench: Bench) -> None:
    hop = peers.hop(features=("CHUNKING", "PIPELINING"))
    hop.always("rcpt", Step(delay_s=0.3))
    large = content(b"x" * 70 + b"\r\n" * 100_000)
    for mail in (content(), large):
        results = await bench.attempts.run(job(host_target(hop.port), commit_s=0.1, mail=mail))
        assert codes(results) == [(451, "4.4.7")]
    assert len(hop.transactions) == 2 and not any(one.dot_s for one in hop.transactions)


async def test_a_bare_newline_leaves_in_no_chunk(peers: Peers, bench: Bench) -> None:
    hop = peers.hop(features=("CHUNKING",))
    results = await bench.attempts.run(job(host_target(hop.port), mail=content(b"a\n.\r\nb\r\n")))
    assert codes(results) == [(451, "4.6.0")]
    assert not hop.transactions[0].dot_s


async def test_a_mail_greater_than_the_hop_takes_is_not_tried(peers: Peers, bench: Bench) -> None:
    hop = peers.hop(features=("SIZE 40",))
    results = await bench.attempts.run(job(host_target(hop.port)))
    assert codes(results) == [(552, "5.3.4")] and not hop.transactions
    hop.features = ("SIZE 0",)
    bench.pool.close()[0].abort()
    assert verdicts(await bench.attempts.run(job(host_target(hop.port)))) == ["delivered"]


async def test_each_recipient_has_its_reply_where_prdr_is_offered(
    peers: Peers, bench: Bench
) -> None:
    hop = peers.hop(features=(*FEATURES, "PRDR"))
    hop.always("each", Step("550 5.7.1 not me"), "b@x.test")
    hop.always("rcpt", Step("450 4.2.1 later"), "c@x.test")
    results = await bench.attempts.run(job(host_target(hop.port), *FIVE[:4]))
    assert verdicts(results) == ["delivered", "failed", "temporary", "delivered"]
    assert hop.taken()[0].prdr


async def test_limits_make_several_transactions(peers: Peers, bench: Bench) -> None:
    hop = peers.hop(features=(*FEATURES, "LIMITS RCPTMAX=2 MAILMAX=2"))
    results = await bench.attempts.run(job(host_target(hop.port), *FIVE))
    assert verdicts(results) == ["delivered"] * 5
    sent = [(one.connection, [r[0] for r in one.recipients]) for one in hop.taken()]
    assert sent == [(1, ["a", "b"]), (1, ["c", "d"]), (2, ["e"])]


async def test_domains_in_a_transaction(peers: Peers, bench: Bench) -> None:
    hop = peers.hop(features=(*FEATURES, "LIMITS RCPTDOMAINMAX=1"))
    to = ("a@one.test", "b@one.test", "c@two.test", "d@one.test")
    assert verdicts(await bench.attempts.run(job(host_target(hop.port), *to))) == ["delivered"] * 4
    assert [len(one.recipients) for one in hop.taken()] == [2, 1, 1]


@pytest.mark.parametrize("reply", ["452 4.5.3 too many", "452 too many", "552 5.5.3 too many"])
async def test_who_is_too_many_is_sent_at_once_in_another_transaction(
    peers: Peers, bench: Bench, reply: str
) -> None:
    hop = peers.hop()
    for name in "cde":
        hop.once("rcpt", Step(reply), f"{name}@x.test")
    results = await bench.attempts.run(job(host_target(hop.port), *FIVE))
    assert verdicts(results) == ["delivered"] * 5
    assert [len(one.recipients) for one in hop.taken()] == [2, 3] and hop.connections == 1


async def test_too_many_without_anybody_who_got_through_waits(peers: Peers, bench: Bench) -> None:
    hop = peers.hop()
    hop.always("rcpt", Step("452 4.5.3 too many"))
    results = await bench.attempts.run(job(host_target(hop.port), *FIVE))
    assert codes(results) == [(452, "4.5.3")] * 5 and len(hop.transactions) == 1


async def test_the_rest_goes_to_another_host_when_one_gives_up(peers: Peers) -> None:
    hop = peers.hop(features=(*FEATURES, "LIMITS RCPTMAX=2"))
    hop.once("mail", Step())
    hop.once("mail", Step("421 4.3.2 enough", close=True))
    resolver = FakeResolver()
    resolver.records["x.test", MX] = (MxRecord(1, "one.test"), MxRecord(2, "two.test"))
    resolver.records["one.test", A] = resolver.records["two.test", A] = ("127.0.0.1",)
    bench = Bench(resolver)
    target = Target("mx", "x.test", hop.port, False, "may", "", "", "mx:x.test")
    assert verdicts(await bench.attempts.run(job(target, *FIVE))) == ["delivered"] * 5
    assert [len(one.recipients) for one in hop.taken()] == [2, 2, 1]
    await bench.close()


async def test_a_callout_asks_again_where_the_idle_connection_was_closed(
    peers: Peers, bench: Bench
) -> None:
    hop = peers.hop()
    await bench.attempts.run(job(host_target(hop.port)))
    hop.once("mail", Step("421 4.4.2 idle too long", close=True))
    route = wire.Route(kind="relay", host="127.0.0.1", port=hop.port)
    asked = wire.CallOut(route=route, sender=b"", recipient=b"kim@x.test", deadline_ns=seconds(5.0))
    answer = await bench.callouts.ask(asked)
    assert (answer.code, hop.connections) == (250, 2)


async def test_a_report_of_success_is_passed_on_only_where_that_is_offered(
    peers: Peers, bench: Bench
) -> None:
    for features, passed in ((("DSN",), True), ((), False)):
        hop = peers.hop(features=features)
        work = job(host_target(hop.port))
        asking = wire.Recipient(number="1", address=b"a@x.test", notify=("SUCCESS",))
        (result,) = await bench.attempts.run(replace(work, recipients=(asking,)))
        assert result.passes_dsn is passed


async def test_a_hop_that_is_ourselves_is_a_loop(peers: Peers) -> None:
    hop = peers.hop()
    hop.always("ehlo", Step("250-us.test hello\r\n250 PIPELINING"))
    resolver = FakeResolver({("x.test", A): ("127.0.0.1",)})
    bench = Bench(resolver)
    target = Target("mx", "x.test", hop.port, False, "may", "", "", "mx:x.test")
    (result,) = await bench.attempts.run(job(target))
    assert codes([result]) == [(554, "5.4.6")] and result.decision.alert
    assert verdicts(await bench.attempts.run(job(host_target(hop.port)))) == ["delivered"]
    await bench.close()


def logins(value: str, *, allows_clear: bool = False) -> Logins:
    return Logins(InlineTable({"127.0.0.1": value}), allows_clear)


@pytest.mark.parametrize("mechanisms", ["PLAIN", "LOGIN", "GSSAPI LOGIN PLAIN"])
async def test_login_at_a_relay(peers: Peers, mechanisms: str) -> None:
    hop = peers.hop(logins={"kim": "se:cret"}, mechanisms=mechanisms)
    bench = Bench(logins=logins("kim:se:cret", allows_clear=True))
    for _ in range(2):
        assert verdicts(await bench.attempts.run(job(host_target(hop.port)))) == ["delivered"]
    assert [one.login for one in hop.taken()] == ["kim", "kim"] and hop.connections == 1
    assert "se:cret" not in repr(bench.shelf.of("01M")) + "".join(bench.lines)
    assert b"c2U6Y3JldA" not in repr(bench.shelf.of("01M")).encode()
    await bench.close()


async def test_a_wrong_password_is_temporary_and_alarming(peers: Peers) -> None:
    hop = peers.hop(logins={"kim": "secret"})
    bench = Bench(logins=logins("kim:other", allows_clear=True))
    (result,) = await bench.attempts.run(job(host_target(hop.port)))
    assert codes([result]) == [(451, "4.7.8")] and result.decision.alert
    assert not hop.transactions and hop.connections == 1
    await bench.close()


async def test_no_password_goes_out_in_clear(
    peers: Peers, tmp_path_factory: pytest.TempPathFactory
) -> None:
    hop = peers.hop(logins={"kim": "secret"})
    bench = Bench(logins=logins("kim:secret"))
    (result,) = await bench.attempts.run(job(host_target(hop.port)))
    assert result.decision.why.code == 451 and not hop.transactions
    await bench.close()
    context = tls_of(tmp_path_factory)
    safe = peers.hop(logins={"kim": "secret"}, tls=context)
    bench = Bench(logins=logins("kim:secret"))
    (result,) = await bench.attempts.run(job(host_target(safe.port, tls="none")))
    assert result.tls and safe.taken()[0].login == "kim"
    await bench.close()


def tls_of(factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Return a server's context."""
    pair: tuple[Path, Path] = self_signed(factory.mktemp("tls"), "hop.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context


async def test_the_submissions_port_speaks_tls_from_the_first_octet(
    peers: Peers, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = tls_of(tmp_path_factory)
    hop = peers.hop(logins={"kim": "secret"}, tls=context, implicit=True)
    monkeypatch.setattr("columba.delivery.opening.SUBMISSIONS", hop.port)
    bench = Bench(logins=logins("kim:secret"))
    for _ in range(2):
        (result,) = await bench.attempts.run(job(host_target(hop.port)))
        assert result.tls and verdicts([result]) == ["delivered"]
    assert hop.taken()[0].login == "kim" and hop.connections == 1
    await bench.close()


@pytest.mark.parametrize(
    ("families", "asked", "reached"),
    [
        (Families.IPV6, {A, AAAA}, True),
        (Families.IPV4, {A, AAAA}, True),
        (Families.IPV4_ONLY, {A}, True),
        (Families.IPV6_ONLY, {AAAA}, False),
    ],
)
async def test_only_families_that_are_wanted_are_looked_up(
    peers: Peers, families: Families, asked: set[RecordType], reached: bool
) -> None:
    hop = peers.hop()
    resolver = FakeResolver({("x.test", A): ("127.0.0.1",)})
    bench = Bench(resolver, families=families)
    target = Target("mx", "x.test", hop.port, False, "may", "", "", "mx:x.test")
    (result,) = await bench.attempts.run(job(target))
    assert (verdicts([result]) == ["delivered"]) is reached
    assert {kind for _, kind in resolver.asked} - {MX} == asked
    await bench.close()


async def test_no_more_addresses_are_tried_than_is_allowed(peers: Peers) -> None:
    hop = peers.hop()
    hop.always("connect", Step("421 4.3.2 busy"))
    resolver = FakeResolver()
    resolver.records["x.test", MX] = tuple(MxRecord(n, f"mx{n}.test") for n in range(6))
    for n in range(6):
        resolver.records[f"mx{n}.test", A] = ("127.0.0.1",)
    bench = Bench(resolver, endpoints_max=3)
    target = Target("mx", "x.test", hop.port, False, "may", "", "", "mx:x.test")
    assert codes(await bench.attempts.run(job(target))) == [(451, "4.3.2")]
    assert hop.connections == 3
    await bench.close()


async def test_credentials_that_cant_be_had_stop_the_mail(peers: Peers) -> None:
    class Broken(InlineTable):
        async def get(self, key: str, timeout_s: float) -> str | None:
            raise UnavailableError("the table is gone")

    hop = peers.hop()
    bench = Bench(logins=Logins(Broken({}), allows_clear=True))
    (result,) = await bench.attempts.run(job(host_target(hop.port)))
    assert codes([result]) == [(451, "4.3.5")] and not hop.connections
    await bench.close()


async def test_sources_and_pools(peers: Peers) -> None:
    sources = {
        "one": Source("one", ipv4="127.0.0.11", helo="one.us.test"),
        "two": Source("two", ipv4="127.0.0.12", helo="two.us.test"),
        "six": Source("six", ipv6="::1", helo="six.us.test"),
    }
    bench = Bench(sources={name: sources[name] for name in ("one", "two")})
    hop = peers.hop()
    target = host_target(hop.port)
    for name in ("one", "two", "one", "127.0.0.13", *["all"] * 12):
        work = job(replace(target, source=name))
        assert verdicts(await bench.attempts.run(work)) == ["delivered"]
    helos = [one.helo for one in hop.taken()]
    assert helos[:4] == ["one.us.test", "two.us.test", "one.us.test", "us.test"]
    assert set(helos[4:]) == {"one.us.test", "two.us.test"} and hop.connections == 3
    (result,) = await bench.attempts.run(job(replace(target, source="none")))
    assert codes([result]) == [(451, "4.3.5")] and result.decision.alert
    (result,) = await bench.attempts.run(job(replace(target, source="::1")))
    assert result.decision.why.code == 451 and len(hop.taken()) == 16
    (result,) = await bench.attempts.run(job(replace(target, source="one", helo="own.test")))
    assert hop.taken()[-1].helo == "own.test"
    await bench.close()


async def test_a_host_that_is_down_is_not_tried(peers: Peers) -> None:
    hop = peers.hop()
    resolver = FakeResolver({("x.test", A): ("127.0.0.1",)})
    bench = Bench(resolver)
    down = Endpoint("x.test", "127.0.0.1", hop.port)
    bench.health.failed(down, 5_000_000_000, time.monotonic_ns())
    target = Target("mx", "x.test", hop.port, False, "may", "", "", "mx:x.test")
    assert codes(await bench.attempts.run(job(target))) == [(451, "4.4.1")] and not hop.connections
    bench.health.worked(down)
    assert verdicts(await bench.attempts.run(job(target))) == ["delivered"]
    await bench.close()


async def test_what_was_said_is_kept_for_a_while(peers: Peers, bench: Bench) -> None:
    hop = peers.hop()
    hop.once("connect", Step("421 4.3.2 busy", close=True))
    await bench.attempts.run(job(host_target(hop.port)))
    await bench.attempts.run(job(host_target(hop.port)))
    first, second = bench.shelf.of("01M")
    assert first.hop == second.hop == f"127.0.0.1[127.0.0.1]:{hop.port}"
    said = b"".join(data for _, _, data in second.entries).decode()
    assert "421" in repr(first.entries) and "220 hop.test" in said
    for words in (
        "EHLO us.test",
        "MAIL FROM:<me@x.test>",
        "RCPT TO:<kim@x.test>",
        "250 2.0.0 taken",
    ):
        assert words in said
    assert "Subject" not in said and "two" not in said
    await bench.attempts.run(job(host_target(1)))
    assert "no connection to" in repr(bench.shelf.of("01M")[2])


async def test_a_route_names_the_table_of_its_login_and_how_long_it_may_take(peers: Peers) -> None:
    hop = peers.hop(logins={"kim": "secret", "ann": "hers"})
    named = {"smarthosts": InlineTable({"127.0.0.1": "ann:hers"})}
    bench = Bench(logins=Logins(InlineTable({"127.0.0.1": "kim:secret"}), True, named))
    target = host_target(hop.port)
    for auth in ("", "smarthosts"):
        assert verdicts(await bench.attempts.run(job(replace(target, auth=auth)))) == ["delivered"]
    assert [one.login for one in hop.taken()] == ["kim", "ann"]
    (result,) = await bench.attempts.run(job(replace(target, auth="unknown")))
    assert codes([result]) == [(451, "4.3.5")] and result.decision.alert
    hop.always("mail", Step(delay_s=20))
    began = time.monotonic()
    (result,) = await bench.attempts.run(job(replace(target, auth="smarthosts", timeout_s=1)))
    assert result.decision.verdict.value != "delivered" and time.monotonic() - began < 10
    await bench.close()
