"""Room in the spool: from MAIL with SIZE= to the end of the transaction."""

import asyncio
from pathlib import Path

from tests.fakes.smtpd_world import World, connect


async def test_what_mail_says_is_reserved_until_the_transaction_ends(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, spool_limit=300_000)
    await world.start()
    try:
        await reserving(world)
    finally:
        await world.close()


async def reserving(world: World) -> None:
    one, two = await connect(world), await connect(world)
    for client in (one, two):
        await client.ask("EHLO x")
    big = "MAIL FROM:<> SIZE=200000"
    assert (await one.ask(big)).startswith("250")
    assert (await two.ask(big)).startswith("452 4.3.1")
    assert (await two.ask("MAIL FROM:<> SIZE=1000")).startswith("250"), "what fits in memory"
    await two.ask("RSET")
    await one.ask("RSET")
    assert (await two.ask(big)).startswith("250")
    await two.close()

    async def is_free() -> bool:
        return (await one.ask(big)).startswith("250")

    async with asyncio.timeout(5):
        while not await is_free():
            await asyncio.sleep(0.05)
    assert (await one.ask("RCPT TO:<c@d.example>")).startswith("250")
    await one.ask("DATA")
    reply = await one.ask(b"A: b\r\n\r\n" + b"x\r\n" * 60_000 + b".\r\n")
    assert reply.startswith("250"), "it is received in the room that it has reserved"
