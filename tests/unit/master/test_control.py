"""The master's admin socket survives whatever is said to it."""

import contextlib
import selectors
import socket
from pathlib import Path

import pytest

from columba.master.control import LINE_MAX, Client, Control


@pytest.mark.parametrize(
    "line",
    [b"[" * (LINE_MAX - 1), b"\xff\0", b"null", b"[]", b"{}", b'{"command"', b""],
    ids=["deep", "octets", "null", "list", "empty", "cut", "nothing"],
)
def test_a_bad_request_is_answered(tmp_path: Path, line: bytes) -> None:
    asked: list[str] = []

    def handle(command: str, client: Client) -> None:
        asked.append(command)
        client.answer([])

    with selectors.DefaultSelector() as selector, socket.socket(socket.AF_UNIX) as client:
        control = Control(tmp_path / "master", selector, handle)
        client.connect(str(tmp_path / "master"))
        client.settimeout(5)
        client.sendall(line + b"\n" + b'{"command": "ping"}\n')
        answer = b""
        while answer.count(b"\n") < 2:
            for key, _ in selector.select(5):
                key.data()
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                answer += client.recv(65536)
        assert b'"error": "bad request"' in answer
        assert asked == ["ping"]
        control.close()
