"""What is particular to a kind of dict."""

from pathlib import Path

import pytest

from columba.common.config.general import DictStore
from columba.common.config.load import defaults
from columba.common.dict.base import Put
from columba.common.dict.memory import MemoryDict
from columba.common.dict.open import open_dicts
from columba.common.dict.sqlite import SWEEP_ROWS, SWEEP_S, SqliteDict
from columba.common.errors import ConfigError, UnavailableError


async def test_memory_is_bounded() -> None:
    store = MemoryDict(limit=2)
    for key in ("a", "b", "c"):
        await store.set(key, key, 1)
    assert [await store.get(key, 1) for key in ("a", "b", "c")] == [None, "b", "c"]


async def test_processes_of_a_machine_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "dict.db"
    one, other = SqliteDict(path), SqliteDict(path)
    assert await one.increment("n", 1, 5) == 1
    assert await other.increment("n", 1, 5) == 2
    assert not await _committed_twice(one, other)
    one.close()
    other.close()


async def _committed_twice(one: SqliteDict, other: SqliteDict) -> bool:
    return await one.commit("m", (), 5) and await other.commit("m", (), 5)


async def test_expired_values_leave_the_file(tmp_path: Path) -> None:
    now = [1000.0]
    store = SqliteDict(tmp_path / "d", now_s=lambda: now[0])
    await store.set("old", "x", 5, expires_s=1)
    now[0] += SWEEP_S + 1
    await store.set("new", "x", 5)
    rows = await store._run(5, lambda c: c.execute("select key from entries").fetchall())
    assert rows == [("new",)]
    store.close()


async def test_a_flood_of_keys_does_not_outrun_the_sweep(tmp_path: Path) -> None:
    now = [1000.0]
    store = SqliteDict(tmp_path / "d", now_s=lambda: now[0])
    many = [Put(f"grey/first/{number}", "1", 60) for number in range(3 * SWEEP_ROWS)]
    await store.commit("flood", many, 5)
    now[0] += SWEEP_S + 60
    for number in range(4):  # the writes of one moment
        await store.set(f"new{number}", "x", 5)
    rows = await store._run(5, lambda c: c.execute("select count(*) from entries").fetchall())
    assert rows == [(5,)]  # and the mark
    store.close()


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_bytes(b"this is no database" * 100)
    store = SqliteDict(path)
    with pytest.raises(UnavailableError):
        await store.get("k", 5)
    path.unlink()
    assert await store.get("k", 5) is None
    store.close()


async def test_a_locked_file_is_late_not_empty(tmp_path: Path) -> None:
    path = tmp_path / "d"
    one, other = SqliteDict(path), SqliteDict(path)
    await one.set("k", "v", 5)
    await one._run(5, lambda c: c.execute("begin immediate"))
    with pytest.raises(UnavailableError, match="in time"):
        await other.set("k", "w", 0.05)
    await one._run(5, lambda c: c.execute("rollback"))
    one.close()
    other.close()


@pytest.mark.parametrize(
    "url", ["", "sqlite:relative", "memory:x", "file:/x", "redis://h/x", "redis://h/0?pool=0"]
)
def test_a_wrong_url_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError):
        open_dicts({"d": defaults(DictStore, url=url)})
