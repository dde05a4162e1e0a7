"""HTTP as far as S3 needs it, before a server that answers with given octets."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from columba.queue.store.s3_wire import Head, Wire, WireError


@contextmanager
def answering(octets: bytes) -> Iterator[tuple[Wire, list[bytes]]]:
    """Give a connection whose other end answers with these octets and hangs up."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(5.0)
                seen.append(peer.recv(100_000))
                peer.sendall(octets)

        thread = threading.Thread(target=serve)
        thread.start()
        wire = Wire("127.0.0.1", listener.getsockname()[1], 5.0, None)
        try:
            yield wire, seen
        finally:
            wire.close()
            thread.join()


def ask(octets: bytes, method: str = "GET") -> tuple[Head, bytes]:
    with answering(octets) as (wire, _):
        wire.send(method, "/", {"Host": "h"}, b"")
        head = wire.head()
        return head, b"".join(wire.body(method, head))


def test_a_request_is_as_it_should_be() -> None:
    with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as (wire, seen):
        wire.send("PUT", "/a?b", {"Host": "h", "Content-Length": "3"}, b"abc")
        assert wire.head().status == 204
        assert seen == [b"PUT /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"]


@pytest.mark.parametrize(
    ("octets", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n",
            b"abc0123456789",
        ),
    ],
)
def test_bodies_of_known_length_and_in_chunks(octets: bytes, body: bytes) -> None:
    head, found = ask(octets)
    assert (head.status, found, head.keeps) == (200, body, True)


def test_a_head_has_no_body_whatever_it_says() -> None:
    assert ask(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\nETag: x\r\n\r\n", "HEAD")[1] == b""


@pytest.mark.parametrize(
    "octets",
    [
        b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_to_be_closed_is_not_kept(octets: bytes) -> None:
    assert not ask(octets)[0].keeps


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 two OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 9000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 9000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\na",
        b"HTTP/1.1 " + b"2" * 9000 + b" OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.7 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
    ],
)
def test_what_is_no_answer_is_an_error(octets: bytes) -> None:
    with pytest.raises(WireError):
        ask(octets)
