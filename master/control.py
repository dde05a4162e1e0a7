"""The master's admin socket, `<run>/master`: a JSON object a line, each way; mode 0600.

Requests are {"command": NAME, …}; answers {"ok": true, "rows": […]} or {"ok": false, "error": TEXT, "exit_code": N},
at once, or later where a command has to wait. A client that is slow or sends too much is cut off.
"""

import json
import os
import selectors
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from columba.common.errors import EX_DATAERR

LINE_MAX: Final = 65536
CLIENTS_MAX: Final = 32
Row = dict[str, str | int | float | bool | None]


class Client:
    """One connection."""

    def __init__(self, control: "Control", connection: socket.socket) -> None:
        self._control, self.socket = control, connection
        self._in = b""

    def answer(self, rows: list[Row]) -> None:
        """Send the rows of a success."""
        self._send({"ok": True, "rows": rows})

    def fail(self, text: str, exit_code: int) -> None:
        """Send an error and the exit code that the tool ends with."""
        self._send({"ok": False, "error": text, "exit_code": exit_code})

    def read(self) -> None:
        """Take what has come; each whole line is a request."""
        try:
            data = self.socket.recv(LINE_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._in += data
        if not data or len(self._in) > LINE_MAX:
            self._control.drop(self)
            return
        *lines, self._in = self._in.split(b"\n")
        for line in lines:
            self._request(line)

    def _request(self, line: bytes) -> None:
        try:
            request = json.loads(line)
            command = str(request["command"])
        except (ValueError, KeyError, TypeError, RecursionError):
            self.fail("bad request", EX_DATAERR)
            return
        self._control.handle(command, self)

    def _send(self, answer: dict[str, object]) -> None:
        try:
            self.socket.setblocking(True)
            self.socket.settimeout(1.0)
            self.socket.sendall(json.dumps(answer).encode() + b"\n")
            self.socket.setblocking(False)
        except OSError:
            self._control.drop(self)


class Control:
    """The listening socket and its clients."""

    def __init__(
        self, path: Path, selector: selectors.BaseSelector, handle: Callable[[str, Client], None]
    ) -> None:
        self._path, self._selector, self.handle = path, selector, handle
        self._clients: set[Client] = set()
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(before)
        self._socket.listen(CLIENTS_MAX)
        self._socket.setblocking(False)
        selector.register(self._socket, selectors.EVENT_READ, self._accept)

    def drop(self, client: Client) -> None:
        """Close a connection."""
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.socket)
            client.socket.close()

    def close(self) -> None:
        """Close all and remove the socket."""
        for client in list(self._clients):
            self.drop(client)
        self._selector.unregister(self._socket)
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return
        if len(self._clients) >= CLIENTS_MAX:
            connection.close()
            return
        connection.setblocking(False)
        client = Client(self, connection)
        self._clients.add(client)
        self._selector.register(connection, selectors.EVENT_READ, client.read)
