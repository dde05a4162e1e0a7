"""What a listener offers, and what comes of it: BDAT, PRDR; on both event loops."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from columba.common.ipc import wire
from tests.fakes.certificate import certificates
from tests.fakes.smtpd_world import Client, World, all_of, greeted, unread

HEAD = b"Message-ID: <1@b>\r\n\r\n"
TWO = ("RCPT TO:<c@d.example>", "RCPT TO:<e@d.example>")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    found = World(tmp_path, trusted_networks=["127.0.0.0/8"])
    yield found
    await found.close()


async def keywords(client: Client) -> list[str]:
    reply = await client.ask("EHLO x")
    return [line[4:].split()[0] for line in reply.split("\n")[1:]]


async def test_each_listener_offers_what_it_is_told(world: World) -> None:
    world.own = {
        "smtp": {"smtp_extensions": ["-CHUNKING", "-dsn"], "message_size_limit": 2000},
        "submission": {"smtp_extensions": ["SIZE", "PIPELINING"]},
        "lmtp": {"recipient_limit": 7},
    }
    await world.start("smtp", "submission", "lmtp")
    offered = await keywords(await greeted(world))
    assert offered == [
        "PIPELINING",
        "SIZE",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        "LIMITS",
        "PRDR",
        "FUTURERELEASE",
    ]
    assert await keywords(await greeted(world, "submission")) == ["PIPELINING", "SIZE"]
    client = await greeted(world, "lmtp")
    assert "250 LIMITS RCPTMAX=7" in await client.ask("LHLO x")
    assert (await (await greeted(world)).ask("MAIL FROM:<> SIZE=2001")).startswith("552")


async def test_what_is_not_offered_is_not_taken(world: World) -> None:
    world.own = {"smtp": {"smtp_extensions": ["PIPELINING"]}}
    await world.start()
    client = await greeted(world)
    assert (await client.ask("MAIL FROM:<a@b.example> SIZE=1")).startswith("555 5.5.4")
    assert (await client.ask("MAIL FROM:<a@b.example> PRDR")).startswith("555 5.5.4")
    await client.all("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
    assert (await client.ask(b"BDAT 6 LAST\r\nQUIT\r\n")).startswith("502 5.5.1")
    assert (await client.ask("NOOP")).startswith("250")


async def test_chunks_make_a_message(world: World) -> None:
    await world.start()
    client = await greeted(world)
    replies = await client.all("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
    assert [r[:3] for r in replies] == ["250", "250"]
    half = len(HEAD) - 1
    assert (
        await client.ask(b"BDAT %d\r\n" % half + HEAD[:half]) == f"250 2.0.0 {half} octets received"
    )
    assert (await client.ask(b"BDAT 6 LAST\r\n\n.\r\nno")).startswith("250 2.0.0 Ok")
    assert world.bodies == [b".\r\nno\r\n"]
    (handoff,) = world.requests(wire.Handoff)
    assert isinstance(handoff, wire.Handoff) and handoff.envelope.size > len(HEAD)
    assert not world.service._shared.spool.used


async def test_a_big_message_of_chunks_goes_to_the_spool(world: World) -> None:
    await world.start()
    client = await greeted(world)
    await client.all("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
    await client.ask(b"BDAT %d\r\n" % len(HEAD) + HEAD)
    part = b"x" * 998 + b"\r\n"
    for _ in range(5):
        assert (await client.ask(b"BDAT 100000\r\n" + part * 100)).startswith("250")
    assert (await client.ask(b"BDAT 0 LAST\r\n")).startswith("250 2.0.0 Ok")
    assert world.bodies == [part * 500]
    assert not list((world.folder / "spool").iterdir()) and not world.service._shared.spool.used


@pytest.mark.parametrize("fault", ["too big", "spool full", "bare newline", "not the time"])
async def test_a_refused_chunk_ends_the_transaction(tmp_path: Path, fault: str) -> None:
    world = World(tmp_path, message_size_limit=100_000, spool_limit=50_000)
    await world.start()
    client = await greeted(world)
    await client.all("MAIL FROM:<a@b.example> SIZE=40000", "RCPT TO:<c@d.example>")
    if fault == "not the time":
        assert (await client.ask("DATA")).startswith("354")
        assert (await client.ask(HEAD + b".\r\n")).startswith("250")
    big = {
        "too big": b"x" * 200_000,
        "spool full": b"y: z\r\n\r\n" + b"x" * 90_000,
        "bare newline": b"\n",
    }
    data = big.get(fault, b"QUIT\r\n")
    wanted = {"too big": "552 5.3.4", "bare newline": "550 5.5.2", "not the time": "503 5.5.1"}
    reply = await client.ask(b"BDAT %d\r\n" % len(data) + data)
    if fault == "spool full":  # known when it is written
        assert reply.startswith("250")
        reply = await client.ask(b"BDAT 0 LAST\r\n")
        wanted[fault] = "452 4.3.1"
    assert reply.startswith(wanted[fault])
    assert world.service._shared.spool.used == 0
    assert (await client.ask("RCPT TO:<c@d.example>")).startswith("503 5.5.1")
    assert (await client.ask("MAIL FROM:<a@b.example>")).startswith("250")
    await world.close()


async def test_rset_between_chunks_gives_the_spool_back(world: World) -> None:
    await world.start()
    client = await greeted(world)
    await client.all("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
    data = HEAD + b"x" * 400_000
    assert (await client.ask(b"BDAT %d\r\n" % len(data) + data)).startswith("250")
    assert world.service._shared.spool.used
    assert (await client.ask("RSET")).startswith("250")
    assert not world.service._shared.spool.used


async def test_each_recipient_has_its_answer_with_prdr(world: World) -> None:
    await world.start()
    world.outcomes = lambda h: (
        all_of("delivered")(h)[0],
        all_of("refused", 452, "full")(h)[1],
        all_of("failed", 550, "no")(h)[2],
    )
    client = await greeted(world)
    await client.all("MAIL FROM:<a@b.example> PRDR", *TWO, "RCPT TO:<g@d.example>", "DATA")
    replies = [await client.ask(HEAD + b".\r\n")] + [await client.reply() for _ in range(4)]
    assert [r[:3] for r in replies] == ["353", "250", "452", "550", "250"]
    assert await client.ask("NOOP") == "250 2.0.0 Ok"
    assert not world.requests(wire.Bounce) and not world.requests(wire.FencePut)


@pytest.mark.parametrize(
    ("kinds", "last"),
    [
        (("failed", "failed"), "550 5.0.0"),
        (("failed", "refused"), "451 4.0.0"),
        (("refused", "refused"), "451 4.0.0"),
    ],
)
async def test_the_last_line_of_prdr_is_the_common_failure(
    world: World, kinds: tuple[wire.OutcomeKind, ...], last: str
) -> None:
    await world.start()
    codes = {"failed": 550, "refused": 451}
    world.outcomes = lambda h: tuple(
        all_of(kind, codes[kind], "no")(h)[n] for n, kind in enumerate(kinds)
    )
    client = await greeted(world)
    await client.all("MAIL FROM:<a@b.example> PRDR", *TWO)
    replies = [await client.ask(b"BDAT %d LAST\r\n" % len(HEAD) + HEAD)] + [
        await client.reply() for _ in range(3)
    ]
    assert [int(r[:3]) for r in replies[:3]] == [353, *(codes[kind] for kind in kinds)]
    assert replies[3].replace("-", " ").startswith(last)


@pytest.mark.parametrize("what", ["one recipient", "not asked", "loop"])
async def test_without_need_there_is_one_answer(world: World, what: str) -> None:
    await world.start()
    client = await greeted(world)
    wish = "" if what == "not asked" else " PRDR"
    await client.all(
        f"MAIL FROM:<a@b.example>{wish}", *TWO[: 1 if what == "one recipient" else 2], "DATA"
    )
    loop = b"Received: by x\r\n" * 120 if what == "loop" else b""
    reply = await client.ask(loop + HEAD + b".\r\n")
    assert reply.startswith("554 5.4.6" if loop else "250 2.0.0 Ok")
    assert await client.ask("NOOP") == "250 2.0.0 Ok"


async def test_many_tiny_chunks_become_errors(tmp_path: Path) -> None:
    """They keep a message and the connection open as long as the client likes."""
    world = World(tmp_path, junk_command_limit=5, error_limit=2)
    await world.start()
    client = await greeted(world)
    await client.all("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
    replies = []
    for _ in range(6):
        await client.say("BDAT 0")
        replies.append((await client.reply())[:3])
    assert replies == ["250"] * 6
    assert (await client.reply()).startswith("421")
    await world.close()


async def test_junk_commands_become_errors(tmp_path: Path) -> None:
    world = World(tmp_path, junk_command_limit=5, error_limit=2)
    await world.start()
    client = await greeted(world)
    replies = await client.all(*["NOOP"] * 6)
    assert [r[:3] for r in replies] == ["250"] * 6
    assert (await client.ask("NOOP")).startswith("421 4.7.0 Too many errors")
    await world.close()


async def test_requiretls_is_offered_in_tls_alone(world: World, tmp_path: Path) -> None:
    await world.start(tls=certificates(tmp_path))
    client = await greeted(world)
    assert "REQUIRETLS" not in await keywords(client)
    assert (await client.ask("MAIL FROM:<a@b.example> REQUIRETLS")).startswith("555 5.5.4")
    assert (await client.ask("STARTTLS")).startswith("220")
    await client.start_tls()
    offered = await keywords(client)
    assert "REQUIRETLS" in offered and "STARTTLS" not in offered
    await client.all("MAIL FROM:<a@b.example> REQUIRETLS", "RCPT TO:<c@d.example>", "DATA")
    await client.ask(b"TLS-Required: No\r\n\r\n.\r\n")
    (handoff,) = world.requests(wire.Handoff)
    assert isinstance(handoff, wire.Handoff)
    assert handoff.envelope.requiretls and not handoff.envelope.tls_optional
    assert handoff.client.protocol == "ESMTPS"
    assert b" with ESMTPS id " in world.mails[0].parts[0]


async def test_a_host_that_takes_no_mail_says_521(tmp_path: Path) -> None:
    """RFC 7504 §3: as the greeting, and the connection ends."""
    world = World(tmp_path, sieve_connect="/is/there")
    world.verdict = wire.Verdict(
        action="reply", code=521, enhanced="5.3.2", text="This host takes no mail"
    )
    await world.start()
    client = await unread(world)
    assert await client.reply() == "521 5.3.2 This host takes no mail"
    with pytest.raises(EOFError):
        await client.reply()
    await world.close()


@pytest.mark.parametrize(("wish", "code"), [(" PRDR", "250"), ("", "452")])
async def test_a_strangers_recipients_may_part_where_each_has_its_answer(
    tmp_path: Path, wish: str, code: str
) -> None:
    world = World(tmp_path, sieve_rcpt="/is/there")
    await world.start()
    client = await greeted(world)
    replies = await client.all(f"MAIL FROM:<a@b.example>{wish}", *TWO)
    assert [r[:3] for r in replies] == ["250", "250", code]
    await world.close()


@pytest.mark.parametrize("fault", [b"x\ny", b"Received: by x\r\n" * 120])
async def test_lmtp_answers_once_for_a_recipient_that_became_several(
    tmp_path: Path, fault: bytes
) -> None:
    world = World(tmp_path, sieve_rcpt="/is/there")
    world.verdict = wire.Verdict(recipients=(b"one@d.example", b"two@d.example"))
    await world.start("lmtp")
    client = await greeted(world, "lmtp")
    await client.all("MAIL FROM:<a@b.example>", "RCPT TO:<all@d.example>", "DATA")
    reply = await client.ask(fault + b"\r\n.\r\n")
    assert reply.startswith("55") and "(01" in reply  # with the id of the message
    assert await client.ask("NOOP") == "250 2.0.0 Ok"
    await world.close()
