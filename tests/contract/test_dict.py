"""What every dict promises, whatever it is kept in."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from columba.common.dict.base import Add, Dict, Drop, Put
from columba.common.dict.memory import MemoryDict
from columba.common.dict.sqlite import SqliteDict

T = 5.0


class Hands:
    """Wall time that a test turns."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, hands: Hands) -> Iterator[Dict]:
    made: Dict = (
        MemoryDict(now_s=hands)
        if request.param == "memory"
        else SqliteDict(tmp_path / "dict.db", now_s=hands)
    )
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
    hands.now_s += 9
    assert await store.get("k", T) == "v"
    hands.now_s += 1
    assert await store.get("k", T) is None
    assert await store.set_new("k", "w", T) == "w"


async def test_a_number_expires_from_its_first_increment(store: Dict, hands: Hands) -> None:
    assert await store.increment("n", 2, T, expires_s=10) == 2
    hands.now_s += 9
    assert await store.increment("n", -1, T, expires_s=10) == 1
    hands.now_s += 1
    assert await store.increment("n", 5, T, expires_s=10) == 5


async def test_what_is_no_number_begins_at_zero(store: Dict) -> None:
    await store.set("n", "seven", T)
    assert await store.increment("n", 1, T) == 1


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


async def test_no_increment_is_lost(store: Dict) -> None:
    numbers = await asyncio.gather(*[store.increment("n", 1, T) for _ in range(50)])
    assert sorted(numbers) == list(range(1, 51))
