"""A small next hop for the development set-up: it takes every mail and keeps it as a file.

It stands for the rest of the world, so that mail that leaves can be looked at. It is for loopback only, knows
no TLS and no limits but that of its reader, and never runs in a real installation. Source: RFC 5321 §4.1.
"""

import asyncio
import itertools
from pathlib import Path
from typing import Final

LIMIT: Final = 64 << 20
IDLE_S: Final = 300.0
CONNECTIONS: Final = 100


class Elsewhere:
    """Listens on 127.0.0.1:port; mails go to folder/N.eml with the envelope on top."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port = folder, port
        self._numbers = itertools.count(1 + len(list(folder.glob("*.eml"))))
        self._room = asyncio.Semaphore(CONNECTIONS)

    async def serve(self) -> None:
        """Serve until cancelled."""
        server = await asyncio.start_server(self._talk, "127.0.0.1", self._port, limit=LIMIT)
        async with server:
            await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; whatever goes wrong on it ends it alone."""
        try:
            async with self._room, asyncio.timeout(IDLE_S):
                await self._dialogue(reader, writer)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _dialogue(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer command after command."""
        envelope: list[bytes] = []
        reply = b"220 elsewhere.test ESMTP"
        while True:
            writer.write(reply + b"\r\n")
            await writer.drain()
            line = await reader.readline()
            match line[:4].upper():
                case b"":
                    return
                case b"EHLO":
                    reply = b"250-elsewhere.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8"
                case b"MAIL":
                    envelope = [line.strip()]
                    reply = b"250 2.1.0 ok"
                case b"RCPT":
                    envelope.append(line.strip())
                    reply = b"250 2.1.5 ok"
                case b"DATA":
                    writer.write(b"354 go\r\n")
                    reply = self._keep(envelope, await reader.readuntil(b"\r\n.\r\n"))
                case b"QUIT":
                    writer.write(b"221 2.0.0 bye\r\n")
                    return
                case _:
                    reply = b"250 2.0.0 ok"

    def _keep(self, envelope: list[bytes], text: bytes) -> bytes:
        """Write a mail into a file and return the answer."""
        name = f"{next(self._numbers):04}.eml"
        head = b"".join(b"X-Envelope: " + line + b"\r\n" for line in envelope)
        body = text[:-3].replace(b"\r\n..", b"\r\n.")  # RFC 5321 §4.5.2
        (self._folder / name).write_bytes(head + body)
        return b"250 2.0.0 kept as " + name.encode()
