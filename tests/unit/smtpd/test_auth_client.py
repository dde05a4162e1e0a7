"""smtpd's client of the auth service, where the service is silent or comes back."""

import asyncio
import time
from pathlib import Path

import pytest

from columba.common.errors import PeerGoneError
from columba.common.log.event import Event
from columba.common.sasl import dovecot
from columba.common.sasl.dovecot import Ok
from columba.smtpd.peers import dovecot as peer
from columba.smtpd.peers.dovecot import AuthClient

PARAMS = {"service": "smtp"}
HELLO = dovecot.server_hello({"PLAIN": ()}, 1, 1, "0" * 32)


class Server:
    """An auth service that is silent until it is told to speak; then everybody's password is right."""

    def __init__(self) -> None:
        self.speaks = False
        self.came = self.left = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        self.came += 1
        if self.speaks:
            writer.write(HELLO)
        while line := await reader.readline():
            word, number, *_ = [*line.split(b"\t"), b""]
            if self.speaks and word == b"AUTH":
                writer.write(dovecot.ok(int(number), "ann"))
        writer.close()
        await writer.wait_closed()
        self.left += 1

    async def wait_empty(self) -> None:
        """Wait until all clients have left."""
        async with asyncio.timeout(5):
            while self.left < self.came:
                await asyncio.sleep(0.01)


async def test_all_who_wait_for_a_silent_service_fail_with_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "CONNECT_S", 0.3)
    server, path = Server(), str(tmp_path / "auth")
    client = AuthClient(path, Event(lambda _level, _text: None))
    async with await asyncio.start_unix_server(server.talk, path):
        began_s = time.monotonic()
        asked = (client.begin("PLAIN", PARAMS, b"x", 5) for _ in range(10))
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(result, PeerGoneError) for result in results)
        assert server.came == 1 and time.monotonic() - began_s < 1.0
        server.speaks = True
        numbered = await asyncio.gather(
            *(client.begin("PLAIN", PARAMS, b"x", 5) for _ in range(10))
        )
        assert all(isinstance(verdict, Ok) for _, verdict in numbered) and server.came == 2
        client.close()
        await server.wait_empty()
