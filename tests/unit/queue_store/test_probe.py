"""The probe names what a store lacks, for each way to lack it."""

from pathlib import Path

import pytest

from columba.common.errors import ConfigError, NotFoundError
from columba.queue.store.base import ABSENT, ANYTHING, Condition, Object, Page
from columba.queue.store.file import FileStore
from columba.queue.store.probe import demand, probe


class IgnoresConditions(FileStore):
    def put(self, key: str, data: bytes, condition: Condition) -> str:
        return super().put(key, data, ANYTHING)


class CreatesOnMatch(FileStore):
    def put(self, key: str, data: bytes, condition: Condition) -> str:
        try:
            self.get(key)
        except NotFoundError:
            return super().put(key, data, ABSENT)
        return super().put(key, data, condition)


class IgnoresMatch(FileStore):
    def put(self, key: str, data: bytes, condition: Condition) -> str:
        return super().put(key, data, ABSENT if condition.absent else ANYTHING)


class ReadsLate(FileStore):
    def get(self, key: str) -> Object:
        return Object(b"old", super().get(key).etag)


class ListsLate(FileStore):
    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        return Page((), False)


class ListsTheDead(FileStore):
    """Names what was deleted once more, in each of the listings that are left."""

    left = 1

    def delete(self, key: str) -> None:
        super().delete(key)
        self._dead = key

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        dead = getattr(self, "_dead", "")
        if dead and self.left > 0:
            self.left -= 1
            return Page((dead,), False)
        return super().list(prefix, after, limit)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (IgnoresConditions, "If-None-Match: \\* overwrites"),
        (IgnoresConditions, "If-Match of an old etag overwrites"),
        (IgnoresMatch, "If-Match succeeds where there is no object"),
        (CreatesOnMatch, "If-Match succeeds where there is no object"),
        (ReadsLate, "not read at once"),
        (ListsLate, "not listed at once"),
    ],
)
def test_what_is_missing_is_said(kind: type[FileStore], words: str, tmp_path: Path) -> None:
    store = kind(tmp_path)
    with pytest.raises(ConfigError, match=words):
        demand(store, "store")
    assert FileStore(tmp_path).list("probe/").keys == (), "it leaves nothing behind"


def test_what_is_deleted_may_be_listed_a_moment_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("columba.queue.store.probe._GONE_S", 0.05)
    assert probe(ListsTheDead(tmp_path)) == []
    store = ListsTheDead(tmp_path)
    store.left = 1000
    assert probe(store) == ["what was deleted is still listed"]


def test_a_good_store_lacks_nothing(tmp_path: Path) -> None:
    assert probe(FileStore(tmp_path)) == []
