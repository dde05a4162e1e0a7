"""HTTP/1.1 as far as S3 needs it: one connection, one request at a time, bodies of known length or in chunks.

Half the processor time of http.client, whose header parser is the one for mail; RFC 9112. Every wait ends with the
socket's timeout; heads and bodies have limits. All calls block.
"""

import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

HEAD_LIMIT: Final = 64 * 1024  # octets of status line and headers
_LINE: Final = 16 * 1024
_CHUNK: Final = 1 << 18
_JOINED: Final = 1 << 17  # a body up to this goes out with the head, in one piece


class WireError(Exception):
    """The server does not speak HTTP/1.1 as it should, or hung up in the middle."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of an answer; names in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def keeps(self) -> bool:
        """Tell whether the connection may be used again after the body."""
        return self.headers.get("connection", "").lower() != "close"


class Wire:
    """One connection."""

    def __init__(self, host: str, port: int, timeout_s: float, tls: ssl.SSLContext | None) -> None:
        """Connect; OSError."""
        bare = socket.create_connection((host, port), timeout_s)
        try:
            bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = tls.wrap_socket(bare, server_hostname=host) if tls else bare
            self._socket.settimeout(timeout_s)
            self._file: BinaryIO = self._socket.makefile("rb")
        except BaseException:
            bare.close()
            raise

    def set_timeout(self, timeout_s: float) -> None:
        """Let each wait end after so many seconds."""
        self._socket.settimeout(timeout_s)

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes],
    ) -> None:
        """Send a request; OSError. A body in pieces wants Content-Length among the headers."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("ascii")
        if isinstance(body, bytes) and len(body) <= _JOINED:
            self._socket.sendall(head + body)
            return
        self._socket.sendall(head)
        for piece in (body,) if isinstance(body, bytes) else body:
            self._socket.sendall(piece)

    def head(self) -> Head:
        """Return the head of the final answer; WireError, OSError."""
        while True:
            head = self._head()
            if head.status >= 200:
                return head

    def body(self, method: str, head: Head) -> Iterator[bytes]:
        """Yield the body in pieces; WireError when it ends early, OSError."""
        if method == "HEAD" or head.status in {204, 304}:
            return
        if "chunked" in head.headers.get("transfer-encoding", "").lower():
            yield from self._chunks()
            return
        length = head.headers.get("content-length")
        if length is None or not length.isdecimal():
            raise WireError("an answer without a length")
        yield from self._counted(int(length))

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def _head(self) -> Head:
        status = self._line().split(b" ", 2)
        if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or not status[1].isdigit():
            raise WireError("no status line")
        headers: dict[str, str] = {}
        size = 0
        while line := self._line():
            size += len(line)
            name, colon, value = line.partition(b":")
            if size > HEAD_LIMIT or not colon:
                raise WireError("no headers")
            headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
        if status[0] == b"HTTP/1.0":
            headers["connection"] = "close"
        return Head(int(status[1]), headers)

    def _line(self) -> bytes:
        line = self._file.readline(_LINE)
        if not line.endswith(b"\n"):
            raise WireError("hung up" if len(line) < _LINE else "a line that is too long")
        return line.rstrip(b"\r\n")

    def _counted(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self._file.read(min(left, _CHUNK))
            if not piece:
                raise WireError("the body ended early")
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while True:
            size = self._line().partition(b";")[0].strip()
            try:
                left = int(size, 16)
            except ValueError as error:
                raise WireError("no size of a chunk") from error
            if not left:
                break
            yield from self._counted(left)
            self._line()
        while self._line():
            continue
