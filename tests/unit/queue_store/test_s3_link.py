"""HTTP as far as S3 needs it on an event loop, fed with given octets in pieces of any size."""

import asyncio

import pytest

from columba.queue.store.s3_link import Link
from columba.queue.store.s3_wire import Head, WireError


class Other(asyncio.Transport):
    """The other end of a link: what was written, and whether it is open."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self.written = b""
        self.is_open = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return not self.is_open

    def abort(self) -> None:
        self.is_open = False


def ask(octets: bytes, piece: int, method: str = "GET", most: int = 1000) -> tuple[Head, bytes]:
    """Return what a link makes of an answer that comes in pieces, and then the other end hangs up."""

    async def talk() -> tuple[Head, bytes]:
        link = Link(most)
        other = Other(link)
        link.connection_made(other)
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            task = group.create_task(_answer(link, method))
            await asyncio.sleep(0)
            assert other.written == b"head body"
            for at in range(0, len(octets), piece):
                link.data_received(octets[at : at + piece])
            await asyncio.sleep(0)
            link.connection_lost(None)
            assert not link.is_open
        found = task.result()
        if isinstance(found, WireError):
            raise found
        return found

    return asyncio.run(talk())


async def _answer(link: Link, method: str) -> tuple[Head, bytes] | WireError:
    try:
        return await link.ask(method, b"head ", b"body")
    except WireError as error:
        return error


@pytest.mark.parametrize("piece", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("octets", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n",
            b"abc0123456789",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""),
    ],
)
def test_an_answer_comes_in_pieces_of_any_size(octets: bytes, body: bytes, piece: int) -> None:
    head, found = ask(octets, piece)
    assert (head.status, found, head.keeps) == (200, body, True)


def test_a_head_has_no_body_whatever_it_says() -> None:
    assert ask(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n", 5, "HEAD")[1] == b""


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\nab",
    ],
)
def test_what_is_no_answer_is_an_error(octets: bytes) -> None:
    with pytest.raises(WireError):
        ask(octets, 1000)
