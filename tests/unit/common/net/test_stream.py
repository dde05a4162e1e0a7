"""Streams over real loopback sockets: deadlines, ends, TLS."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from columba.common.net.check import Check
from columba.common.net.stream import (
    HIGH_WATER,
    Stream,
    StreamError,
    StreamLateError,
    StreamTlsError,
    open_tcp,
    open_unix,
)
from columba.common.net.tls import client_context
from tests.fakes.certificate import self_signed

Script = Callable[[socket.socket], None]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"), "hop.test")


def soon(seconds: float = 5.0) -> int:
    return time.monotonic_ns() + int(seconds * 1e9)


@asynccontextmanager
async def connected(script: Script) -> AsyncIterator[Stream]:
    """Yield a stream to a peer that runs the script in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.settimeout(5)
                script(peer)

        peer = asyncio.create_task(asyncio.to_thread(serve))
        stream = await open_tcp("127.0.0.1", server.getsockname()[1], "", soon())
        try:
            yield stream
        finally:
            stream.abort()
            await asyncio.wait_for(asyncio.gather(peer, return_exceptions=True), 6)


async def test_octets_go_both_ways_and_the_end_is_seen() -> None:
    def echo(peer: socket.socket) -> None:
        peer.sendall(peer.recv(100).upper())

    async with connected(echo) as stream:
        await stream.write(b"hello", soon())
        assert await stream.read(soon()) == b"HELLO"
        assert await stream.read(soon()) == b""
        assert not stream.is_idle
        with pytest.raises(StreamError):
            await stream.write(b"x", soon())


async def test_a_silent_peer_costs_no_more_than_the_deadline() -> None:
    def receive(peer: socket.socket) -> None:
        peer.recv(1)

    async with connected(receive) as stream:
        began = time.monotonic()
        with pytest.raises(StreamLateError):
            await stream.read(soon(0.05))
        assert time.monotonic() - began < 1
        assert stream.is_idle


async def test_a_peer_that_does_not_read_costs_no_more_than_the_deadline() -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def sleep(peer: socket.socket) -> None:
        asyncio.run_coroutine_threadsafe(done.wait(), loop).result(5)

    async with connected(sleep) as stream:
        with pytest.raises(StreamLateError):
            for _ in range(100):
                await stream.write(bytes(1 << 20), soon(0.1))
        done.set()


async def test_a_flood_is_stopped_and_nothing_of_it_is_lost() -> None:
    total = 8 * HIGH_WATER

    async with connected(lambda peer: peer.sendall(bytes(total))) as stream:
        got = 0
        while data := await stream.read(soon()):
            assert len(data) <= 3 * HIGH_WATER
            got += len(data)
        assert got == total


async def test_a_reset_is_an_error() -> None:
    def reset(peer: socket.socket) -> None:
        peer.recv(1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async with connected(reset) as stream:
        await stream.write(b"x", soon())
        with pytest.raises(StreamError):
            await stream.read(soon())


async def test_nobody_there(shared_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(StreamError):
            await open_tcp("127.0.0.1", bound.getsockname()[1], "", soon())
    with pytest.raises(StreamError):
        await open_unix(str(shared_path / "nothing"), soon())


async def test_octets_in_clear_after_the_go_ahead_are_an_error() -> None:
    async with connected(lambda peer: peer.sendall(b"220 go\r\n250 injected\r\n")) as stream:
        await asyncio.sleep(0.05)
        assert not stream.is_idle
        with pytest.raises(StreamTlsError):
            await stream.start_tls(client_context(Check.NOTHING), "x", soon())


async def test_a_peer_that_speaks_no_tls() -> None:
    def plain(peer: socket.socket) -> None:
        peer.recv(1000)
        peer.sendall(b"554 what?\r\n")

    async with connected(plain) as stream:
        with pytest.raises(StreamTlsError):
            await stream.start_tls(client_context(Check.NOTHING), "x", soon())


@pytest.mark.parametrize("check", [Check.NOTHING, Check.NAME])
async def test_tls_begins_and_an_untrusted_name_is_seen(
    check: Check, pair: tuple[Path, Path]
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*pair)

    def speak(peer: socket.socket) -> None:
        with server.wrap_socket(peer, server_side=True) as tls:
            tls.sendall(tls.recv(100).upper())

    async with connected(speak) as stream:
        context = client_context(check, str(pair[0]))
        await stream.start_tls(context, "hop.test", soon())
        assert stream.tls_version == "TLSv1.3" and stream.cipher
        await stream.write(b"secret", soon())
        assert await stream.read(soon()) == b"SECRET"

    async with connected(speak) as stream:
        if check is Check.NAME:
            with pytest.raises(StreamTlsError, match="not valid for"):
                await stream.start_tls(context, "other.test", soon())
        else:
            await stream.start_tls(context, "other.test", soon())
