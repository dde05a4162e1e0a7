"""smtpd between a client and workers of the test, on both event loops."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from columba.common.ipc import wire
from columba.common.ipc.tlsfiles import NONE
from tests.fakes.certificate import certificates
from tests.fakes.smtpd_world import Client, World, all_of, connect, unread, wait_for

Start = Callable[..., Awaitable[World]]
ENVELOPE = ("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")
MESSAGE = b"Message-ID: <1@b>\r\nSubject: x\r\n\r\nbody\r\n..dot\r\n.\r\n"


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    worlds: list[World] = []

    async def begin(
        *kinds: str, tls: bool = False, client_limit: int = 100, **changed: object
    ) -> World:
        world = World(tmp_path, **changed)
        worlds.append(world)
        files = certificates(tmp_path) if tls else NONE
        await world.start(*kinds, tls=files, client_limit=client_limit)
        return world

    yield begin
    for world in worlds:
        await world.close()


async def greeted(world: World, name: str = "smtp", tls: bool = False) -> Client:
    client = await connect(world, name, tls)
    assert (await client.ask("LHLO x" if name == "lmtp" else "EHLO x")).startswith("250-mx.example")
    return client


async def send(client: Client, message: bytes = MESSAGE) -> str:
    await client.say(*ENVELOPE)
    replies = [await client.reply() for _ in ENVELOPE]
    assert [r[:3] for r in replies] == ["250", "250", "354"], replies
    return await client.ask(message)


async def test_a_mail_goes_through_and_the_answer_is_the_hops(start: Start) -> None:
    world = await start()
    client = await greeted(world)
    reply = await send(client)
    (handoff,) = world.requests(wire.Handoff)
    assert isinstance(handoff, wire.Handoff)
    assert reply == f"250 2.0.0 Ok {handoff.id}: Ok"
    assert world.bodies == [b"body\r\n.dot\r\n"]
    header = world.mails[0].parts[0]
    assert header.startswith(b"Received: from x ([127.0.0.1])\r\n\tby mx.example with ESMTP id ")
    assert header.endswith(b"Message-ID: <1@b>\r\nSubject: x\r\n")
    assert handoff.recipients == (wire.Recipient(number="1", address=b"c@d.example"),)
    assert (handoff.may_queue, handoff.kind, handoff.path) == ("no", "received", ("smtpd.0.1",))
    assert any("Answered" in line and handoff.id in line for line in world.lines)
    assert (await client.ask("QUIT")).startswith("221")
    await wait_for(lambda: bool(world.requests(wire.Answered)))


@pytest.mark.parametrize(
    ("kind", "code", "wanted"),
    [
        ("failed", 550, "550 5.0.0 no"),
        ("refused", 451, "451 4.0.0 no"),
        ("queued", 250, "250 2.0.0 Queued as"),
    ],
)
async def test_answers(start: Start, kind: wire.OutcomeKind, code: int, wanted: str) -> None:
    world = await start()
    world.outcomes = all_of(kind, code, "no")
    client = await greeted(world)
    assert (await send(client)).startswith(wanted)
    assert (await send(client)).startswith(wanted)


async def test_mixed_results_make_a_dsn_before_the_250(start: Start) -> None:
    world = await start(trusted_networks=["127.0.0.0/8"])
    order: list[str] = []

    def mixed(handoff: wire.Handoff) -> tuple[wire.Outcome, ...]:
        good, bad = all_of("delivered")(handoff), all_of("failed", 550, "no")(handoff)
        return (good[0], bad[1])

    def queue(request: wire.Request) -> wire.Reply:
        order.append(type(request).__name__)
        return wire.Stored() if isinstance(request, wire.Bounce) else wire.Done()

    world.outcomes, world.queue_reply = mixed, queue
    client = await greeted(world)
    await client.say(
        "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "RCPT TO:<e@d.example>", "DATA"
    )
    for _ in range(4):
        await client.reply()
    assert (await client.ask(MESSAGE)).startswith("250 2.0.0 Ok")
    assert order == ["Bounce"]
    (bounce,) = world.requests(wire.Bounce)
    assert isinstance(bounce, wire.Bounce) and [o.number for o in bounce.failed] == ["2"]


async def test_a_dsn_that_cant_be_stored_means_451_and_fence(start: Start) -> None:
    world = await start(trusted_networks=["127.0.0.0/8"])
    world.outcomes = lambda h: (all_of("delivered")(h)[0], all_of("failed", 550)(h)[1])
    world.queue_reply = lambda r: (
        wire.NotStored(text="full") if isinstance(r, wire.Bounce) else wire.Done()
    )
    client = await greeted(world)
    await client.say(
        "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "RCPT TO:<e@d.example>", "DATA"
    )
    for _ in range(4):
        await client.reply()
    assert (await client.ask(MESSAGE)).startswith("451 4.3.0")
    assert len(world.requests(wire.Withheld)) == 1


async def test_a_client_that_vanishes_after_the_answer_is_not_told(start: Start) -> None:
    world = await start()
    client = await greeted(world)
    assert (await send(client)).startswith("250")
    client.cut()
    await wait_for(lambda: bool(world.requests(wire.Withheld)))
    assert not world.requests(wire.Answered)


async def test_a_client_that_vanishes_before_the_answer_is_not_told(start: Start) -> None:
    world = await start()
    world.delay_s = 0.1
    client = await greeted(world)
    await client.say(*ENVELOPE)
    for _ in ENVELOPE:
        await client.reply()
    await client.say(MESSAGE)
    await wait_for(lambda: bool(world.bodies))
    client.cut()
    await wait_for(lambda: bool(world.requests(wire.Withheld)))
    assert world.mails[0].is_cancelled


async def test_an_orderly_close_counts_as_told(start: Start) -> None:
    world = await start()
    client = await greeted(world)
    assert (await send(client)).startswith("250")
    await client.close()
    await wait_for(lambda: bool(world.requests(wire.Answered)))
    assert not world.requests(wire.Withheld)


async def test_quit_in_the_same_segment_waits_for_the_clients_close(start: Start) -> None:
    world = await start()
    client = await greeted(world)
    assert (await send(client, MESSAGE + b"QUIT\r\n")).startswith("250")
    assert (await client.reply()).startswith("221")
    await client.close()
    await wait_for(lambda: bool(world.requests(wire.Answered)))
    assert not world.requests(wire.Withheld)


async def test_dead_filter_means_451_for_an_untrusted_client(start: Start) -> None:
    world = await start(queue_unverified=True)
    client = await greeted(world)
    await client.say(*ENVELOPE)
    assert [(await client.reply())[:3] for _ in ENVELOPE] == ["250", "250", "354"]
    world.tell("queue")
    assert (await client.ask(MESSAGE)).startswith("451 4.3.")
    assert not world.requests(wire.Intake)


async def test_dead_filter_means_queued_for_a_trusted_client(start: Start) -> None:
    world = await start(trusted_networks=["127.0.0.0/8"], sieve_rcpt="")
    world.queue_reply = lambda r: (
        wire.Stored(keeper="queue.0.1") if isinstance(r, wire.Intake) else wire.Done()
    )
    client = await greeted(world)
    world.tell("queue")
    assert (await send(client)).startswith("250 2.0.0 Queued as ")
    (intake,) = world.requests(wire.Intake)
    assert isinstance(intake, wire.Intake) and intake.handoff.step == "sieve"


async def test_a_known_try_travels_as_fenced_and_is_dropped_when_told(start: Start) -> None:
    world = await start()
    fenced = wire.Fenced(original=b"c@d.example", finals=(b"c@d.example",), id="old")
    world.queue_reply = lambda r: (
        wire.FenceTold(fenced=(fenced,)) if isinstance(r, wire.FenceAsk) else wire.Done()
    )
    world.tell("sieve", "queue", note=1)
    client = await greeted(world)
    assert (await send(client)).startswith("250")
    (handoff,) = world.requests(wire.Handoff)
    assert isinstance(handoff, wire.Handoff) and handoff.fenced == (fenced,)
    await client.ask("NOOP")
    await wait_for(lambda: bool(world.requests(wire.FenceDrop)))


async def test_rcpt_stage_decides(start: Start) -> None:
    world = await start(sieve_rcpt="/x")
    world.verdict = wire.Verdict(action="reply", code=550, enhanced="5.7.1", text="No relaying")
    client = await greeted(world)
    await client.ask("MAIL FROM:<a@b.example>")
    assert await client.ask("RCPT TO:<c@d.example>") == "550 5.7.1 No relaying"
    assert await client.ask("DATA") == "503 5.5.1 Send RCPT first"
    world.verdict = wire.Verdict(variables={"seen": "1"}, group="relay:x:25")
    assert (await client.ask("RCPT TO:<c@d.example>")).startswith("250")
    assert (await client.ask("RCPT TO:<PostMaster>")).startswith("250")
    stages = [s for s in world.requests(wire.Stage) if isinstance(s, wire.Stage)]
    assert [s.recipient for s in stages][2] == b"postmaster@mx.example"
    assert stages[2].variables == {"seen": "1"} and stages[2].recipients == 1


async def test_a_silent_filter_at_a_stage_means_451(start: Start) -> None:
    world = await start(sieve_rcpt="/x", stage_timeout=0.1)
    client = await greeted(world)
    world.delay_s = 1.0
    await client.ask("MAIL FROM:<a@b.example>")
    assert (await client.ask("RCPT TO:<c@d.example>")).startswith("451 4.3.2")


async def test_disconnect_at_connect(start: Start) -> None:
    world = await start(sieve_connect="/x")
    world.verdict = wire.Verdict(action="disconnect", code=554, enhanced="5.7.1", text="Go away")
    refused = await unread(world)
    assert await refused.reader.read() == b"554 5.7.1 Go away\r\n"


async def test_null_sender_has_one_recipient(start: Start) -> None:
    world = await start()
    client = await greeted(world)
    await client.ask("MAIL FROM:<>")
    assert (await client.ask("RCPT TO:<c@d.example>")).startswith("250")
    assert (await client.ask("RCPT TO:<e@d.example>")).startswith("452 4.5.3")


async def test_a_big_body_goes_through_a_spool_file(start: Start, tmp_path: Path) -> None:
    world = await start()
    client = await greeted(world)
    body = b"0123456789" * 7 + b"\r\n"
    assert (await send(client, b"A: b\r\n\r\n" + body * 20_000 + b".\r\n")).startswith("250")
    assert world.bodies == [body * 20_000]
    assert not list((tmp_path / "spool").iterdir())


async def test_a_full_spool_means_452(start: Start, tmp_path: Path) -> None:
    world = await start(spool_limit=300_000)
    client = await greeted(world)
    assert (await client.ask("MAIL FROM:<> SIZE=400000")).startswith("452 4.3.1")
    assert (await send(client, b"A: b\r\n\r\n" + b"x\r\n" * 200_000 + b".\r\n")).startswith(
        "452 4.3.1"
    )
    assert (await send(client)).startswith("250")
    assert not list((tmp_path / "spool").iterdir())


async def test_sizes(start: Start) -> None:
    world = await start(message_size_limit=1000)
    client = await greeted(world)
    assert (await client.ask("MAIL FROM:<> SIZE=2000")).startswith("552 5.3.4")
    assert (await send(client, b"x" * 2000 + b"\r\n.\r\n")).startswith("552 5.3.4")
    assert (await send(client)).startswith("250")


async def test_a_bare_newline_is_refused_at_the_true_end(start: Start) -> None:
    world = await start()
    client = await greeted(world)
    assert (await send(client, b"a\n.\nMAIL FROM:<x@y>\r\n\n.\r\n\r\n.\r\n")).startswith(
        "550 5.5.2"
    )
    assert (await client.ask("NOOP")).startswith("250")
    assert not world.requests(wire.Handoff)


async def test_lmtp_answers_for_each(start: Start) -> None:
    world = await start("lmtp")
    world.outcomes = lambda h: (all_of("delivered")(h)[0], all_of("failed", 550, "no")(h)[1])
    client = await greeted(world, "lmtp")
    await client.say(
        "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "RCPT TO:<e@d.example>", "DATA"
    )
    for _ in range(4):
        await client.reply()
    assert (await client.ask(MESSAGE)).startswith("250")
    assert (await client.reply()).startswith("550 5.0.0 no")
    assert not world.requests(wire.Bounce)


async def test_limits_answer_421_with_a_reason(start: Start) -> None:
    world = await start(client_limit=1, error_limit=2)
    client = await connect(world)
    refused = await unread(world)
    assert await refused.reader.read() == b"421 4.3.2 mx.example Too many connections\r\n"
    await client.ask("FOO")
    await client.ask("BAR")
    assert (await client.reply()).startswith("421 4.7.0 Too many errors")


async def test_an_idle_client_is_told_why(start: Start) -> None:
    world = await start(command_timeout=0.1)
    client = await connect(world)
    assert await client.reply() == "421 4.4.2 mx.example Timeout while waiting for input"


async def test_starttls(start: Start) -> None:
    world = await start(tls=True)
    client = await greeted(world)
    assert (await client.ask("STARTTLS")).startswith("220")
    await client.start_tls()
    await client.say("EHLO x", *ENVELOPE)
    hello, *rest = [await client.reply() for _ in range(4)]
    assert "STARTTLS" not in hello and rest[2].startswith("354")
    assert (await client.ask(MESSAGE)).startswith("250")
    assert b"with ESMTPS id" in world.mails[0].parts[0] and b"tls TLS_" in world.mails[0].parts[0]


async def test_input_behind_starttls_is_an_error(start: Start) -> None:
    world = await start(tls=True)
    client = await greeted(world)
    assert (await client.ask("STARTTLS", "EHLO y")).startswith("554 5.5.1")
    with pytest.raises(EOFError):
        await client.reply()


async def test_implicit_tls(start: Start) -> None:
    world = await start("submissions+tls", tls=True)
    client = await greeted(world, "submissions", tls=True)
    assert (await client.ask("MAIL FROM:<a@b.example>")).startswith("530 5.7.0 Auth")


async def test_draining_lets_a_message_finish(start: Start) -> None:
    world = await start()
    world.delay_s = 0.2
    idle, busy = await connect(world), await greeted(world)
    await busy.say(*ENVELOPE)
    for _ in ENVELOPE:
        await busy.reply()
    await busy.say(MESSAGE)
    await wait_for(lambda: bool(world.bodies))
    world.context.is_draining = True
    for connection in list(world.service._connections):
        connection.retire()
    assert (await idle.reply()).startswith("421 4.3.2")
    assert (await busy.reply()).startswith("250")
    assert (await busy.reply()).startswith("421 4.3.2")


@pytest.mark.parametrize(
    ("first", "second", "code"), [("a", "a", "250"), ("a", "b", "452"), ("", "", "452")]
)
async def test_a_strangers_recipients_stand_together_only_in_one_group(
    start: Start, first: str, second: str, code: str
) -> None:
    world = await start(sieve_rcpt="/is/there")
    client = await greeted(world)
    await client.ask("MAIL FROM:<a@b.example>")
    world.verdict = wire.Verdict(group=first)
    assert (await client.ask("RCPT TO:<c@d.example>")).startswith("250")
    world.verdict = wire.Verdict(group=second)
    assert (await client.ask("RCPT TO:<e@d.example>")).startswith(code)


async def test_a_trusted_clients_recipients_stand_together_whatever_their_groups(
    start: Start,
) -> None:
    world = await start(sieve_rcpt="/is/there", trusted_networks=["127.0.0.0/8"])
    client = await greeted(world)
    await client.ask("MAIL FROM:<a@b.example>")
    for recipient in ("c", "e"):
        assert (await client.ask(f"RCPT TO:<{recipient}@d.example>")).startswith("250")
