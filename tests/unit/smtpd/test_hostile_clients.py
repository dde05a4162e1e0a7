"""smtpd against clients that flood, do not read, or leave in the middle; on both event loops."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from columba.common.ipc import wire
from columba.common.sasl import dovecot
from columba.common.sasl.dovecot import AuthCancel, AuthRequest, ClientMessage, ClientMessages
from columba.smtpd import connection as connections
from columba.smtpd.connection import HIGH_WATER, TURN, Connection
from tests.fakes.smtpd_world import Client, World, connect, wait_for

pytestmark = pytest.mark.alone  # they count time and memory

READ = 256 * 1024  # octets that come with one read


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    changed = {"auth_without_tls": True, "junk_command_limit": 10_000_000}
    found = World(tmp_path, auth_socket=str(tmp_path / "auth"), **changed)
    yield found
    await found.close()


async def began(world: World) -> tuple[Client, Connection]:
    client = await connect(world)
    await client.ask("EHLO x")
    (server_side,) = world.service._connections
    return client, server_side


async def deaf(world: World) -> tuple[Client, Connection]:
    """Return a client that writes commands without end and reads nothing."""
    client, server_side = await began(world)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.writer.write(b"EHLO x\r\n" * 200_000)  # a short command with a long answer
    return client, server_side


async def test_input_of_a_client_that_never_reads_is_bounded(world: World) -> None:
    await world.start()
    client, server_side = await deaf(world)
    await wait_for(lambda: server_side._is_full)
    most = 0
    for _ in range(200):
        await asyncio.sleep(0.002)
        most = max(most, server_side.core.buffered)
    client.writer.transport.abort()
    assert most <= HIGH_WATER + READ


async def test_a_client_that_never_reads_is_cut_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "FLUSH_S", 0.1)
    await world.start()
    client, server_side = await deaf(world)
    await wait_for(lambda: server_side._is_full)
    server_side._hang_up("Timeout while waiting for input", "4.4.2")
    await wait_for(lambda: world.service.active() == 0)
    client.writer.transport.abort()


async def test_others_have_their_turn_while_a_client_floods(world: World) -> None:
    await world.start()
    client, server_side = await began(world)
    server_side.data_received(b"NOOP\r\n" * (3 * TURN))
    assert server_side.core.buffered == len(b"NOOP\r\n") * 2 * TURN
    for _ in range(3 * TURN):
        assert (await client.reply()).startswith("250")


async def test_commands_before_a_half_close_are_answered(world: World) -> None:
    await world.start()
    client, _ = await began(world)
    client.writer.write(b"NOOP\r\n" * (3 * TURN))
    client.writer.write_eof()
    for _ in range(3 * TURN):
        assert (await client.reply()).startswith("250")
    assert await client.reader.read() == b""


class AuthService:
    """Asks for the response to each AUTH, and remembers what was said."""

    def __init__(self) -> None:
        self.said: list[ClientMessage] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        messages = ClientMessages()
        writer.write(dovecot.server_hello({"PLAIN": ()}, 1, 2, "0" * 32))
        while data := await reader.read(4096):
            for message in messages.feed(data):
                self.said.append(message)
                if isinstance(message, AuthRequest):
                    writer.write(dovecot.continuation(message.number, b""))
        writer.close()

    @property
    def is_idle(self) -> bool:
        """Tell whether an exchange was begun and each was cancelled."""
        begun = {m.number for m in self.said if isinstance(m, AuthRequest)}
        return bool(begun) and begun == {m.number for m in self.said if isinstance(m, AuthCancel)}


@pytest.mark.parametrize("end", ["cut", "close", "long line", "control"])
async def test_an_exchange_that_is_given_up_is_cancelled(
    world: World, tmp_path: Path, end: str
) -> None:
    auth = AuthService()
    async with await asyncio.start_unix_server(auth.serve, tmp_path / "auth"):
        await world.start()
        client, _ = await began(world)
        assert (await client.ask("AUTH PLAIN")).startswith("334")
        match end:
            case "cut":
                client.cut()
            case "close":
                await client.close()
            case "long line":
                assert (await client.ask("x" * 20000)).startswith("500")
            case "control":
                assert (await client.ask("\x01")).startswith("500")
        await wait_for(lambda: auth.is_idle)
        assert world.service._shared.auth is not None
        world.service._shared.auth.close()


@pytest.mark.parametrize("field", [b"a:\r\n", b"Received: by x\r\n"])
async def test_a_header_of_thousands_of_fields_is_refused(world: World, field: bytes) -> None:
    await world.start()
    client, _ = await began(world)
    for line in ("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA"):
        await client.ask(line)
    reply = await client.ask(field * 5000 + b"\r\nbody\r\n.\r\n")
    assert reply.startswith("552 5.3.4") and not world.requests(wire.Handoff)
    assert (await client.ask("MAIL FROM:<a@b.example>")).startswith("250")


@pytest.mark.parametrize("end", ["reads", "dies"])
async def test_a_client_that_has_shut_its_side_is_known_to_have_the_answer(
    tmp_path: Path, end: str
) -> None:
    """Exim says QUIT with the message and shuts its side down: nothing of it comes after our answer."""
    world = World(tmp_path, trusted_networks=["127.0.0.0/8"])
    await world.start()
    world.delay_s = 0.2
    client = await connect(world)
    await client.all("EHLO x", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
    await client.say(b"BDAT 24 LAST\r\nMessage-ID: <1@b>\r\n\r\nx\r\nQUIT\r\n")
    client.writer.write_eof()
    if end == "dies":
        await asyncio.sleep(0.1)
        client.writer.transport.abort()
        await wait_for(lambda: bool(world.requests(wire.Withheld)))
    else:
        assert (await client.reply()).startswith("250") and (await client.reply()).startswith("221")
        assert await client.reader.read() == b""
        await client.close()
        await wait_for(lambda: bool(world.requests(wire.Answered)))
        assert not world.requests(wire.Withheld)
        assert not world.mails[0].is_cancelled  # it had not left
    await wait_for(lambda: world.service.active() == 0)
    await world.close()
