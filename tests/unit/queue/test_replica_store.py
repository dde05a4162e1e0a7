"""The replicated store while members fail: a majority goes on, a minority does nothing, nothing is forgotten."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from columba.common.errors import (
    ConditionError,
    ConfigError,
    FullError,
    NotFoundError,
    StoreError,
    UnavailableError,
)
from columba.queue.store.base import ABSENT, match
from columba.queue.store.replica import catchup
from columba.queue.store.replica import open as opening
from columba.queue.store.replica.ledger import Ledger
from columba.queue.store.replica.line import Ask, Lines
from columba.queue.store.replica.members import plan_members
from columba.queue.store.replica.words import Prepare, Read
from tests.fakes.replicas import Replicas

LARGE = bytes(range(256)) * 4096


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Replicas]:
    replicas = Replicas(tmp_path)
    yield replicas
    replicas.close()


def wait_equal(three: Replicas, key: str, names: list[str]) -> None:
    """Wait until members have the same of a key."""
    lines = Lines(three.members("m0").peers, three.keys["m0"])
    try:
        for _ in range(200):
            heard = [lines.one(name, Ask(Read(key)), time.monotonic() + 5).reply for name in names]
            if all(each == heard[0] for each in heard):
                return
            time.sleep(0.05)
    finally:
        lines.close()
    raise AssertionError(f"members differ: {heard}")


def test_one_of_three_may_be_gone_and_learns_what_it_missed(three: Replicas) -> None:
    store = three.store("m0")
    etag = store.put("env/a/1", b"old", ABSENT)
    three.stop("m1")
    store.put("env/a/1", b"new", match(etag))
    store.put_chunks("body/1", lambda: [LARGE], len(LARGE), ABSENT)
    store.delete("env/a/none")
    three.begin("m1")
    for key in ("env/a/1", "body/1"):
        wait_equal(three, key, ["m0", "m1", "m2"])
    three.stop("m0")
    other = three.store("m2")
    assert other.get("env/a/1").data == b"new"
    assert other.get("body/1").data == LARGE


def test_a_member_whose_disk_failed_for_a_while_learns_the_rest(
    three: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = three.store("m0")
    three.stop("m1")
    store.put_chunks("body/1", lambda: [LARGE], len(LARGE), ABSENT)
    blobs, away = three.folder / "m1" / "blob", three.folder / "away"
    monkeypatch.setattr(catchup, "LOOK_S", 0.3)
    three.begin("m1")
    blobs.rename(away)
    blobs.write_bytes(b"no folder")
    time.sleep(0.8)
    blobs.unlink()
    away.rename(blobs)
    wait_equal(three, "body/1", ["m0", "m1", "m2"])


def test_a_file_that_can_not_be_written_is_a_store_error(three: Replicas, tmp_path: Path) -> None:
    store = three.store("m0")
    store.put("body/1", b"text", ABSENT)
    with pytest.raises(FullError):
        store.get_file("body/1", tmp_path / "no folder" / "x")


def test_a_member_that_fails_hides_no_refusal(
    three: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = three.store("m0")
    etag = store.put("lease/a", b"old", ABSENT)

    def full() -> None:
        raise FullError("replica: the disk is full")

    server = three.running["m0"]._server
    assert server is not None
    monkeypatch.setattr(server.ledger, "batch", full)
    lines = Lines(three.members("m1").peers, three.keys["m1"])
    try:
        lines.one("m2", Ask(Prepare("lease/a", (50, "x"))), time.monotonic() + 5)
    finally:
        lines.close()
    fresh = three.store("m1")
    assert fresh.put("lease/a", b"new", match(etag)) != etag, "by a ballot above the one promised"


def test_a_minority_reads_and_writes_nothing(three: Replicas) -> None:
    store = three.store("m0", timeout_s=0.5)
    store.put("k", b"1", ABSENT)
    three.stop("m1")
    three.stop("m2")
    for call in (
        lambda: store.get("k"),
        lambda: store.put("new", b"", ABSENT),
        lambda: store.list("", "", 10),
        lambda: store.delete("another"),
    ):
        with pytest.raises(UnavailableError):
            call()
    three.begin("m2")
    assert three.store("m0").get("k").data == b"1"


def test_a_new_mail_needs_copies_and_a_lease_does_not(tmp_path: Path) -> None:
    two = Replicas(tmp_path, full=2, witnesses=1)
    try:
        store = two.store("m0", timeout_s=3)
        etag = store.put("env/a/1", b"1", ABSENT)
        two.stop("m1")
        with pytest.raises(UnavailableError, match="fewer than 2"):
            store.put("env/a/2", b"2", ABSENT)
        store.put("env/a/1", b"later", match(etag))
        store.put("lease/a", b"mine", ABSENT)
        two.begin("m1")
        wait_equal(two, "env/a/1", ["m0", "m1"])
        two.stop("m0")
        other = two.store("m1")
        assert other.get("env/a/1").data == b"later"
        assert other.get("lease/a").data == b"mine"
    finally:
        two.close()


def test_an_old_copy_is_never_taken_for_the_newest(tmp_path: Path) -> None:
    """The one member that has the newest content is gone: the witness knows that there is a newer one."""
    two = Replicas(tmp_path, full=2, witnesses=1, copies=1)
    try:
        store = two.store("m0", timeout_s=3)
        etag = store.put("env/a/1", b"old", ABSENT)
        two.stop("m1")
        store.put("env/a/1", b"new", match(etag))
        two.stop("m0")
        two.begin("m1")
        other = two.store("m1", timeout_s=1)
        with pytest.raises(UnavailableError):
            other.get("env/a/1")
    finally:
        two.close()


def test_strangers_are_not_heard(three: Replicas) -> None:
    lines = Lines(three.members("m0").peers, zmq.curve_keypair())
    with pytest.raises(UnavailableError):
        lines.one("m1", Ask(Read("k")), time.monotonic() + 1)
    lines.close()


def test_writers_that_race_while_members_come_and_go_lose_no_count(three: Replicas) -> None:
    """Each increment is a conditional put: those that succeeded, and of the unknown none or all, are in the sum."""
    three.store("m0").put("count", b"0", ABSENT)
    sure, unknown = [0, 0, 0], [0, 0, 0]
    over = threading.Event()

    def work(number: int) -> None:
        store = three.store(f"m{number}", timeout_s=2)
        while not over.is_set():
            try:
                now = store.get("count")
                store.put("count", b"%d" % (int(now.data) + 1), match(now.etag))
                sure[number] += 1
            except ConditionError:
                unknown[number] += 1  # it may be the answer to our own success
            except (NotFoundError, StoreError):
                unknown[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    chance = random.Random(5)
    for _ in range(4):
        victim = f"m{chance.randrange(3)}"
        three.stop(victim)
        time.sleep(0.3)
        three.begin(victim)
        time.sleep(0.3)
    over.set()
    for thread in threads:
        thread.join(30)
    total = int(three.store("m1").get("count").data)
    assert sum(sure) <= total <= sum(sure) + sum(unknown)
    assert sum(sure) > 10


def test_a_process_takes_the_member_over_from_one_that_ended(
    three: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tries again when its own disk is full at that moment."""
    failures = iter([FullError("full")])

    def ledger(folder: Path, is_witness: bool) -> Ledger:
        for error in failures:
            raise error
        return Ledger(folder, is_witness)

    waiting = three.running["m0"]
    three.begin("m0")
    second = three.running["m0"]
    assert waiting.is_running
    assert not second.is_running
    monkeypatch.setattr(opening, "Ledger", ledger)
    waiting.close()
    deadline_s = time.monotonic() + 10
    while not second.is_running and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert second.is_running


class Section:
    """A replica_member section."""

    def __init__(self, address: str = "192.0.2.1:4190", key: str = "0" * 64, witness: bool = False):
        self.address, self.public_key, self.witness = address, key, witness


@pytest.mark.parametrize(
    ("own", "members", "copies", "words"),
    [
        ("c", {"a": Section()}, 0, "none of the sections"),
        ("a", {"a": Section("192.0.2.1")}, 0, "no HOST:PORT"),
        ("a", {"a": Section(key="short")}, 0, "64 hexadecimal digits"),
        ("a", {"a": Section(witness=True)}, 0, "nobody keeps mail"),
        ("a", {"a": Section(), "b": Section(witness=True)}, 2, "2 copies can't be"),
    ],
)
def test_mistakes_are_named(own: str, members: dict[str, Section], copies: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        plan_members("replica:/var/lib/x", own, "/key", members, copies)
