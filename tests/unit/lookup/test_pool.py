"""Pools of connections, the memory before a table, and the words of the table protocols."""

import asyncio

import pytest

from columba.common.errors import UnavailableError
from columba.common.lookup.base import UNSURE, Peeked
from columba.common.lookup.cached import CachedTable
from columba.common.lookup.pooled import Connection, PooledTable
from columba.common.lookup.rows import value_of
from columba.common.lookup.socketmap import netstring, read_reply, take_netstring
from columba.common.lookup.tcp_table import quoted, read_line
from columba.common.pooled import LostError


class Wire:
    """A connection that answers by its server's plan."""

    def __init__(self, server: "Server") -> None:
        self.server, self.is_closed = server, False

    async def ask(self, key: str, until_ns: int) -> str | None:
        self.server.busy += 1
        self.server.busiest = max(self.server.busiest, self.server.busy)
        try:
            await asyncio.sleep(self.server.takes_s)
            if self.server.epoch != self.server.made[self]:
                raise LostError("gone")
            return self.server.answer(key)
        finally:
            self.server.busy -= 1

    def close(self) -> None:
        self.is_closed = True


class Server:
    """Counts connections; a new epoch breaks the old ones."""

    def __init__(self) -> None:
        self.made: dict[Wire, int] = {}
        self.epoch = self.busy = self.busiest = 0
        self.takes_s = 0.0
        self.is_down = False
        self.error: UnavailableError | None = None

    async def connect(self, until_ns: int) -> Connection:
        if self.is_down:
            raise UnavailableError("refused")
        wire = Wire(self)
        self.made[wire] = self.epoch
        return wire

    def answer(self, key: str) -> str | None:
        if self.error is not None:
            raise self.error
        return f"<{key}>" if key != "none" else None


async def test_a_connection_is_used_again_and_closed_at_the_end() -> None:
    server = Server()
    table = PooledTable("t", server, 2)
    assert [await table.get(k, 1) for k in ("a", "none", "b")] == ["<a>", None, "<b>"]
    assert len(server.made) == 1
    table.close()
    assert all(wire.is_closed for wire in server.made)


async def test_no_more_connections_than_allowed() -> None:
    server = Server()
    server.takes_s = 0.001
    table = PooledTable("t", server, 3)
    found = await asyncio.gather(*[table.get(str(n), 5) for n in range(20)])
    assert found == [f"<{n}>" for n in range(20)]
    assert (server.busiest, len(server.made)) == (3, 3)


async def test_a_connection_that_broke_while_idle_is_replaced() -> None:
    server = Server()
    table = PooledTable("t", server, 2)
    await table.get("a", 1)
    server.epoch += 1
    assert await table.get("b", 1) == "<b>"
    assert [wire.is_closed for wire in server.made] == [True, False]


async def test_a_server_that_is_down_is_not_asked_by_each() -> None:
    server = Server()
    server.is_down = True
    table = PooledTable("t", server, 2)
    with pytest.raises(UnavailableError, match="lookup t: refused"):
        await table.get("a", 1)
    server.is_down = False
    with pytest.raises(UnavailableError, match="down a moment ago"):
        await table.get("a", 1)


async def test_what_is_late_is_unavailable_and_its_connection_closed() -> None:
    server = Server()
    server.takes_s = 10
    table = PooledTable("t", server, 1)
    with pytest.raises(UnavailableError, match="no answer in 0"):
        await table.get("a", 0.02)
    assert all(wire.is_closed for wire in server.made)
    server.takes_s = 0
    assert await table.get("a", 1) == "<a>"


async def test_waiting_for_a_connection_counts() -> None:
    server = Server()
    server.takes_s = 0.3
    table = PooledTable("t", server, 1)
    first = asyncio.ensure_future(table.get("a", 5))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError):
        await table.get("b", 0.02)
    assert await first == "<a>"


async def test_an_error_of_the_server_is_no_answer() -> None:
    server = Server()
    server.error = UnavailableError("syntax")
    table = PooledTable("t", server, 1)
    with pytest.raises(UnavailableError, match="lookup t: syntax"):
        await table.get("a", 1)
    assert len(server.made) == 1


class Counted:
    """A table that counts who asks."""

    def __init__(self) -> None:
        self.asked = 0
        self.value: str | None = "v"

    def peek(self, key: str) -> Peeked:
        return UNSURE

    async def get(self, key: str, timeout_s: float) -> str | None:
        self.asked += 1
        if self.value == "broken":
            raise UnavailableError("broken")
        return self.value

    def close(self) -> None:
        self.asked = -1


async def test_answers_are_remembered_for_a_while() -> None:
    now, inner = [0.0], Counted()
    table = CachedTable(inner, 5.0, lambda: now[0])
    assert table.peek("k") is UNSURE
    assert [await table.get("k", 1), table.peek("k"), await table.get("k", 1)] == ["v", "v", "v"]
    assert inner.asked == 1
    now[0] += 5
    assert table.peek("k") is UNSURE
    inner.value = None
    assert await table.get("k", 1) is None
    assert table.peek("k") is None
    inner.value = "broken"
    now[0] += 5
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await table.get("k", 1)
    assert inner.asked == 4
    table.close()
    assert inner.asked == -1


def test_netstrings_come_in_pieces() -> None:
    whole = netstring(b"OK value")
    assert whole == b"8:OK value,"
    assert all(take_netstring(whole[:n]) is None for n in range(len(whole)))
    assert take_netstring(whole + b"rest") == (b"OK value", len(whole))


@pytest.mark.parametrize("data", [b"x", b"1x:", b"99999999:", b"2:ab;", b"200000:", b":"])
def test_what_is_no_netstring(data: bytes) -> None:
    with pytest.raises(ValueError, match="netstring"):
        take_netstring(data)


def test_replies_of_a_socketmap() -> None:
    assert [read_reply(b"OK a b"), read_reply(b"OK "), read_reply(b"NOTFOUND ")] == [
        "a b",
        "",
        None,
    ]
    for reply in (b"TEMP x", b"TIMEOUT x", b"PERM x", b"", b"ok x"):
        with pytest.raises(UnavailableError):
            read_reply(reply)


def test_lines_of_a_tcp_table() -> None:
    assert quoted("a b%\n\xff".encode("latin-1")) == b"a%20b%25%0A%FF"
    assert [read_line(b"200 a%20b\r"), read_line(b"200 "), read_line(b"500 no")] == [
        "a b",
        "",
        None,
    ]
    for line in (b"400 later", b"", b"299 x", b"hello"):
        with pytest.raises(UnavailableError):
            read_line(line)


def test_rows_become_a_value() -> None:
    assert value_of([]) is None
    assert value_of([(None,), ()]) is None
    assert value_of([("a", 1), (b"b",), (3,)]) == "a, b, 3"
    with pytest.raises(UnavailableError, match="longer than"):
        value_of([("x" * 70_000,)])
