"""Servers of the two protocols of Postfix's tables, answering from a dictionary; real `postmap` asks them too.

A value None answers that the table can't tell.
"""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from urllib.parse import unquote_to_bytes

from columba.common.lookup.socketmap import netstring, take_netstring
from columba.common.lookup.tcp_table import quoted

Values = Mapping[str, str | None]


class TableServer:
    """`async with TableServer(values, "socketmap") as port`; is_brief: each connection is closed after an answer."""

    def __init__(self, values: Values, kind: str, *, is_brief: bool = False) -> None:
        self.asked: list[str] = []
        self.connections = 0
        self._values, self._kind, self._is_brief = values, kind, is_brief

    async def __aenter__(self) -> "TableServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        buffer = b""
        while data := await reader.read(4096):
            buffer += data
            buffer, reply = (
                self._socketmap(buffer) if self._kind == "socketmap" else self._tcp(buffer)
            )
            writer.write(reply)
            if reply and self._is_brief:
                break
        writer.close()

    def _socketmap(self, buffer: bytes) -> tuple[bytes, bytes]:
        taken = take_netstring(buffer)
        if taken is None:
            return buffer, b""
        name, _, key = taken[0].decode().partition(" ")
        self.asked.append(f"{name}/{key}")
        value = self._values.get(key, "")
        reply = "TEMP out of order" if value is None else f"OK {value}" if value else "NOTFOUND "
        return buffer[taken[1] :], netstring(reply.encode())

    def _tcp(self, buffer: bytes) -> tuple[bytes, bytes]:
        line, newline, rest = buffer.partition(b"\n")
        if not newline:
            return buffer, b""
        key = unquote_to_bytes(line.removeprefix(b"get ")).decode()
        self.asked.append(key)
        value = self._values.get(key, "")
        if value is None:
            return rest, b"400 out%20of%20order\n"
        return rest, b"200 %b\n" % quoted(value.encode()) if value else b"500 not%20found\n"
