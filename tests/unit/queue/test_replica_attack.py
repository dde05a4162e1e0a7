"""The replicated store before a member that lost its disk, and before one that sends what no member sends."""

import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from columba.common.errors import NotFoundError, UnavailableError
from columba.queue.store.base import ABSENT, match
from columba.queue.store.replica.ledger import Ledger
from columba.queue.store.replica.line import Ask, Lines
from columba.queue.store.replica.words import (
    Accept,
    Change,
    Done,
    Known,
    Piece,
    Prepare,
    Read,
    Refused,
    Request,
    Version,
)
from tests.fakes.replicas import Replicas

ONE = Version(etag="1", size=3, present=True)
LARGE = bytes(range(256)) * 2048
TOO_MUCH = 1 << 62


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Replicas]:
    replicas = Replicas(tmp_path)
    yield replicas
    replicas.close()


def lose_disk(replicas: Replicas, name: str) -> None:
    """Stop a member and begin it again with an empty folder."""
    replicas.stop(name)
    shutil.rmtree(replicas.folder / name)
    replicas.begin(name)


def test_a_member_that_lost_its_disk_does_not_vote_the_mail_away(three: Replicas) -> None:
    """Two of three have the mail; one of them forgets it, the other is away: the third can't know."""
    store = three.store("m0")
    three.stop("m2")
    etag = store.put("env/a/1", b"old", ABSENT)
    store.put("env/a/1", b"mail", match(etag))
    store.put_chunks("body/1", lambda: [LARGE], len(LARGE), ABSENT)
    three.stop("m0")
    three.begin("m2")
    lose_disk(three, "m1")
    other = three.store("m2", timeout_s=1.0)
    for call in (
        lambda: other.get("env/a/1"),
        lambda: other.put("env/a/1", b"another", ABSENT),
        lambda: other.list("env/"),
    ):
        with pytest.raises(UnavailableError):
            call()
    assert not three.running["m1"].votes
    three.begin("m0")
    three.wait_votes("m1")
    three.stop("m0")
    again = three.store("m2")
    assert again.get("env/a/1").data == b"mail"
    assert again.get("body/1").data == LARGE


def test_what_a_reborn_member_accepts_is_learned_from_it(three: Replicas) -> None:
    """Its changes are counted from one again: a peer that had seen many does not wait for as many."""
    store = three.store("m0")
    for number in range(5):
        store.put(f"env/a/{number}", b"1", ABSENT)
    time.sleep(2.2)  # m2 has looked once and knows how far the others are
    lose_disk(three, "m0")
    three.wait_votes("m0")
    three.stop("m2")
    three.store("m0").put("env/a/new", b"1", ABSENT)
    three.begin("m2")
    three.stop("m1")
    assert three.store("m0").get("env/a/new").data == b"1"


def test_members_that_start_again_and_again_before_all_are_there_vote_at_last(
    tmp_path: Path,
) -> None:
    three = Replicas(tmp_path)
    try:
        for name in three.names:
            three.stop(name)
            shutil.rmtree(tmp_path / name)
        for _ in range(2):
            three.begin("m0", settle_s=60)
            three.begin("m1", settle_s=60)
            time.sleep(0.3)
            three.stop("m0")
            three.stop("m1")
        for name in three.names:
            three.begin(name, settle_s=60)
        three.store("m0").wait_majority(10)
        with pytest.raises(NotFoundError):
            three.store("m0", timeout_s=10).get("env/a/1")
    finally:
        three.close()


def test_what_a_witness_alone_accepted_hides_nothing(tmp_path: Path) -> None:
    """Its writer ended before a member that keeps mail had the content: what was there before is still there."""
    two = Replicas(tmp_path, full=2, witnesses=1)
    try:
        store, ballot = two.store("m0", timeout_s=3), (50, "m1.dead")
        etag = store.put("env/a/1", b"old", ABSENT)
        lines = Lines(two.members("m0").peers, two.keys["m0"])
        for request in (Prepare("env/a/1", ballot), Accept("env/a/1", ballot, ONE)):
            lines.one("m2", Ask(request), time.monotonic() + 5)
        lines.close()
        assert [store.get("env/a/1").data for _ in range(10)] == [b"old"] * 10
        store.put("env/a/1", b"new", match(etag))
        assert two.store("m1").get("env/a/1").data == b"new"
    finally:
        two.close()


def test_a_copy_that_a_disk_has_cut_off_or_lost_is_not_given_out(three: Replicas) -> None:
    store = three.store("m0")
    store.put_chunks("body/1", lambda: [LARGE], len(LARGE), ABSENT)
    (blob,) = (three.folder / "m0" / "blob").iterdir()
    blob.write_bytes(LARGE[: len(LARGE) // 2 + 5])
    assert store.get("body/1").data == LARGE
    blob.unlink()
    assert store.get("body/1").data == LARGE


def test_a_promise_is_taken_over_with_what_was_accepted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, False)
    ledger.learn(Change(1, "k", (4, "a"), ONE, promised=(7, "a")), b"one")
    assert ledger.read(Read("k")) == (Known((4, "a"), ONE, True), None)
    assert ledger.prepare(Prepare("k", (6, "z"))) == Refused((7, "a"))
    assert ledger.accept(Accept("k", (7, "a"), Version()), None) == Done()
    ledger.learn(Change(2, "k", (4, "a"), ONE, promised=(9, "b")), b"one")
    assert ledger.read(Read("k")) == (Known((7, "a")), None)
    assert ledger.prepare(Prepare("k", (8, "z"))) == Refused((9, "b"))


def test_a_content_that_nobody_has_is_known_to_be_missing(tmp_path: Path) -> None:
    """Known by a witness alone: whoever lost it knows at least that there is something newer."""
    ledger = Ledger(tmp_path, False)
    ledger.learn(Change(1, "k", (4, "a"), ONE), None)
    assert ledger.read(Read("k", True)) == (Known((4, "a"), ONE, False), None)
    ledger.learn(Change(1, "k", (4, "a"), ONE), b"one")
    assert ledger.read(Read("k", True)) == (Known((4, "a"), ONE, True), b"one")


def hostile() -> list[Request]:
    """Return requests that decode as their Structs do, with values that no member sends."""
    return [
        Prepare("k", (TOO_MUCH, "a")),
        Prepare("k", (-1, "a")),
        Prepare("k", (2**64 - 1, "a")),
        Prepare("k" * 5000, (1, "a")),
        Prepare("k", (1, "a" * 5000)),
        Accept("k", (TOO_MUCH, "a"), ONE),
        Accept("k", (1, "a"), Version(size=-1, present=True)),
        Accept("k", (1, "a"), Version(size=TOO_MUCH, present=True, blob="../../x")),
        Accept("../../etc/passwd", (1, "a"), ONE, keep=(TOO_MUCH, "")),
        Piece("../../../tmp/x", 0, True),
        Piece("0" * 32, -5, True),
        Piece("0" * 32, TOO_MUCH, True),
    ]


def test_what_no_member_sends_neither_ends_a_member_nor_leaves_a_file(three: Replicas) -> None:
    store = three.store("m0")
    store.put("k", b"1", ABSENT)
    port = int(three.members("m0").peers[1].address.rpartition(":")[2])
    stranger = socket.create_connection(("127.0.0.1", port), 5)
    lines = Lines(three.members("m0").peers, three.keys["m0"])
    try:
        for request in hostile():
            with pytest.raises(UnavailableError):
                answer = lines.one("m1", Ask(request, b"content"), time.monotonic() + 0.1)
                assert type(answer.reply).__name__ == "Lacking"
                raise UnavailableError
        for octets in (b"", b"\xc1", b"\x81" * 4000, msgspec.msgpack.encode({"type": "read"})):
            with pytest.raises(UnavailableError):
                lines.one("m1", Garbage(Read("k"), octets), time.monotonic() + 0.1)
        three.stop("m2")
        assert store.get("k").data == b"1"
        stranger.settimeout(10)
        while stranger.recv(1000):
            continue  # ZeroMQ's greeting, and then the end of who does not answer it
    finally:
        lines.close()
        stranger.close()
    assert {path.name for path in three.folder.rglob("*") if path.is_file()} <= {
        "member.lock",
        "ledger.db",
        "ledger.db-wal",
        "ledger.db-shm",
    }


class Garbage(Ask):
    """A request of given octets."""

    __slots__ = ()

    def frames(self, call: bytes) -> list[bytes]:
        """Return call id and octets."""
        return [call, self.content or b""]
