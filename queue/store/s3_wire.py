"""HTTP/1.1 as far as S3 needs it: one connection, one request at a time, bodies of known length or in chunks.

Half the processor time of http.client, whose header parser is the one for mail; RFC 9112. Every wait has a
longest time, and all waits of a request end at one instant, so that a server that trickles gains nothing by it; heads
have limits. All calls block.
"""

import re
import socket
import ssl
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD_LIMIT: Final = 64 * 1024  # octets of status line and headers
_LINE: Final = 16 * 1024
_CHUNK: Final = 1 << 18
_JOINED: Final = 1 << 17  # a body up to this goes out with the head, in one piece
_STATUS: Final = re.compile(rb"[1-9][0-9]{2}")
_LENGTH: Final = re.compile(r"[0-9]{1,15}")
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,12}")  # RFC 9112 §7.1
INTERIM_MOST: Final = 10  # answers 1xx before the final one
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing throws away what was not sent


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


def request_head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """Return the octets before a request's body."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("ascii")


def parse_head(lines: Sequence[bytes]) -> Head:
    """Return the head of these lines, which are without their ends; WireError when they are none."""
    status = lines[0].split(b" ", 2)
    is_http = status[0] in {b"HTTP/1.0", b"HTTP/1.1"}
    if not is_http or len(status) < 2 or not _STATUS.fullmatch(status[1]):
        raise WireError("no status line")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon:
            raise WireError("no headers")
        headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
    if status[0] == b"HTTP/1.0":
        headers["connection"] = "close"
    return Head(int(status[1]), headers)


def length_of(head: Head) -> int:
    """Return the octets of a body that is not in chunks; WireError when the head does not say."""
    length = head.headers.get("content-length", "")
    if not _LENGTH.fullmatch(length):
        raise WireError("an answer without a length")
    return int(length)


def chunk_size(line: bytes) -> int:
    """Return the octets of the chunk that begins with this line; WireError."""
    size = line.partition(b";")[0].strip()
    if not _CHUNK_SIZE.fullmatch(size):
        raise WireError("no size of a chunk")
    return int(size, 16)


def forget_unsent(opened: socket.socket) -> None:
    """Let closing throw away what the kernel has not sent: a write that was given up must not be done after all.

    Else the kernel goes on for minutes, and the write arrives when a cut network is mended.
    """
    with suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


class Wire:
    """One connection."""

    def __init__(self, host: str, port: int, timeout_s: float, tls: ssl.SSLContext | None) -> None:
        """Connect; OSError."""
        bare = socket.create_connection((host, port), timeout_s)
        try:
            bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = tls.wrap_socket(bare, server_hostname=host) if tls else bare
            self._waits = _Waits(self._socket, timeout_s, time.monotonic() + timeout_s)
            self._file = BufferedReader(self._waits)
        except BaseException:
            bare.close()
            raise

    @property
    def is_clean(self) -> bool:
        """Tell whether nothing came behind the last answer: it would be taken for the next one's beginning."""
        return self._file.tell() == self._waits.octets

    def set_deadline(self, wait_s: float, until_s: float) -> None:
        """Let each wait end after wait_s seconds, and all of them at until_s (time.monotonic())."""
        self._waits.wait_s, self._waits.until_s = wait_s, until_s

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes],
    ) -> None:
        """Send a request; OSError. A body in pieces wants Content-Length among the headers."""
        head = request_head(method, target, headers)
        if isinstance(body, bytes) and len(body) <= _JOINED:
            self._waits.send(head + body)
            return
        self._waits.send(head)
        for piece in (body,) if isinstance(body, bytes) else body:
            self._waits.send(piece)

    def head(self) -> Head:
        """Return the head of the final answer; WireError, OSError."""
        for _ in range(INTERIM_MOST):
            head = self._head()
            if head.status >= 200:
                return head
        raise WireError("no final answer")

    def body(self, method: str, head: Head) -> Iterator[bytes]:
        """Yield the body in pieces; WireError when it ends early, OSError."""
        if method == "HEAD" or head.status in {204, 304}:
            return
        if "chunked" in head.headers.get("transfer-encoding", "").lower():
            yield from self._chunks()
            return
        yield from self._counted(length_of(head))

    def give_up(self) -> None:
        """Close the connection in the middle of a request."""
        forget_unsent(self._socket)
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def _head(self) -> Head:
        lines, size = [self._line()], 0
        while line := self._line():
            size += len(line)
            if size > HEAD_LIMIT:
                raise WireError("a head that is too long")
            lines.append(line)
        return parse_head(lines)

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
            left = chunk_size(self._line())
            if not left:
                break
            yield from self._counted(left)
            if self._line():
                raise WireError("a chunk that is longer than it says")
        while self._line():
            continue


class _Waits(RawIOBase):
    """A socket's octets, both ways, with the deadline. octets: how many came in."""

    def __init__(self, peer: socket.socket, wait_s: float, until_s: float) -> None:
        super().__init__()
        self._peer, self.wait_s, self.until_s = peer, wait_s, until_s
        self.octets = 0

    def readable(self) -> bool:
        """Say yes, as BufferedReader asks."""
        return True

    def tell(self) -> int:
        """Return how many octets were read from the socket."""
        return self.octets

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Wait for octets; TimeoutError."""
        self._limit()
        count = self._peer.recv_into(buffer)
        self.octets += count
        return count

    def send(self, octets: bytes) -> None:
        """Send all; TimeoutError."""
        self._limit()
        self._peer.sendall(octets)

    def _limit(self) -> None:
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("too slow")
        self._peer.settimeout(min(self.wait_s, left_s))
