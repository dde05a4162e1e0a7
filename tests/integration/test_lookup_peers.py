"""The tables of Postfix's protocols beside real postmap, postsrsd's tcp_table, and the users of a real Dovecot."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from columba.common.config.general import LookupTable
from columba.common.config.load import defaults
from columba.common.errors import UnavailableError
from columba.common.lookup.base import Table
from columba.common.lookup.open import open_table
from columba.common.mail.srs import Srs
from columba.common.off_loop import OffLoop
from tests.fakes.table_server import TableServer
from tests.peers.all import open_folder
from tests.peers.dovecot import Dovecot
from tests.peers.process import Program, answers, free_port, require, run

pytestmark = pytest.mark.peer
VALUES = {"ann@own.example": "people/ann", "two words": "a value, with 100% blanks", "broken": None}
T = 10.0


def table(url: str, query: str = "", cache_ttl: float = 0.0) -> Table:
    settings = defaults(LookupTable, url=url, query=query, cache_ttl=cache_ttl)
    return open_table("t", settings, OffLoop(1, "t"))


def postmap(key: str, url: str) -> tuple[int, str]:
    """Return status and output of the real client: 0 found, 1 not found or failed."""
    done = run(["postmap", "-q", key, url])
    return done.returncode, done.stdout.strip()


@pytest.fixture(autouse=True)
async def let_go() -> AsyncIterator[None]:
    """Let the loop close what a test has closed."""
    yield
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["socketmap", "tcp"])
async def test_postmap_and_we_hear_the_same(kind: str) -> None:
    require("postmap")
    async with TableServer(VALUES, kind) as server:
        url = (
            f"inet:127.0.0.1:{server.port}:users"
            if kind == "socketmap"
            else f"127.0.0.1:{server.port}"
        )
        ours = table(f"{kind}:{url}")
        for key in ("ann@own.example", "two words", "nobody@own.example"):
            status, text = await asyncio.to_thread(postmap, key, f"{kind}:{url}")
            value = await ours.get(key, T)
            assert (status, text) == ((0, value) if value is not None else (1, ""))
            assert server.asked[-1] == server.asked[-2]
        status, text = await asyncio.to_thread(postmap, "broken", f"{kind}:{url}")
        assert status == 1
        assert text
        with pytest.raises(UnavailableError, match="out"):
            await ours.get("broken", T)
        ours.close()


@pytest.mark.parametrize("kind", ["socketmap", "tcp"])
async def test_a_connection_that_was_closed_is_made_anew(kind: str) -> None:
    async with TableServer(VALUES, kind, is_brief=True) as server:
        url = (
            f"inet:127.0.0.1:{server.port}:users"
            if kind == "socketmap"
            else f"127.0.0.1:{server.port}"
        )
        ours = table(f"{kind}:{url}")
        for _ in range(3):
            assert await ours.get("ann@own.example", T) == "people/ann"
        assert server.connections == 3
        ours.close()


async def test_a_server_that_does_not_answer_is_unavailable_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ours = table(f"tcp:127.0.0.1:{port}")
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=r"no answer in 0\.2 s"):
        await ours.get("k", 0.2)
    assert time.monotonic() - began < 2
    ours.close()
    server.close()


@pytest.fixture
def postsrsd() -> Iterator[tuple[int, int]]:
    """The real SRS daemon: ports of forward and reverse."""
    require("postsrsd", root=True)
    with open_folder() as folder:
        secret = folder / "secret"
        secret.write_text("tops3cret-of-both\n")
        secret.chmod(0o644)
        forward, reverse = free_port(), free_port()
        argv = ["postsrsd", "-d", "own.example", "-s", str(secret), "-l", "127.0.0.1"]
        argv += ["-f", str(forward), "-r", str(reverse), "-Xlocal.example"]
        program = Program(argv, folder, "postsrsd")
        program.wait_ready(lambda: answers(("127.0.0.1", reverse)))
        yield forward, reverse
        program.stop()


async def test_postsrsd_rewrites_as_we_do(postsrsd: tuple[int, int]) -> None:
    forward, reverse = (table(f"tcp:127.0.0.1:{port}") for port in postsrsd)
    srs = Srs((b"tops3cret-of-both",))
    addresses = [
        "Ann@far.example",
        "list-1=2@far.example",
        "SRS0=abcd=XY=far.example=ann@one.example",
    ]
    for address in addresses:
        theirs = await forward.get(address, T)
        ours = srs.forward(address, "own.example", time.time())
        assert theirs == ours
        assert srs.reverse(theirs or "", time.time()) == address
        assert await reverse.get(ours or "", T) == address
    assert await forward.get("x@local.example", T) is None
    assert await reverse.get("SRS0=aaaa=AA=far.example=ann@own.example", T) is None
    forward.close()
    reverse.close()


MASTER = """
service auth {
  unix_listener auth-userdb {
    mode = 0666
  }
}
"""


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with open_folder() as folder:
        server = Dovecot(folder, {"ann@own.example": "x", "bob@own.example": "y"}, more=MASTER)
        yield server
        server.stop()


async def test_users_of_a_dovecot(dovecot: Dovecot) -> None:
    path = dovecot.folder / "run" / "auth-userdb"
    names, homes = table(f"userdb:{path}"), table(f"userdb:{path}?service=lmtp", "home")
    assert await names.get("ann@own.example", T) == "ann@own.example"
    assert await homes.get("bob@own.example", T) == str(dovecot.maildir("bob@own.example"))
    assert await names.get("nobody@own.example", T) is None
    assert await names.get("odd\tname\n", T) is None
    fields = table(f"userdb:{path}", "no_such_field")
    assert await fields.get("ann@own.example", T) == ""
    fields.close()
    with pytest.raises(UnavailableError):
        await table(f"userdb:{Path(dovecot.folder)}/nothing").get("x", T)
    names.close()
    homes.close()
