"""What every table on a server promises, asked of PostgreSQL, MariaDB, Redis, OpenLDAP, and of a SQLite file."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from columba.common.config.general import LookupTable
from columba.common.config.load import defaults
from columba.common.errors import UnavailableError
from columba.common.lookup.base import Table
from columba.common.lookup.open import open_table
from columba.common.off_loop import OffLoop
from tests.peers.all import open_folder
from tests.peers.databases import USERS, Database, Mariadb, Postgres, Redis, Slapd

pytestmark = pytest.mark.peer
SQL = "select box from users where name = '%{user}' order by box"
T = 10.0


@dataclass
class Server:
    """A table's settings and the server behind it, if there is one."""

    settings: dict[str, object]
    database: Database | None = None

    def table(self, **changed: object) -> Table:
        settings = defaults(LookupTable, **{"cache_ttl": 0, **self.settings, **changed})
        return open_table("t", settings, OffLoop(1, "t"))


def sqlite_file(folder: Path) -> str:
    path = folder / "users.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table users (name text, box text)")
        rows = [(key, value) for key, values in USERS.items() for value in values]
        connection.executemany("insert into users values (?, ?)", rows)
    connection.close()
    return f"sqlite:{path}"


def made(kind: str, folder: Path) -> Server:
    match kind:
        case "sqlite":
            return Server({"url": sqlite_file(folder), "query": SQL})
        case "pgsql":
            pg = Postgres(folder)
            return Server({"url": pg.url, "query": SQL, "password": "secret"}, pg)
        case "mysql":
            maria = Mariadb(folder)
            return Server({"url": maria.url, "query": SQL}, maria)
        case "redis":
            redis = Redis(folder)
            query = "LRANGE list/%{user} 0 -1"
            return Server({"url": redis.url, "query": query, "password": "secret"}, redis)
        case _:
            slapd = Slapd(folder)
            who = {"username": "cn=columba,dc=own,dc=example", "password": "secret"}
            return Server({"url": slapd.url, "query": "(cn=%{user})", **who}, slapd)


@pytest.fixture(autouse=True)
async def let_go() -> AsyncIterator[None]:
    """Let the loop close what a test has closed."""
    yield
    await asyncio.sleep(0.01)


@pytest.fixture(scope="module", params=["sqlite", "pgsql", "mysql", "redis", "ldap"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with open_folder() as folder:
        running = made(request.param, folder)
        yield running
        if running.database is not None:
            running.database.stop()


async def test_keys_are_found_or_not(server: Server) -> None:
    table = server.table()
    for key, values in USERS.items():
        assert await table.get(key, T) == ", ".join(values)
    assert await table.get("nobody@own.example", T) is None
    table.close()


@pytest.mark.parametrize(
    "key",
    [
        "' or '1'='1",
        "x'; drop table users; --",
        "*",
        "a)(cn=*",
        "\\",
        "%",
        "ann@own.example\r\nGET x",
        "\0",
        "ü" * 300,
    ],
)
async def test_a_key_is_never_syntax(server: Server, key: str) -> None:
    table = server.table()
    assert await table.get(key, T) is None
    assert await table.get("ann@own.example", T) == "people/ann"
    table.close()


async def test_many_ask_through_few_connections(server: Server) -> None:
    table = server.table(pool_size=2)
    keys = [*USERS] * 8
    found = await asyncio.gather(*[table.get(key, T) for key in keys])
    assert found == [", ".join(USERS[key]) for key in keys]
    table.close()


async def test_a_wrong_query_is_unavailable_not_empty(server: Server) -> None:
    wrong = {
        "pgsql": "select nothing from users where name = %{user}",
        "mysql": "select nothing from users where name = %{user}",
        "sqlite": "select nothing from users where name = %{user}",
        "redis+unix": "HGET list/ann@own.example %{user}",
        "ldap": "(cn=%{user}",
    }
    scheme = str(server.settings["url"]).partition(":")[0]
    table = server.table(query=wrong[scheme])
    with pytest.raises(UnavailableError):
        await table.get("ann@own.example", T)
    table.close()


async def test_a_wrong_password_is_unavailable_and_not_told(server: Server) -> None:
    if server.database is None:
        return
    url = str(server.settings["url"]).replace(":secret@", ":geheim@")
    table = server.table(url=url, password="geheim")
    with pytest.raises(UnavailableError) as caught:
        await table.get("ann@own.example", T)
    assert "geheim" not in str(caught.value)
    table.close()


async def test_a_server_that_comes_back_is_asked_again(server: Server) -> None:
    if server.database is None:
        return
    table = server.table()
    assert await table.get("ann@own.example", T) == "people/ann"
    server.database.stop()
    with pytest.raises(UnavailableError):
        await table.get("ann@own.example", 2.0)
    server.database.start()
    await asyncio.sleep(1.1)
    assert await table.get("ann@own.example", T) == "people/ann"
    table.close()
