"""Submission (RFC 6409), later release (RFC 4865), what travels with a mail; on both event loops."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from columba.common.ipc import wire
from columba.common.lookup.open import open_url
from columba.common.mail.header import Header
from columba.common.off_loop import OffLoop
from columba.smtpd.owners import Ownership, ownership
from tests.fakes.smtpd_world import Client, World, greeted

SENDERS = "inline:joe@b.example=joe,@c.example=joe ann"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    found = World(
        tmp_path,
        xclient_networks=["127.0.0.1"],
        trusted_networks=["10.0.0.0/8"],
        submission_sender_login=SENDERS,
        future_release_limit=3600.0,
        vrfy="ask",
        expn_table="inline:staff=joe@b.example ann@c.example,utf=j\u00f6@b.example",
    )
    yield found
    await found.close()


async def submitter(world: World, login: str = "joe", **also: str) -> Client:
    """Return a client that has logged in, as a proxy says."""
    client = await greeted(world, "submission")
    said = {"LOGIN": login, **also}
    await client.ask("XCLIENT " + " ".join(f"{key}={value}" for key, value in said.items()))
    await client.ask("EHLO laptop")
    return client


async def sent(
    client: Client, world: World, head: bytes = b"x: y\r\n", mail: str = "joe@b.example"
) -> wire.Handoff:
    await client.all(
        f"MAIL FROM:<{mail}>" if "<" not in mail else f"MAIL FROM:{mail}",
        "RCPT TO:<c@d.example>",
        "DATA",
    )
    assert (await client.ask(head + b"\r\nbody\r\n.\r\n")).startswith("250")
    handoff = world.requests(wire.Handoff)[-1]
    assert isinstance(handoff, wire.Handoff)
    return handoff


async def test_who_has_not_logged_in_may_send_nothing(world: World) -> None:
    await world.start("submission")
    client = await greeted(world, "submission")
    assert (await client.ask("MAIL FROM:<joe@b.example>")).startswith("530 5.7.0")
    await client.ask("XCLIENT ADDR=10.1.1.1")
    await client.ask("EHLO x")
    assert (await client.ask("MAIL FROM:<joe@b.example>")).startswith("530 5.7.0")


async def test_neighbours_may_if_they_are_let(tmp_path: Path) -> None:
    world = World(tmp_path, trusted_networks=["127.0.0.1"], submission_trust_networks=True)
    await world.start("submission")
    client = await greeted(world, "submission")
    assert (await client.ask("MAIL FROM:<joe@b.example>")).startswith("250")
    await world.close()


@pytest.mark.parametrize(
    ("sender", "reply"),
    [
        ("joe@b.example", "250"),
        ("JOE@B.example", "250"),
        ("any@c.example", "250"),
        ("", "250"),
        ("ann@b.example", "553 5.7.1 Sender address does not belong to your login"),
        ("joe@elsewhere.example", "553 5.7.1"),
    ],
)
async def test_a_sender_address_belongs_to_logins(world: World, sender: str, reply: str) -> None:
    await world.start("submission")
    client = await submitter(world)
    assert (await client.ask(f"MAIL FROM:<{sender}>")).startswith(reply)


async def test_a_login_is_bound_to_its_addresses_at_port_25_too(world: World) -> None:
    await world.start("smtp")
    client = await greeted(world)
    await client.ask("XCLIENT LOGIN=joe")
    await client.ask("EHLO laptop")
    assert (await client.ask("MAIL FROM:<ann@b.example>")).startswith("553 5.7.1")
    assert (await client.ask("MAIL FROM:<joe@b.example>")).startswith("250")


@pytest.mark.parametrize(
    ("sender", "owned"), [(b'"ann"@d.example', False), (b'"a\\nn"@d.example', False), (b'"x"@d.example', True)]
)  # fmt: skip
async def test_needless_quotes_make_no_other_address(sender: bytes, owned: bool) -> None:
    """An address of its own goes before @domain: quotes are no way around it."""
    off_loop = OffLoop(1, "test")
    table = open_url("senders", "inline:ann@d.example=ann,@d.example=joe", off_loop)
    found = await ownership(table, "joe", sender, 1.0)
    assert found is (Ownership.OWNED if owned else Ownership.FOREIGN)
    off_loop.close()


async def test_a_table_that_does_not_answer_means_later(tmp_path: Path) -> None:
    world = World(
        tmp_path, xclient_networks=["127.0.0.1"], submission_sender_login=f"file:{tmp_path}/none"
    )
    await world.start("submission")
    client = await submitter(world)
    assert (await client.ask("MAIL FROM:<joe@b.example>")).startswith("451 4.3.0")
    await world.close()


@pytest.mark.parametrize("has", [(), ("Date",), ("Date", "Message-ID")])
async def test_date_and_message_id_are_added(world: World, has: tuple[str, ...]) -> None:
    await world.start("submission", "smtp")
    head = b"".join(f"{name}: own\r\n".encode() for name in has) + b"Subject: x\r\n"
    handoff = await sent(await submitter(world), world, head)
    header = Header(world.mails[-1].parts[0])
    assert header.count("Date") == header.count("Message-ID") == 1
    for name in ("Date", "Message-ID"):
        assert (header.text(name) == "own") is (name in has)
    if "Message-ID" not in has:
        assert header.text("Message-ID") == f"<{handoff.id}@mx.example>"
    await sent(await greeted(world), world, head, "a@b.example")
    assert header.count("Date") == 1 and Header(world.mails[-1].parts[0]).count("Date") == (
        "Date" in has
    )


async def test_the_client_can_be_hidden(tmp_path: Path) -> None:
    world = World(tmp_path, xclient_networks=["127.0.0.1"])
    world.own = {"submission": {"submission_hide_client": True}}
    await world.start("submission")
    handoff = await sent(await submitter(world, ADDR="192.0.2.77", NAME="home.example"), world)
    trace = " ".join(Header(world.mails[0].parts[0]).text("Received").split())
    assert trace.startswith("from unknown by mx.example with ESMTPA id ")
    assert handoff.client.ip == "192.0.2.77"  # for scripts
    await world.close()


async def test_a_mail_may_leave_later(world: World) -> None:
    await world.start("submission")
    client = await submitter(world)
    assert "FUTURERELEASE 3600 20" in await client.ask("EHLO x")
    now_s = time.time()
    handoff = await sent(client, world, mail="<joe@b.example> HOLDFOR=600")
    assert 600 <= handoff.envelope.hold_until_s - now_s < 610
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s + 1800))
    handoff = await sent(client, world, mail=f"<joe@b.example> HOLDUNTIL={until}")
    assert handoff.envelope.hold_until_s == int(now_s + 1800)
    assert not (await sent(client, world, mail="<joe@b.example> HOLDFOR=0")).envelope.hold_until_s


async def test_not_too_late_and_not_for_everybody(world: World) -> None:
    await world.start("submission", "smtp")
    client = await submitter(world)
    assert (await client.ask("MAIL FROM:<joe@b.example> HOLDFOR=3700")).startswith("501 5.5.4")
    assert (await client.ask("MAIL FROM:<> HOLDFOR=60")).startswith("501 5.5.4")
    stranger = await greeted(world)
    assert "FUTURERELEASE" not in await stranger.ask("EHLO x")
    assert (await stranger.ask("MAIL FROM:<a@b.example> HOLDFOR=60")).startswith("555 5.5.4")


async def test_wishes_travel_with_the_mail(world: World) -> None:
    await world.start("submission")
    client = await submitter(world)
    await client.all(
        "MAIL FROM:<joe@b.example> RET=HDRS ENVID=a+2Bb BODY=8BITMIME SMTPUTF8",
        "RCPT TO:<c@d.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c+2Bx@d.example",
        "RCPT TO:<e@d.example> NOTIFY=NEVER ORCPT=utf-8;e\\x{E4}@d.example",
        "DATA",
    )
    await client.ask(b"TLS-Required: no\r\n\r\n.\r\n")
    (handoff,) = world.requests(wire.Handoff)
    assert isinstance(handoff, wire.Handoff)
    envelope, (first, second) = handoff.envelope, handoff.recipients
    assert (envelope.ret, envelope.envid, envelope.body8, envelope.smtputf8) == (
        "HDRS",
        "a+b",
        True,
        True,
    )
    assert (first.notify, first.orcpt) == (("SUCCESS", "DELAY"), "rfc822;c+x@d.example")
    assert (second.notify, second.orcpt) == (("NEVER",), "utf-8;e\u00e4@d.example")
    assert envelope.tls_optional and not envelope.requiretls
    assert handoff.client.protocol == "UTF8SMTPA"


async def test_vrfy_asks_as_rcpt_does_where_clients_may_know(world: World) -> None:
    await world.start("submission", "smtp")
    stranger, client = await greeted(world), await submitter(world)
    assert (await stranger.ask("VRFY <joe@b.example>")).startswith("252 2.5.0")
    assert await client.ask("VRFY joe@b.example") == "250 2.1.5 <joe@b.example>"
    world.verdict = wire.Verdict(action="reply", code=550, enhanced="5.1.1", text="nobody")
    assert await client.ask("VRFY joe@b.example") == "550 5.1.1 nobody"
    assert (await client.ask("VRFY joe")).startswith("252")
    assert (await client.ask("VRFY j\u00f6@b.example")).startswith("553 5.6.7")
    assert (await client.ask("VRFY j\u00f6@b.example SMTPUTF8")).startswith("550 5.1.1")
    assert (await client.ask("MAIL FROM:<joe@b.example>")).startswith("250")


async def test_expn_shows_lists_to_those_who_may_know(world: World) -> None:
    await world.start("submission", "smtp")
    stranger, client = await greeted(world), await submitter(world)
    assert (await stranger.ask("EXPN staff")).startswith("550 5.7.1")
    assert await client.ask("EXPN staff") == "250-2.1.5 <joe@b.example>\n250 2.1.5 <ann@c.example>"
    assert (await client.ask("EXPN nothing")).startswith("550 5.1.1")
    assert (await client.ask("EXPN utf")).startswith("553 5.6.7")
    assert await client.ask("EXPN utf SMTPUTF8") == "250 2.1.5 <j\u00f6@b.example>"


@pytest.mark.parametrize(("policy", "code"), [("neutral", "252"), ("off", "502")])
async def test_vrfy_by_policy(tmp_path: Path, policy: str, code: str) -> None:
    world = World(tmp_path, vrfy=policy, trusted_networks=["127.0.0.1"])
    await world.start()
    client = await greeted(world)
    assert (await client.ask("VRFY joe@b.example")).startswith(code)
    assert (await client.ask("EXPN staff")).startswith("502 5.5.1")
    assert (await client.ask("HELP VRFY")).startswith("214 2.0.0")
    await world.close()
