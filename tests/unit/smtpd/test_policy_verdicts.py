"""What smtpd makes of a verdict beside its reply: senders, recipients, names, wishes, effects."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from columba.common.ipc import wire
from tests.fakes.smtpd_world import World, greeted, unread

EFFECT = wire.Effect(kind="add", key="k", dict="d")
MESSAGE = b"Subject: x\r\n\r\nbody\r\n.\r\n"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path, sieve_mail="/mail.sieve", trusted_networks=["127.0.0.0/8"])
    await made.start("smtp", "lmtp")
    yield made
    await made.close()


def stages(world: World) -> list[wire.Stage]:
    return [each for each in world.requests(wire.Stage) if isinstance(each, wire.Stage)]


def handoff(world: World) -> wire.Handoff:
    (only,) = world.requests(wire.Handoff)
    assert isinstance(only, wire.Handoff)
    return only


async def sent(world: World, name: str = "smtp") -> list[str]:
    client = await greeted(world, name)
    replies = [await client.ask(line) for line in ("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")]
    replies.append(await client.ask(MESSAGE))
    return [reply[:3] for reply in replies]


async def test_a_sender_is_changed_from_mail_on(world: World) -> None:
    world.verdict = wire.Verdict(sender=b"new@b")
    assert await sent(world) == ["250", "250", "354", "250"]
    assert [(s.stage, s.sender) for s in stages(world)] == [("mail", b"a@b"), ("rcpt", b"new@b")]
    assert handoff(world).envelope.sender == b"new@b"
    assert handoff(world).may_queue == "yes"


async def test_a_mail_that_came_or_leaves_without_a_sender_is_never_queued(world: World) -> None:
    world.verdict = wire.Verdict(sender=b"")
    await sent(world)
    assert (handoff(world).envelope.sender, handoff(world).may_queue) == (b"", "no")


async def test_others_stand_in_the_place_of_a_recipient(world: World) -> None:
    world.verdict = wire.Verdict(recipients=(b"x@d", b"y@d"), wish=wire.QueueWish(priority=1))
    await sent(world)
    found = [(r.number, r.address, r.original) for r in handoff(world).recipients]
    assert found == [("1.1", b"x@d", b"c@d"), ("1.2", b"y@d", b"c@d")]
    assert [r.wish for r in handoff(world).recipients] == [wire.QueueWish(priority=1)] * 2


async def test_lmtp_answers_once_for_the_recipient_that_the_client_named(world: World) -> None:
    world.verdict = wire.Verdict(recipients=(b"x@d", b"y@d"))
    client = await greeted(world, "lmtp")
    for line in ("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"):
        await client.ask(line)
    assert (await client.ask(MESSAGE)).startswith("250")
    assert (await client.ask("NOOP")).startswith("250 2.0.0")
    assert len(handoff(world).recipients) == 2


async def test_effects_go_with_the_recipients_and_those_of_mail_with_the_first(
    world: World,
) -> None:
    world.verdict = wire.Verdict(effects=(EFFECT,))
    client = await greeted(world)
    for line in ("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "RCPT TO:<e@d>", "DATA"):
        await client.ask(line)
    await client.ask(MESSAGE)
    assert [r.effects for r in handoff(world).recipients] == [(EFFECT, EFFECT), (EFFECT,)]


async def test_a_name_that_was_looked_up_is_remembered(world: World) -> None:
    world.verdict = wire.Verdict(name="mx.b.example", ptr="confirmed")
    await sent(world)
    first, second = stages(world)
    assert (first.client.name, first.client.ptr) == ("", "")
    assert (second.client.name, second.client.ptr) == ("mx.b.example", "confirmed")
    assert world.mails[0].parts[0].startswith(b"Received: from x (mx.b.example [127.0.0.1])")


async def test_what_happened_in_the_session_is_counted(world: World) -> None:
    client = await greeted(world)
    await client.ask("NONSENSE")
    world.verdict = wire.Verdict(action="reply", code=550, enhanced="5.1.1", text="no")
    await client.ask("MAIL FROM:<a@b>")
    world.verdict = wire.Verdict()
    await client.ask("MAIL FROM:<a@b>")
    world.verdict = wire.Verdict(action="reply", code=550, enhanced="5.1.1", text="no")
    await client.ask("RCPT TO:<nobody@d>")
    world.verdict = wire.Verdict()
    for line in ("RCPT TO:<c@d>", "DATA", MESSAGE, "MAIL FROM:<a@b>"):
        await client.ask(line)
    last = stages(world)[-1].client
    assert (last.refused, last.messages) == (1, 1)
    assert last.errors >= 1


async def test_a_delay_is_kept_and_a_disconnect_closes(world: World) -> None:
    client = await greeted(world)
    world.verdict = wire.Verdict(
        action="disconnect", code=421, enhanced="4.7.0", text="bye", delay_ms=300
    )
    began = time.monotonic()
    assert await client.ask("MAIL FROM:<a@b>") == "421 4.7.0 bye"
    assert time.monotonic() - began >= 0.3
    with pytest.raises(EOFError):
        await client.reply()


@pytest.mark.parametrize(
    ("stage", "said", "words"),
    [
        ("connect", [], "Client refused: stage=connect"),
        ("helo", ["EHLO x"], "Client refused: stage=helo"),
        ("mail", ["EHLO x", "MAIL FROM:<a@b>"], "Sender refused: id="),
    ],
)
async def test_what_a_script_refuses_before_recipients_is_in_the_log(
    tmp_path: Path, stage: str, said: list[str], words: str
) -> None:
    changed = {f"sieve_{stage}": f"/{stage}.sieve", "trusted_networks": ["127.0.0.0/8"]}
    world = World(tmp_path, **changed)
    world.verdict = wire.Verdict(action="reply", code=550, enhanced="5.7.1", text="Go away")
    await world.start("smtp")
    client = await unread(world)
    await client.reply()
    for line in said:
        await client.ask(line)
    (line,) = [line for line in world.lines if " refused: " in line]
    assert words in line and "ip=127.0.0.1" in line
    assert 'reply="550 5.7.1 Go away"' in line
    await world.close()
