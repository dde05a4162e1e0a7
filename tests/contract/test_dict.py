"""What every dict promises, whatever it is kept in."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from columba.common.dict.base import Add, Dict, Drop, Put
from columba.common.dict.memory import MemoryDict
from columba.common.dict.redis import RedisDict
from columba.common.dict.sqlite import SqliteDict
from tests.peers.all import open_folder
from tests.peers.databases import Redis

T = 5.0


class Hands:
    """Wall time that a test turns."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0
        self.server: Redis | None = None

    def __call__(self) -> float:
        return self.now_s

    def turn(self, seconds: int) -> None:
        """Let time pass; a server, whose clock nobody turns, has the lives of its values shortened."""
        self.now_s += seconds
        for key in self.server.cli("KEYS", "*").split() if self.server else ():
            left = int(self.server.cli("PTTL", key)) if self.server else 0
            if left >= 0 and self.server:
                self.server.cli("PEXPIRE", key, str(left - seconds * 1000))


@pytest.fixture(autouse=True)
async def let_go() -> AsyncIterator[None]:
    """Let the loop close what a test has closed."""
    yield
    await asyncio.sleep(0.01)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    with open_folder() as folder:
        server = Redis(folder)
        yield server
        server.stop()


@pytest.fixture(params=["memory", "sqlite", pytest.param("redis", marks=pytest.mark.peer)])
def store(request: pytest.FixtureRequest, tmp_path: Path, hands: Hands) -> Iterator[Dict]:
    made: Dict
    match request.param:
        case "memory":
            made = MemoryDict(now_s=hands)
        case "sqlite":
            made = SqliteDict(tmp_path / "dict.db", now_s=hands)
        case _:
            server: Redis = request.getfixturevalue("redis")
            server.cli("FLUSHALL")
            hands.server = server
            made = RedisDict("d", server.url, password="secret")
    yield made
    made.close()


async def test_values_are_set_replaced_and_deleted(store: Dict) -> None:
    assert await store.get("k", T) is None
    await store.set("k", "one", T)
    await store.set("k", "zwei ü", T)
    assert await store.get("k", T) == "zwei ü"
    await store.delete("k", T)
    await store.delete("k", T)
    assert await store.get("k", T) is None


async def test_what_has_expired_is_not_there(store: Dict, hands: Hands) -> None:
    await store.set("k", "v", T, expires_s=10)
    hands.turn(9)
    assert await store.get("k", T) == "v"
    hands.turn(1)
    assert await store.get("k", T) is None
    assert await store.set_new("k", "w", T) == "w"


async def test_a_number_expires_from_its_first_increment(store: Dict, hands: Hands) -> None:
    assert await store.increment("n", 2, T, expires_s=10) == 2
    hands.turn(9)
    assert await store.increment("n", -1, T, expires_s=10) == 1
    hands.turn(1)
    assert await store.increment("n", 5, T, expires_s=10) == 5


@pytest.mark.parametrize("value", ["many", "", "1.5", "9" * 19, "9" * 5000])
async def test_what_is_no_number_begins_at_zero(store: Dict, value: str) -> None:
    await store.set("k", value, T)
    assert await store.increment("k", 2, T) == 2
    await store.set("k", value, T)
    assert await store.commit("m", (Add("other", 1), Add("k", 3)), T)
    assert (await store.get("k", T), await store.get("other", T)) == ("3", "1")


async def test_only_the_first_sets_a_new_value(store: Dict) -> None:
    assert await store.set_new("k", "first", T) == "first"
    assert await store.set_new("k", "second", T) == "first"


async def test_a_mark_is_committed_once(store: Dict) -> None:
    await store.set("gone", "x", T)
    changes = (Put("a", "1"), Add("n", 3), Drop("gone"))
    assert await store.commit("id/1", changes, T)
    assert not await store.commit("id/1", changes, T)
    assert await store.commit("id/2", (Add("n", 1),), T)
    assert [await store.get(k, T) for k in ("a", "n", "gone")] == ["1", "4", None]


@pytest.mark.parametrize("value", ["9" * 19, "9" * 5000, "-", "1.5", "\u0663", " 7"])
async def test_what_is_no_number_counts_as_none(store: Dict, value: str) -> None:
    """Also one that is too long to be added to: a script may have set whatever it likes."""
    await store.set("n", value, T)
    assert await store.increment("n", 2, T) == 2
    await store.set("n", "-" + "9" * 16, T)
    assert await store.increment("n", -1, T) == -(10**16)


async def test_no_increment_is_lost(store: Dict) -> None:
    numbers = await asyncio.gather(*[store.increment("n", 1, T) for _ in range(50)])
    assert sorted(numbers) == list(range(1, 51))
