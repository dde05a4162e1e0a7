"""A service for tests of the master: it echoes lines, and does at a word what services should not do."""

import asyncio
import contextlib
import os
import socket
import sys
import time
from dataclasses import dataclass

from columba.common import service
from columba.common.config.general import General


@dataclass(frozen=True)
class EchoSettings(General):
    """It has no settings of its own."""


class Echo:
    """Echoes each line with its PID before it."""

    def __init__(self, context: service.Context[EchoSettings]) -> None:
        self._context = context
        self._active = self._total = 0
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        for listener in self._context.birth.listeners:
            sock = socket.socket(fileno=listener.fd)
            make = asyncio.start_unix_server if listener.kind == "unix" else asyncio.start_server
            self._servers.append(await make(self._serve, sock=sock))
        self._context.event.info("Echo is ready", listeners=len(self._servers))

    def available(self) -> int:
        return max(0, self._context.birth.client_limit - self._active)

    def total(self) -> int:
        return self._total

    def active(self) -> int:
        return self._active

    def note(self) -> int:
        return 7

    async def drain(self, until_ns: int) -> None:
        for server in self._servers:
            server.close()
        while self._active and time.monotonic_ns() < until_ns:
            await asyncio.sleep(0.02)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._active += 1
        self._total += 1
        self._context.changed()
        try:
            while line := (await reader.readline()).decode():
                self._obey(line.strip())
                writer.write(f"{os.getpid()} {line}".encode())
                await writer.drain()
        finally:
            self._active -= 1
            self._context.changed()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _obey(self, word: str) -> None:
        if word.startswith("exit "):
            os._exit(int(word.removeprefix("exit ")))
        if word == "hang":
            time.sleep(60)
        if word.startswith("log "):
            self._context.event.warning(word.removeprefix("log "))
        if word.startswith("noise "):
            os.write(2, word.encode() + b"\n")
        if word.startswith("env "):
            os.write(2, f"env {os.environ.get(word[4:])}\n".encode())


if __name__ == "__main__":
    sys.exit(service.run(Echo, EchoSettings))
