"""Answer an administrator's questions on a unix socket: a JSON object a line, each way.

The socket is `<run>/admin/<service>.<slot>`, mode 0600 unless the folder's rights say more. A handler returns rows or
raises; the error's words and exit code go to the tool. What is long is answered in pages, a line each with
`"more": true`, until one with `false`: the process goes on with its work between them.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

from columba.common.errors import EX_DATAERR, ColumbaError
from columba.common.log.event import Event

LINE_MAX: Final = 1 << 20
IDLE_S: Final = 300.0
Row = dict[str, str | int | float | bool | list[str] | None]
Ask = Callable[[str, dict[str, object]], Awaitable[list[Row]]]
Pages = Callable[[str, dict[str, object]], AsyncIterator[list[Row]] | None]  # None: ask instead


class AdminServer:
    """Serves one socket until closed."""

    def __init__(self, path: Path, ask: Ask, event: Event, pages: Pages | None = None) -> None:
        self._path, self._ask, self._event = path, ask, event
        self._pages = pages
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Bind and listen."""
        self._path.parent.mkdir(mode=0o750, exist_ok=True)
        self._path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._serve, self._path, limit=LINE_MAX, backlog=16
            )
        finally:
            os.umask(mask)

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(IDLE_S):
                    line = await reader.readline()
                if not line:
                    return
                async for answer in self._answers(line):
                    await _write(writer, answer)
        except (TimeoutError, OSError, ValueError):
            return
        finally:
            writer.close()

    async def _answers(self, line: bytes) -> AsyncIterator[dict[str, object]]:
        try:
            request = json.loads(line)
            command = str(request.pop("command"))
            pages = self._pages(command, request) if self._pages is not None else None
            if pages is None:
                yield {"ok": True, "rows": await self._ask(command, request)}
                return
            async for rows in pages:
                yield {"ok": True, "rows": rows, "more": True}
            yield {"ok": True, "rows": [], "more": False}
        except ColumbaError as error:
            yield {"ok": False, "error": str(error), "exit_code": error.exit_code}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            yield {"ok": False, "error": f"bad request: {error}", "exit_code": EX_DATAERR}
        except Exception as error:  # the connection loop
            self._event.crashed("An admin request failed", error)
            yield {"ok": False, "error": f"internal error: {error!r}", "exit_code": 70}


async def _write(writer: asyncio.StreamWriter, answer: dict[str, object]) -> None:
    writer.write(json.dumps(answer).encode() + b"\n")
    async with asyncio.timeout(IDLE_S):
        await writer.drain()
