"""Whose mail is taken for whom, where no script has the word."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from columba.common.ipc import wire
from tests.fakes.smtpd_world import World, connect, wait_for

MESSAGE = b"Message-ID: <1@b>\r\n\r\nbody\r\n.\r\n"


@contextlib.asynccontextmanager
async def started(folder: Path, *kinds: str, **changed: object) -> AsyncIterator[World]:
    world = World(folder, **changed)
    await world.start(*kinds)
    try:
        yield world
    finally:
        await world.close()


async def test_a_mail_in_flight_is_answered_before_the_process_ends(tmp_path: Path) -> None:
    async with started(tmp_path) as world:
        client = await connect(world)
        await client.say("EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")
        for _ in range(4):
            await client.reply()
        world.delay_s = 10.0
        await client.say(MESSAGE)
        await wait_for(lambda: bool(world.bodies))
        until_ns = time.monotonic_ns() + 1_000_000_000
        async with asyncio.timeout(5.0), asyncio.TaskGroup() as group:
            group.create_task(world.service.drain(until_ns))
            assert (await client.reply()).startswith("451 4.4.7")
        assert world.mails[0].is_cancelled


async def test_without_a_script_strangers_may_send_to_nobody(tmp_path: Path) -> None:
    async with started(tmp_path, "smtp", "lmtp", sieve_rcpt="") as world:
        for name, code in (("smtp", "550 5.7.1"), ("lmtp", "250")):
            client = await connect(world, name)
            await client.ask("LHLO x" if name == "lmtp" else "EHLO x")
            await client.ask("MAIL FROM:<a@b.example>")
            assert (await client.ask("RCPT TO:<c@d.example>")).startswith(code)
        (line,) = [line for line in world.lines if "Recipient refused" in line]
        assert "sender=a@b.example to=c@d.example" in line
        assert 'reply="550 5.7.1 Relaying denied"' in line


async def test_mail_of_the_null_sender_has_one_recipient_and_is_never_queued(
    tmp_path: Path,
) -> None:
    changed = {"trusted_networks": ["127.0.0.0/8"], "queue_unverified": True}
    async with started(tmp_path, **changed) as world:
        client = await connect(world)
        await client.ask("EHLO x")
        await client.ask("MAIL FROM:<>")
        assert (await client.ask("RCPT TO:<c@d.example>")).startswith("250")
        assert (await client.ask("RCPT TO:<e@d.example>")).startswith("452 4.5.3")
        await client.ask("DATA")
        assert (await client.ask(MESSAGE)).startswith("250")
        (handoff,) = world.requests(wire.Handoff)
        assert isinstance(handoff, wire.Handoff)
        assert (handoff.may_queue, len(handoff.recipients)) == ("no", 1)
