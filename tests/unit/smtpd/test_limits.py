"""Every limit of smtpd is answered with its reason; what it does while anvil is there, and without it."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from columba.common.ipc import wire
from columba.common.ipc.calls import Caller
from columba.common.log.event import Event
from columba.common.smtp import codes
from columba.master.anvil.penalties import Penalties
from columba.master.anvil.visits import Visits, choose
from columba.smtpd import presence
from columba.smtpd.commands.auth import summed
from columba.smtpd.pace import Pace
from tests.fakes.anvil import Anvil
from tests.fakes.auth import Running
from tests.fakes.smtpd_world import Client, World, connect, unread, wait_for

Start = Callable[..., Awaitable[World]]
IP = "127.0.0.1"
FIELD = b"A: " + b"b" * 900 + b"\r\n"
ENVELOPE = ("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    worlds: list[World] = []

    async def begin(**changed: object) -> World:
        world = World(tmp_path, **changed)
        worlds.append(world)
        await world.start()
        return world

    yield begin
    for world in worlds:
        await world.close()


async def greeted(world: World) -> Client:
    client = await connect(world)
    await client.ask("EHLO x")
    return client


async def refused(world: World) -> str:
    client = await unread(world)
    return (await client.reader.read()).decode().strip()


async def test_connections_of_one_address(start: Start) -> None:
    world = await start(client_limit_per_ip=1)
    client = await connect(world)
    words = "421 4.7.0 mx.example Too many connections from your address"
    assert await refused(world) == words
    await client.close()
    await wait_for(lambda: world.service.active() == 0)
    await connect(world)
    assert any("Limit reached" in line for line in world.lines)


async def test_connects_in_a_minute(start: Start) -> None:
    world = await start(connection_rate_limit=2)
    for _ in range(2):
        await (await connect(world)).close()
    words = "421 4.7.0 mx.example Too many connections from your address in a minute"
    assert await refused(world) == words


async def test_trusted_networks_are_exempt(start: Start) -> None:
    world = await start(
        client_limit_per_ip=1, connection_rate_limit=1, message_rate_limit=0,
        trusted_networks=["127.0.0.0/8"], greet_delay=60.0,
    )  # fmt: skip
    client = await greeted(world)
    await greeted(world)
    assert (await client.ask("MAIL FROM:<a@b.example>")).startswith("250")


async def test_messages_in_a_minute(start: Start) -> None:
    world = await start(message_rate_limit=1)
    client = await greeted(world)
    await client.say(*ENVELOPE, "Subject: x", "", "body", ".")
    assert [(await client.reply())[:3] for _ in range(4)] == ["250", "250", "354", "250"]
    words = "421 4.7.0 mx.example Too many messages from your address in a minute"
    assert await client.ask("MAIL FROM:<a@b.example>") == words
    with pytest.raises(EOFError):
        await client.reply()


async def test_unknown_recipients(start: Start) -> None:
    world = await start(unknown_recipient_limit=2, tarpit_delay=0.0)
    world.verdict = wire.Verdict(action="reply", code=550, enhanced="5.1.1", text="Unknown")
    client = await greeted(world)
    await client.ask("MAIL FROM:<a@b.example>")
    for _ in range(2):
        assert (await client.ask("RCPT TO:<c@d.example>")).startswith("550 5.1.1")
    words = "421 4.7.0 mx.example Too many unknown recipients"
    assert await client.ask("RCPT TO:<c@d.example>") == words


async def test_answers_to_many_errors_come_late(start: Start) -> None:
    world = await start(tarpit_after=2, tarpit_delay=0.2, error_limit=5)
    client = await greeted(world)
    began = time.monotonic()
    await client.say("FOO", "FOO", "NOOP", "FOO", "NOOP")
    assert [(await client.reply())[:3] for _ in range(5)] == ["500", "500", "250", "500", "250"]
    assert 0.19 <= time.monotonic() - began < 5


async def test_who_talks_before_the_greeting_is_refused(start: Start) -> None:
    world = await start(greet_delay=0.2)
    client = await unread(world)
    await client.say("EHLO x")
    assert (await client.reader.read()).decode().strip().startswith("554 5.5.1 Talked before")
    began = time.monotonic()
    await connect(world)
    assert time.monotonic() - began >= 0.19


async def test_who_talks_before_the_greeting_is_noted_for_the_stages(start: Start) -> None:
    world = await start(greet_delay=0.2, early_talkers="note", sieve_connect="/x")
    client = await unread(world)
    await client.say("EHLO x")
    assert (await client.reply()).startswith("220")
    assert (await client.reply()).startswith("250")
    (stage,) = world.requests(wire.Stage)
    assert isinstance(stage, wire.Stage) and stage.client.pregreet


async def test_the_connect_stage_may_hold_the_greeting_back(start: Start) -> None:
    world = await start(sieve_connect="/x")
    world.verdict = wire.Verdict(delay_ms=200)
    client = await unread(world)
    await asyncio.sleep(0.05)
    await client.say("EHLO x")
    assert (await client.reader.read()).startswith(b"554 5.5.1 Talked before")


async def test_a_message_that_trickles_in(start: Start) -> None:
    world = await start(data_rate_minimum=1000, data_rate_grace=0.3)
    client = await greeted(world)
    await client.say(*ENVELOPE)
    for _ in ENVELOPE:
        await client.reply()
    trickle = asyncio.create_task(drip(client, b"Subject: slow\r\n" * 1000))
    assert await client.reply() == "421 4.4.2 mx.example Your message comes too slowly"
    trickle.cancel()


async def test_a_command_that_trickles_in(start: Start) -> None:
    world = await start(command_timeout=0.4)
    client = await greeted(world)
    trickle = asyncio.create_task(drip(client, b"NOOP " + b"x" * 1000))
    assert (await client.reply()).startswith("421 4.4.2 mx.example Timeout")
    trickle.cancel()


async def drip(client: Client, data: bytes) -> None:
    for octet in data:
        await client.say(bytes([octet]))
        await asyncio.sleep(0.02)


async def test_memory_for_messages_is_bounded(start: Start, tmp_path: Path) -> None:
    world = await start(message_memory_limit=60_000, inline_body_limit=50_000)
    one, two = await greeted(world), await greeted(world)
    for client in (one, two):
        await client.say(*ENVELOPE)
        for _ in ENVELOPE:
            await client.reply()
    spool = world.service._shared.spool
    await one.say(b"A: b\r\n\r\n" + b"x" * 70 + b"\r\n")
    await two.say(FIELD * 70)  # a header stays in memory
    await wait_for(lambda: spool.is_out_of_memory)
    three = await greeted(world)
    await three.say(*ENVELOPE)
    assert [(await three.reply())[:9] for _ in ENVELOPE][2] == "452 4.3.1"
    assert (await two.ask(FIELD + b"\r\nbody\r\n.\r\n")).startswith("452 4.3.1")
    assert not spool.is_out_of_memory
    assert (await one.ask(b"x\r\n.\r\n")).startswith("250")
    assert spool.held == 0 and spool.used == 0


async def test_messages_go_to_the_spool_early_where_memory_is_tight(
    start: Start, tmp_path: Path
) -> None:
    world = await start(message_memory_limit=60_000)
    client = await greeted(world)
    await client.say(*ENVELOPE)
    for _ in ENVELOPE:
        await client.reply()
    await client.say(FIELD * 36 + b"\r\n" + b"y\r\n" * 2500)
    await wait_for(lambda: bool(list((tmp_path / "spool").iterdir())))
    assert (await client.ask(b".\r\n")).startswith("250")
    assert world.service._shared.spool.held == 0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "REPORT_S", 0.05)


async def test_limits_hold_over_all_processes(start: Start, quick: None) -> None:
    world = await start(client_limit_per_ip=5)
    anvil = Anvil(world)
    anvil.others(IP, connections=4)
    await connect(world)
    await wait_for(lambda: anvil.sessions() == [(IP, "")])
    await asyncio.sleep(0.05)
    assert (await refused(world)).endswith("Too many connections from your address")
    anvil.others(IP)
    await asyncio.sleep(0.1)
    await connect(world)
    anvil.close()


async def test_an_administrator_ends_connections(start: Start, quick: None) -> None:
    world = await start()
    anvil = Anvil(world)
    client = await connect(world)
    await wait_for(lambda: anvil.sessions() == [(IP, "")])
    assert anvil.visits.kick(choose("", IP)) == 1
    assert (await client.reply()) == "421 4.7.0 mx.example Ended by an administrator"
    await wait_for(lambda: anvil.sessions() == [])
    anvil.close()


async def test_the_next_anvil_hears_of_everybody(start: Start, quick: None) -> None:
    world = await start()
    client = await connect(world)
    await wait_for(lambda: any("anvil does not answer" in line for line in world.lines))
    assert (await client.ask("NOOP")).startswith("250")  # nobody waits for it
    anvil = Anvil(world)
    await wait_for(lambda: anvil.sessions() == [(IP, "")])
    anvil.visits.epoch = "another"
    anvil.visits.keep(lambda _: False)
    await wait_for(lambda: anvil.sessions() == [(IP, "")])
    anvil.close()


def test_guesses_can_not_be_made_to_look_the_same() -> None:
    """Case of the name is free, and CRC-32 is linear: with it, all guesses could be one to anvil."""
    name = b"firstname.lastname@example.com"
    places = [n for n, octet in enumerate(name) if chr(octet).isalpha()]

    def message(password: bytes, bits: int) -> bytes:
        one, two = bytearray(name), bytearray(name)
        for number, place in enumerate(places):
            one[place] ^= 32 * (bits >> number & 1)
            two[place] ^= 32 * (bits >> (number + len(places)) & 1)
        return bytes(one) + b"\0" + bytes(two) + b"\0" + password

    def alike(password: bytes) -> bytes:
        """Return the message whose CRC-32 is 0, by elimination over GF(2)."""
        left, bits = zlib.crc32(message(password, 0)), 0
        basis: dict[int, tuple[int, int]] = {}
        for number in range(2 * len(places)):
            word, mask = zlib.crc32(message(password, 1 << number)) ^ left, 1 << number
            while word and word.bit_length() in basis:
                known = basis[word.bit_length()]
                word, mask = word ^ known[0], mask ^ known[1]
            basis |= {word.bit_length(): (word, mask)} if word else {}
        while left:
            word, mask = basis[left.bit_length()]
            left, bits = left ^ word, bits ^ mask
        return message(password, bits)

    guesses = [alike(b"guess%d" % n) for n in range(10)]
    assert {zlib.crc32(guess) for guess in guesses} == {0}
    penalties = Penalties(1000.0, 60.0)
    for guess in guesses:
        penalties.add(IP, summed(summed(0, b"PLAIN"), guess), 0.0)
    assert penalties.delay_s(IP, 0.0) == 512.0


class _Asked:
    """A caller whose anvil knows of one other process."""

    def __init__(self) -> None:
        self.visits = Visits("e")

    async def call(self, service: str, request: wire.Request, *, until_ns: int) -> object:
        assert service == "anvil" and until_ns and isinstance(request, wire.Present)
        return SimpleNamespace(reply=self.visits.report(request, 0.0))


async def test_what_others_had_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most addresses come once: what is kept of each must not grow for ever."""
    asked = _Asked()
    bounds = presence.Bounds(9, 9, 9)
    event = Event(lambda _level, _text: None)
    known = presence.Presence("smtpd.1.1", bounds, cast("Caller", asked), event)
    sizes = []
    for n in range(4):
        if n == 2:
            monkeypatch.setattr(presence, "STALE_S", -1.0)
        visit = wire.Visit(session="o", key=f"192.0.2.{n}")
        said = wire.Present(process="smtpd.9.9", whole=True, opened=(visit,))
        asked.visits.report(said, 0.0)
        known.entered(f"192.0.2.{n}")
        await known._report(lambda: ())
        sizes.append(len(known._elsewhere))
    assert sizes == [1, 2, 1, 1]


async def test_wrong_passwords_make_the_address_wait(
    start: Start, quick: None, tmp_path: Path
) -> None:
    (tmp_path / "auth").mkdir()
    auth = Running(tmp_path / "auth", auth_failure_delay=0.0)
    await auth.start()
    world = await start(auth_socket=str(tmp_path / "auth" / "auth-client"), auth_without_tls=True)
    anvil = Anvil(world, waits_s=0.3)
    client = await greeted(world)
    assert (await client.ask("AUTH PLAIN AGFubkB4AG5v")).startswith("535 5.7.8")
    assert (await client.ask("AUTH PLAIN AGFubkB4AG5v")).startswith("535 5.7.8")
    (found,) = anvil.penalties.list(time.monotonic())
    assert found[0] == IP and found[1].count == 1  # the same password again counts once
    began = time.monotonic()
    assert (await client.ask("AUTH PLAIN AGFubkB4AHNlY3JldA==")).startswith("235")
    assert time.monotonic() - began >= 0.29
    await wait_for(lambda: anvil.sessions() == [(IP, "ann@x")])
    anvil.close()
    await auth.close()


def test_one_stall_is_forgiven_and_two_are_not() -> None:
    pace = Pace()
    assert not pace.is_too_slow(0.0, 100)
    pace.add(5000)
    assert not pace.is_too_slow(30.0, 100)
    assert not pace.is_too_slow(60.0, 100)
    pace.add(5000)
    assert not pace.is_too_slow(90.0, 100)
    assert not pace.is_too_slow(120.0, 100)
    pace.pause()
    assert not pace.is_too_slow(150.0, 100)
    assert not pace.is_too_slow(180.0, 100)
    assert pace.is_too_slow(210.0, 100)


def test_limits_have_words() -> None:
    assert codes.MEMORY_FULL.temporary and codes.TALKED_FIRST.permanent
