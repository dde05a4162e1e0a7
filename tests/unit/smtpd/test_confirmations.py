"""Reports of success that are ours to make, before the client hears 250."""

from pathlib import Path

import pytest

from columba.common.ipc import wire
from columba.common.ipc.tlsfiles import NONE
from tests.fakes.smtpd_world import World, all_of, connect

MESSAGE = b"Message-ID: <1@b>\r\nSubject: x\r\n\r\nbody\r\n.\r\n"


async def answer(world: World) -> str:
    """Send a mail whose sender wants to hear of its delivery; return what is said to it."""
    await world.start("smtp", tls=NONE, client_limit=10)
    client = await connect(world, "smtp", False)
    await client.ask("EHLO x")
    await client.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example> NOTIFY=SUCCESS", "DATA")
    for _ in range(3):
        await client.reply()
    return await client.ask(MESSAGE)


@pytest.mark.parametrize(("stored", "said"), [(True, "250"), (False, "451")])
async def test_a_delivery_that_is_ours_to_report_is_reported_before_the_250(
    tmp_path: Path, stored: bool, said: str
) -> None:
    world = World(tmp_path, trusted_networks=["127.0.0.0/8"])
    reply = wire.Stored() if stored else wire.NotStored(text="full")
    world.outcomes = all_of("delivered", success="relayed")
    world.queue_reply = lambda r: reply if isinstance(r, wire.Bounce) else wire.Done()
    try:
        assert (await answer(world)).startswith(said)
        (bounce,) = world.requests(wire.Bounce)
    finally:
        await world.close()
    assert isinstance(bounce, wire.Bounce)
    assert (bounce.failed, [o.number for o in bounce.delivered]) == ((), ["1"])


async def test_a_strangers_mail_is_never_reported_as_delivered(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.outcomes = all_of("delivered", success="relayed")
    try:
        assert (await answer(world)).startswith("250")
        assert world.requests(wire.Bounce) == []
    finally:
        await world.close()
