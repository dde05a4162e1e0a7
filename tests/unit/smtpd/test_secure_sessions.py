"""smtpd with TLS and an auth service: bound passwords, client certificates, new certificates, failed handshakes."""

import asyncio
import base64
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from columba.common.ipc.tlsfiles import TICKET_OCTETS, Pair, TlsFiles
from columba.common.net.openssl import export_key
from columba.common.sasl.scram import ScramClient
from columba.master.auth.mechanisms import FLAGS
from columba.smtpd import connection as connections
from columba.smtpd.tls import EXPORTED_OCTETS, EXPORTER
from tests.fakes.auth import Running, format_bearer
from tests.fakes.certificate import self_signed
from tests.fakes.smtpd_world import Client, World, connect, insecure, wait_for

Start = Callable[..., Awaitable[World]]
USERS = "ann:{PLAIN}secret\n"


def pair(folder: Path, name: str) -> Pair:
    folder = folder / name
    folder.mkdir()
    cert, key = self_signed(folder, name)
    return Pair((), cert.read_bytes(), key.read_bytes())


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    (tmp_path / "auth").mkdir()
    (tmp_path / "smtpd").mkdir()
    auth = Running(tmp_path / "auth", USERS, auth_mechanisms=list(FLAGS))
    await auth.start()
    worlds: list[World] = []

    async def begin(*kinds: str, trust: bytes = b"", **changed: object) -> World:
        where = str(tmp_path / "auth" / "auth-client")
        world = World(tmp_path / "smtpd", auth_socket=where, **changed)
        worlds.append(world)
        files = TlsFiles((pair(tmp_path, "mx.example"),), trust, b"k" * TICKET_OCTETS)
        await world.start(*kinds, tls=files)
        return world

    yield begin
    for world in worlds:
        await world.close()
    await auth.close()


async def secure(
    world: World, name: str = "submissions", context: ssl.SSLContext | None = None
) -> Client:
    """Return a client inside TLS from the start, that has said EHLO."""
    pair = await asyncio.open_connection("127.0.0.1", world.ports[name], ssl=context or insecure())
    client = Client(*pair)
    world.clients.append(client)
    assert (await client.reply()).startswith("220 ")
    client.hello = await client.ask("EHLO x")
    return client


def encoded(message: bytes) -> str:
    return base64.b64encode(message).decode()


async def scram(client: Client, mechanism: str, **how: object) -> str:
    peer = ScramClient(mechanism, "ann", "secret", "nonce", **how)  # type: ignore[arg-type]
    challenge = await client.ask(f"AUTH {mechanism} {encoded(peer.first())}")
    if not challenge.startswith("334 "):
        return challenge
    final = await client.ask(encoded(peer.respond(base64.b64decode(challenge[4:]))))
    if not final.startswith("334 "):
        return final
    peer.verify(base64.b64decode(final[4:]))
    return await client.ask("")


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-1"])
async def test_a_password_is_bound_to_the_channel(start: Start, mechanism: str) -> None:
    world = await start("submissions+tls")
    client = await secure(world)
    assert f" {mechanism}-PLUS" in client.hello and "EXTERNAL" not in client.hello
    inner = client.writer.get_extra_info("ssl_object")
    key = export_key(inner, EXPORTER, EXPORTED_OCTETS)
    assert key is not None
    bound = {"binding": ("tls-exporter", key)}
    assert (await scram(client, mechanism + "-PLUS", **bound)).startswith("235 2.7.0")
    other = await secure(world)
    assert (await scram(other, mechanism + "-PLUS", **bound)).startswith("535 5.7.8")
    assert (await scram(other, mechanism, could_bind=True)).startswith("535 5.7.8")
    assert (await scram(other, mechanism)).startswith("235 2.7.0")


async def test_exchanges_end_in_every_way(start: Start) -> None:
    world = await start("submissions+tls")
    client = await secure(world)
    assert await client.ask("AUTH LOGIN") == "334 " + encoded(b"Username:")
    assert (await client.ask("*")).startswith("501 5.7.0")
    assert (await client.ask("AUTH EXTERNAL =")).startswith("504 5.5.4")
    assert (await client.ask("AUTH SCRAM-SHA-256 !")).startswith("501 5.5.2")
    assert (await client.ask("AUTH PLAIN =")).startswith("535 5.7.8")
    token = format_bearer("OAUTHBEARER", "ann", "wrong")
    assert (await client.ask(f"AUTH OAUTHBEARER {encoded(token)}")).startswith("334 ")
    assert (await client.ask(encoded(b"\x01"))).startswith("535 5.7.8")
    assert await client.ask("AUTH LOGIN " + encoded(b"ann")) == "334 " + encoded(b"Password:")
    assert (await client.ask(encoded(b"secret"))).startswith("235 2.7.0")
    assert (await client.ask("AUTH PLAIN")).startswith("503 5.5.1")


async def test_nothing_is_offered_without_tls(start: Start) -> None:
    world = await start("submission")
    _, client = None, Client(*await asyncio.open_connection("127.0.0.1", world.ports["submission"]))
    world.clients.append(client)
    await client.reply()
    hello = await client.ask("EHLO x")
    assert "STARTTLS" in hello and "AUTH" not in hello
    assert (await client.ask("AUTH PLAIN AGFubgBzZWNyZXQ=")).startswith("502 5.5.1")


async def test_a_certificate_is_a_login(start: Start, tmp_path: Path) -> None:
    trusted = pair(tmp_path, "ann")
    world = await start("submissions+tls", trust=trusted.cert, ssl_server_request_client_cert="yes")
    context = insecure()
    context.load_cert_chain(tmp_path / "ann/cert.pem", tmp_path / "ann/key.pem")
    client = await secure(world, context=context)
    assert "EXTERNAL" in client.hello
    assert (await client.ask("AUTH EXTERNAL " + encoded(b"bob"))).startswith("535 5.7.8")
    assert (await client.ask("AUTH EXTERNAL =")).startswith("235 2.7.0")
    assert "EXTERNAL" not in (await secure(world)).hello


async def test_new_certificates_are_used_and_sessions_stay(start: Start, tmp_path: Path) -> None:
    world = await start("submissions+tls")
    old = await secure(world)
    fresh = pair(tmp_path, "fresh.example")
    assert world.context.on_tls is not None
    world.context.on_tls(TlsFiles((fresh,)))
    new = await secure(world)
    shown = [c.writer.get_extra_info("ssl_object").getpeercert(True) for c in (old, new)]
    assert shown[1] == ssl.PEM_cert_to_DER_cert(fresh.cert.decode()) != shown[0]
    assert (await old.ask("NOOP")).startswith("250")


@pytest.mark.parametrize("said", [b"EHLO x\r\n", b"\x16\x03\x01\x00\x05xxxxx", b""])
async def test_a_handshake_that_fails_leaves_nothing(start: Start, said: bytes) -> None:
    world = await start("submissions+tls")
    _, writer = await asyncio.open_connection("127.0.0.1", world.ports["submissions"])
    await wait_for(lambda: world.service.active() == 1)  # it counts before the handshake
    writer.write(said)
    if not said:
        writer.close()
    await wait_for(lambda: world.service.active() == 0)
    writer.close()
    assert any("TLS failed" in line for line in world.lines)


async def test_a_handshake_that_fails_after_starttls_leaves_nothing(start: Start) -> None:
    world = await start("smtp")
    client = Client(*await asyncio.open_connection("127.0.0.1", world.ports["smtp"]))
    await client.reply()
    await client.ask("EHLO x")
    assert (await client.ask("STARTTLS")).startswith("220")
    await client.say(b"no TLS at all\r\n")
    await wait_for(lambda: world.service.active() == 0)
    client.writer.close()


async def test_a_client_that_is_gone_before_its_handshake_leaves_nothing_behind(
    start: Start,
) -> None:
    world = await start("smtp")
    client = await connect(world)
    await client.ask("EHLO x")
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await client.say("STARTTLS")
    client.writer.transport.abort()  # a reset: it lies behind the command
    await wait_for(lambda: world.service.active() == 0)
    await wait_for(lambda: not upgrades())


async def test_an_unforeseen_error_of_a_handshake_ends_the_connection(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> str:
        raise KeyError("nobody thought of it")

    monkeypatch.setattr(connections, "begin_tls", broken)
    world = await start("smtp")
    client = await connect(world)
    await client.ask("EHLO x")
    assert (await client.ask("STARTTLS")).startswith("220 ")
    assert (await client.reply()).startswith("421 ")
    assert any("Connection crashed" in line and "broken" in line for line in world.lines)


def upgrades() -> list[str]:
    """Return the handshakes that are waited for."""
    found = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return [name for name in found if name.endswith("._upgrade")]
