"""What the master hands over while a process runs."""

import asyncio
import os
import socket
import threading
import time
from pathlib import Path

from columba.common.errors import ConfigError
from columba.common.ipc import tlsfiles
from columba.common.ipc.master import NEWS_TLS
from columba.common.ipc.tlsfiles import TlsFiles
from columba.common.log.event import Event
from columba.common.service import Birth, Context


def hand_over(master: socket.socket, files: TlsFiles) -> None:
    fd = os.memfd_create("tls")
    os.write(fd, tlsfiles.dump(files))
    socket.send_fds(master, [NEWS_TLS], [fd])
    os.close(fd)


async def test_certificates_are_loaded_in_their_order_and_off_the_loop(tmp_path: Path) -> None:
    (tmp_path / "anvil").mkdir()
    child, master = socket.socketpair()
    context = Context(
        Birth(
            service="smtpd", slot=0, generation=1, run=tmp_path, client_limit=1, request_limit=0, hang_limit_s=30,
            shutdown_timeout_s=30, status_fd=-1, dead_fd=-1, is_debug=False, listeners=(), news_fd=child.fileno(),
        ),
        None,
    )  # fmt: skip
    lines: list[str] = []
    context.event = Event(lambda _level, text: lines.append(text))
    seen: list[tuple[bytes, bool]] = []

    def load(files: TlsFiles) -> None:
        time.sleep(0.0 if seen else 0.1)
        seen.append((files.trust, threading.current_thread() is threading.main_thread()))
        if files.trust == b"bad":
            raise ConfigError("no certificate")

    context.on_tls = load
    for trust in (b"one", b"bad", b"two"):
        hand_over(master, TlsFiles(trust=trust))
        context.take_news()
    async with asyncio.timeout(10):
        while len(seen) < 3:
            await asyncio.sleep(0.005)
    assert seen == [(b"one", False), (b"bad", False), (b"two", False)]
    assert lines == ['New certificates are not used: error="no certificate"']
    context.close()
    context.zmq.destroy(0)
    child.close()
    master.close()
