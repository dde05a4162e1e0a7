"""Clients behind proxies: PROXY headers, XCLIENT, XFORWARD; on both event loops."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from columba.common.ipc import wire
from columba.common.net.proxy import SIGNATURE
from tests.fakes.certificate import certificates
from tests.fakes.smtpd_world import Client, World, greeted, insecure, unread, wait_for

LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n"
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7")


def binary(command: int, family: int, text: bytes) -> bytes:
    return SIGNATURE + bytes([0x20 | command, family]) + len(text).to_bytes(2, "big") + text


BINARY = binary(1, 0x21, struct.pack("!16s16sHH", V6, V6, 4711, 25) + b"\x04\x00\x03abc")
LOCAL = binary(0, 0, b"")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    found = World(
        tmp_path,
        haproxy_trusted_networks=["127.0.0.0/8"],
        haproxy_timeout=0.3,
        trusted_networks=["10.0.0.0/8"],
    )
    found.proxied = {"smtp", "submissions"}
    yield found
    await found.close()


async def sent(client: Client, world: World) -> wire.Handoff:
    """Send a mail and return how it was handed over."""
    await client.all("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")
    assert (await client.ask(b"x: y\r\n.\r\n")).startswith("250")
    handoff = world.requests(wire.Handoff)[-1]
    assert isinstance(handoff, wire.Handoff)
    return handoff


@pytest.mark.parametrize(
    ("header", "ip", "port"),
    [
        (LINE, "192.0.2.7", 4711),
        (BINARY, "2001:db8::7", 4711),
        (LOCAL, "127.0.0.1", 0),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1", 0),
    ],
)
async def test_a_header_names_the_client(world: World, header: bytes, ip: str, port: int) -> None:
    await world.start()
    client = await unread(world)
    for n in range(len(header)):
        client.writer.write(header[n : n + 1])
    assert (await client.ask(b"")).startswith("220 mx.example")
    await client.ask("EHLO x")
    handoff = await sent(client, world)
    assert handoff.client.ip == ip and port in (0, handoff.client.port)
    shown = f"IPv6:{ip}" if ":" in ip else ip
    assert f"from x ([{shown}])".encode() in world.mails[0].parts[0]


async def test_the_header_and_all_the_rest_in_one_segment(world: World) -> None:
    await world.start()
    client = await unread(world)
    replies = await client.all(LINE, "EHLO x", "MAIL FROM:<a@b.example>", "QUIT")
    assert [r[:3] for r in replies] == ["220", "250", "250"]
    assert (await client.reply()).startswith("221")


async def test_tls_begins_behind_the_header(world: World, tmp_path: Path) -> None:
    await world.start("submissions+tls", tls=certificates(tmp_path))
    raw = socket.create_connection(("127.0.0.1", world.ports["submissions"]))
    raw.sendall(LINE)
    raw.setblocking(False)
    client = Client(*await asyncio.open_connection(sock=raw, ssl=insecure(), server_hostname="x"))
    world.clients.append(client)
    assert (await client.reply()).startswith("220")
    assert "250 AUTH" not in await client.ask("EHLO x")
    assert any(connection.ip == "192.0.2.7" for connection in world.service._connections)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"EHLO x\r\n", "no PROXY header"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.8 1\r\n", "malformed"),
        (b"PROXY TCP6 192.0.2.7 192.0.2.8 1 2\r\n", "another family"),
        (b"PROXY TCP4 192.0.2.777 192.0.2.8 1 2\r\n", "bad address"),
        (b"PROXY UNKNOWN" + b"x" * 200, "without end"),
        (SIGNATURE + b"\x21\x11\xff\xff", "malformed"),
        (SIGNATURE + b"\x21\x11\x00\x04abcd", "without its addresses"),
        (LINE[:20], "timeout"),
    ],
)
async def test_what_is_no_header_ends_the_connection(world: World, text: bytes, words: str) -> None:
    await world.start()
    client = await unread(world)
    await client.say(text)
    with pytest.raises((EOFError, ConnectionError)):
        await client.reply()
    await wait_for(lambda: any(words in line for line in world.lines))
    assert world.service.total() == 0


async def test_a_proxy_that_nobody_trusts_is_cut_off(tmp_path: Path) -> None:
    world = World(tmp_path, haproxy_trusted_networks=["10.0.0.0/8"])
    world.proxied = {"smtp"}
    await world.start()
    client = await unread(world)
    await client.say(LINE)
    with pytest.raises((EOFError, ConnectionError)):
        await client.reply()
    await wait_for(lambda: any("haproxy_trusted_networks" in line for line in world.lines))
    await world.close()


@pytest.fixture
async def named(tmp_path: Path) -> AsyncIterator[World]:
    found = World(
        tmp_path,
        xclient_networks=["127.0.0.1"],
        xforward_networks=["127.0.0.1"],
        trusted_networks=["10.0.0.0/8"],
    )
    await found.start("smtp", "submission")
    yield found
    await found.close()


async def test_xclient_puts_another_in_the_clients_place(named: World) -> None:
    client = await greeted(named)
    assert "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT" in await client.ask(
        "EHLO proxy"
    )
    reply = await client.ask(
        "XCLIENT ADDR=IPV6:2001:db8::9 PORT=99 NAME=client.example HELO=client+2Eexample LOGIN=joe"
    )
    assert reply == "220 mx.example ESMTP Columba"
    assert (await client.ask("MAIL FROM:<a@b.example>")).startswith("503 5.5.1 Send HELO")
    assert "XCLIENT" in await client.ask("EHLO proxy")
    found = (await sent(client, named)).client
    assert (found.ip, found.port, found.name) == ("2001:db8::9", 99, "client.example")
    assert (found.helo, found.login, found.trusted) == ("client.example", "joe", True)
    trace = named.mails[0].parts[0].split(b"\r\n")
    assert trace[0] == b"Received: from client.example (client.example [IPv6:2001:db8::9])"
    assert b" with ESMTPA id " in trace[1]


async def test_xclient_decides_trust_anew(named: World) -> None:
    client = await greeted(named)
    await client.ask("XCLIENT ADDR=10.1.1.1")
    await client.ask("EHLO x")
    assert (await sent(client, named)).client.trusted
    await client.ask("XCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]")
    await client.ask("EHLO x")
    found = (await sent(client, named)).client
    assert not found.trusted and not found.name


async def test_a_client_behind_xclient_whom_the_script_refuses_is_closed(tmp_path: Path) -> None:
    world = World(tmp_path, xclient_networks=["127.0.0.1"], sieve_connect="/connect.sieve")
    await world.start("smtp")
    client = await greeted(world)
    world.verdict = wire.Verdict(action="reply", code=554, enhanced="5.7.1", text="Not you")
    assert await client.ask("XCLIENT ADDR=192.0.2.1") == "554 5.7.1 Not you"
    with pytest.raises((EOFError, ConnectionError)):
        await client.ask("MAIL FROM:<a@b.example>")
    assert any("Client refused" in line and "ip=192.0.2.1" in line for line in world.lines)
    await world.close()


async def test_xforward_tells_the_origin_of_one_mail(named: World) -> None:
    client = await greeted(named)
    said = "XFORWARD ADDR=192.0.2.1 NAME=a.example PROTO=SMTP HELO=[UNAVAILABLE] SOURCE=REMOTE"
    assert await client.ask(said) == "250 2.0.0 Ok"
    found = (await sent(client, named)).client
    assert (found.ip, found.name, found.protocol, found.helo, found.trusted) == (
        "192.0.2.1", "a.example", "SMTP", "x", False,
    )  # fmt: skip
    assert b"from x ([127.0.0.1])" in named.mails[0].parts[0]
    assert (await sent(client, named)).client.ip == "127.0.0.1"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("XCLIENT", "501 5.5.4"),
        ("XCLIENT FOO=bar", "501 5.5.4 Attribute"),
        ("XCLIENT ADDR=nowhere", "501 5.5.4"),
        ("XCLIENT PORT=70000", "501 5.5.4"),
        ("XCLIENT HELO=a+0D+0Ab", "501 5.5.4"),
        ("XCLIENT HELO=a+0", "501 5.5.4"),
        ("XFORWARD PROTO=UUCP", "501 5.5.4"),
    ],
)
async def test_bad_attributes_change_nothing(named: World, line: str, reply: str) -> None:
    client = await greeted(named)
    assert (await client.ask(line)).startswith(reply)
    assert (await sent(client, named)).client.ip == "127.0.0.1"


async def test_not_within_a_transaction(named: World) -> None:
    client = await greeted(named)
    await client.ask("MAIL FROM:<a@b.example>")
    assert (await client.ask("XCLIENT ADDR=10.1.1.1")).startswith("503 5.5.1")
    assert (await client.ask("XFORWARD ADDR=10.1.1.1")).startswith("503 5.5.1")


async def test_strangers_are_not_heard(world: World) -> None:
    await world.start("printers")
    client = await greeted(world, "printers")
    assert (await client.ask("XCLIENT ADDR=10.1.1.1")).startswith("502 5.5.1")
    assert (await client.ask("XFORWARD ADDR=10.1.1.1")).startswith("502 5.5.1")
