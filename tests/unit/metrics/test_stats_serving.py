"""Who asks for the figures and does not read them holds nothing."""

import asyncio
import socket
from typing import cast

import pytest

from columba.common.service import Context
from columba.master.stats import service
from columba.master.stats.service import Stats
from columba.master.stats.settings import Settings

LONG = b"x" * (8 << 20)


async def test_a_client_that_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "REQUEST_S", 0.1)
    monkeypatch.setattr(service, "CLOSE_S", 0.1)
    stats = Stats(cast(Context[Settings], None))
    monkeypatch.setattr(stats, "_answer", lambda head: LONG)
    server = await asyncio.start_server(stats._serve, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(client, b"GET /metrics HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.5)
        assert stats.active() == 1, "itself alone"
        got = 0
        async with asyncio.timeout(5):
            while data := await loop.sock_recv(client, 1 << 20):
                got += len(data)
        assert got < len(LONG)
    finally:
        client.close()
        server.close()
