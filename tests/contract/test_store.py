"""What every store of the queue must do."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from columba.common.errors import ConditionError, NotFoundError, StoreError
from columba.queue.store.base import ABSENT, ANYTHING, ObjectStore, match
from columba.queue.store.faulty import MINIO, OLD_MINIO, FaultyStore, Profile
from columba.queue.store.file import FileStore
from columba.queue.store.keyring import key_line, parse_ring
from columba.queue.store.probe import probe
from columba.queue.store.sealed import SealedStore
from tests.fakes.memory_store import MemoryStore
from tests.fakes.on_loop import OnLoop
from tests.fakes.replicas import Replicas
from tests.peers.seaweed import Bucket

RING = parse_ring(key_line(b"k" * 32, 0.0), "")
STORES: dict[str, Callable[[Path], ObjectStore]] = {
    "file": FileStore,
    "faulty without faults": lambda path: FaultyStore(FileStore(path), Profile()),
    "sealed": lambda path: SealedStore(FileStore(path), RING),
    "memory": lambda _path: MemoryStore(),
    "faulty, as minio": lambda path: FaultyStore(FileStore(path), MINIO),
    "faulty, torn lists": lambda path: FaultyStore(FileStore(path), Profile(torn=0.5), seed=7),
}
REPLICA = "replica"
S3 = "s3"
SEALED_S3 = "s3, sealed"
LOOP_S3 = "s3, sealed, on a loop"
PARAMS = [
    *STORES,
    REPLICA,
    *(pytest.param(name, marks=pytest.mark.peer) for name in (S3, SEALED_S3, LOOP_S3)),
]


@pytest.fixture(params=PARAMS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param in {S3, SEALED_S3, LOOP_S3}:
        bucket: Bucket = request.getfixturevalue("s3_bucket")
        bare = bucket.store()
        made: ObjectStore = bare if request.param == S3 else SealedStore(bare, RING)
        made = OnLoop(SealedStore(bare, RING)) if request.param == LOOP_S3 else made
    elif request.param == REPLICA:
        replicas = Replicas(tmp_path)
        request.addfinalizer(replicas.close)
        made = replicas.store("m0")
    else:
        made = STORES[request.param](tmp_path / "store")
    yield made
    made.close()


def all_keys(store: ObjectStore, prefix: str, limit: int) -> list[str]:
    found: list[str] = []
    while True:
        page = store.list(prefix, found[-1] if found else "", limit)
        assert len(page.keys) <= limit
        found += page.keys
        if not page.more:
            return found


def test_the_probe_finds_nothing_amiss(store: ObjectStore) -> None:
    assert probe(store) == []
    assert all_keys(store, "probe/", 10) == []


def test_the_probe_finds_an_old_minio() -> None:
    lacking = probe(FaultyStore(MemoryStore(), OLD_MINIO))
    assert lacking == ["a PUT with If-Match succeeds where there is no object"]


def test_what_was_put_is_read(store: ObjectStore) -> None:
    etag = store.put("env/a/1", b"one\x00\xff", ABSENT)
    assert store.get("env/a/1").data == b"one\x00\xff"
    assert store.get("env/a/1").etag == etag


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    store.put("k", b"", ABSENT)
    assert store.get("k").data == b""


def test_what_is_not_there_is_not_found(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        store.get("env/a/none")
    with pytest.raises(NotFoundError):
        store.get_file("env/a/none", tmp_path / "copy")


def test_absent_fails_on_a_present_key(store: ObjectStore) -> None:
    store.put("k", b"old", ABSENT)
    with pytest.raises(ConditionError):
        store.put("k", b"new", ABSENT)
    assert store.get("k").data == b"old"


def test_match_replaces_once(store: ObjectStore) -> None:
    first = store.put("k", b"1", ABSENT)
    second = store.put("k", b"2", match(first))
    assert second != first
    with pytest.raises(ConditionError):
        store.put("k", b"3", match(first))
    assert store.get("k").data == b"2"


def test_match_on_an_absent_key_fails_and_creates_nothing(store: ObjectStore) -> None:
    etag = store.put("other", b"1", ABSENT)
    with pytest.raises(ConditionError):
        store.put("k", b"1", match(etag))
    with pytest.raises(NotFoundError):
        store.get("k")


def test_match_fails_after_a_delete(store: ObjectStore) -> None:
    etag = store.put("k", b"1", ABSENT)
    store.delete("k")
    with pytest.raises(ConditionError):
        store.put("k", b"2", match(etag))


def test_anything_overwrites(store: ObjectStore) -> None:
    store.put("k", b"1", ANYTHING)
    store.put("k", b"2", ANYTHING)
    assert store.get("k").data == b"2"


def test_delete_of_nothing_is_fine(store: ObjectStore) -> None:
    store.delete("env/a/none")
    store.put("k", b"", ABSENT)
    store.delete("k")
    store.delete("k")
    assert all_keys(store, "", 10) == []


def test_pieces_go_in_and_a_file_comes_out(store: ObjectStore, tmp_path: Path) -> None:
    pieces, copy = [b"x" * 300_000, b"", b"y" * 400_001], tmp_path / "copy"
    store.put_chunks("body/1", lambda: pieces, 700_001, ABSENT)
    assert store.get_file("body/1", copy) == 700_001
    assert copy.read_bytes() == b"".join(pieces)
    with pytest.raises(ConditionError):
        store.put_chunks("body/1", lambda: pieces, 700_001, ABSENT)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_lists_are_in_order_and_paged(store: ObjectStore, limit: int) -> None:
    keys = ["env/a/1", "env/a/2", "env/ab/1", "env/b/1", "lease/a", "env/a/10"]
    for key in keys:
        store.put(key, b"", ABSENT)
    assert all_keys(store, "", limit) == sorted(keys)
    assert all_keys(store, "env/", limit) == sorted(k for k in keys if k.startswith("env/"))
    assert all_keys(store, "env/a/1", limit) == ["env/a/1", "env/a/10"]
    assert all_keys(store, "none/", limit) == []


@pytest.mark.parametrize("key", ["", "/k", "../k", "a/../b", "a//b", ".k", "a/.b", "k\n", "k k"])
def test_what_is_no_key_is_refused(store: ObjectStore, key: str) -> None:
    with pytest.raises(StoreError):
        store.put(key, b"", ABSENT)
    with pytest.raises(StoreError):
        store.get(key)


def race(store: ObjectStore, write: Callable[[int], str], writers: int = 8) -> int:
    """Return how many of the writers won."""
    barrier = threading.Barrier(writers)

    def run(number: int) -> bool:
        barrier.wait(timeout=10)
        try:
            write(number)
        except ConditionError:
            return False
        return True

    with ThreadPoolExecutor(writers) as pool:
        return sum(pool.map(run, range(writers)))


def test_one_of_many_creates(store: ObjectStore) -> None:
    assert race(store, lambda n: store.put("k", b"%d" % n, ABSENT)) == 1


def test_one_of_many_replaces(store: ObjectStore) -> None:
    etag = store.put("k", b"first", ABSENT)
    assert race(store, lambda n: store.put("k", b"%d" % n, match(etag))) == 1
    assert store.get("k").data != b"first"
