"""What a member promises and accepts."""

from pathlib import Path

import pytest

from columba.queue.store.replica.ledger import Ledger
from columba.queue.store.replica.merge import merge
from columba.queue.store.replica.words import (
    NEVER,
    Accept,
    Done,
    Fetch,
    Known,
    Lacking,
    Listed,
    Name,
    Names,
    Piece,
    Prepare,
    Read,
    Refused,
    Version,
)

ONE = Version(etag="1", size=3, present=True)
BLOB = Version(etag="b", size=5, present=True, blob="0" * 32)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path, False)


def test_an_older_ballot_is_refused_after_a_promise(ledger: Ledger) -> None:
    assert ledger.prepare(Prepare("k", (2, "a"))) == Known()
    assert ledger.prepare(Prepare("k", (1, "z"))) == Refused((2, "a"))
    assert ledger.accept(Accept("k", (1, "z"), ONE), b"one") == Refused((2, "a"))
    assert ledger.accept(Accept("k", (2, "a"), ONE), b"one") == Done()
    assert ledger.read(Read("k", True)) == (Known((2, "a"), ONE, True), b"one")


def test_what_is_accepted_promises_its_successor_alone(ledger: Ledger) -> None:
    ledger.accept(Accept("k", (1, "a"), ONE, then=(2, "a")), b"one")
    assert ledger.prepare(Prepare("k", (1, "z"))) == Refused((2, "a"))
    assert ledger.accept(Accept("k", (2, "a"), Version()), None) == Done()


def test_promises_survive_the_process(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.batch():
        ledger.prepare(Prepare("k", (7, "a")))
        ledger.accept(Accept("m", (3, "a"), ONE), b"one")
    ledger.close()
    again = Ledger(tmp_path, False)
    assert again.prepare(Prepare("k", (6, "z"))) == Refused((7, "a"))
    assert again.read(Read("m", True)) == (Known((3, "a"), ONE, True), b"one")


def test_a_batch_that_fails_changes_nothing(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.batch():
        ledger.accept(Accept("k", (1, "a"), ONE), b"one")
        raise ZeroDivisionError
    assert ledger.read(Read("k")) == (Known(), None)
    assert ledger.changes(0, 10) == ()


def test_a_content_that_is_not_here_is_not_accepted(ledger: Ledger) -> None:
    assert ledger.accept(Accept("k", (1, "a"), ONE), None) == Lacking()
    assert ledger.accept(Accept("k", (1, "a"), ONE), b"longer") == Lacking()
    assert ledger.accept(Accept("k", (1, "a"), BLOB), None) == Lacking()
    assert ledger.accept(Accept("k", (2, "a"), ONE, keep=(1, "a")), None) == Lacking()
    assert ledger.read(Read("k"))[0].accepted == NEVER


def test_a_large_content_comes_in_pieces_and_goes_with_its_row(
    ledger: Ledger, tmp_path: Path
) -> None:
    assert ledger.take(Piece(BLOB.blob, 3, True), b"lo") == Lacking()
    assert ledger.take(Piece(BLOB.blob, 0), b"hel") == Done()
    assert ledger.take(Piece(BLOB.blob, 3, True), b"lo") == Done()
    assert ledger.take(Piece(BLOB.blob, 3, True), b"lo") == Done()
    with ledger.batch():
        assert ledger.accept(Accept("k", (1, "a"), BLOB), None) == Done()
    assert ledger.fetch(Fetch("k", (1, "a"), 2)) == (Done(), b"llo")
    assert ledger.fetch(Fetch("k", (2, "a"), 0)) == (Lacking(), None)
    with ledger.batch():
        ledger.accept(Accept("k", (2, "a"), BLOB, keep=(1, "a")), None)
    assert ledger.fetch(Fetch("k", (2, "a"), 0)) == (Done(), b"hello")
    with ledger.batch():
        ledger.accept(Accept("k", (3, "a"), Version()), None)
    assert not list((tmp_path / "blob").iterdir())


def test_names_that_are_no_blob_are_refused(ledger: Ledger) -> None:
    assert ledger.take(Piece("../../etc/passwd", 0, True), b"") == Lacking()


def test_a_witness_keeps_leases_and_no_mail(tmp_path: Path) -> None:
    witness = Ledger(tmp_path, True)
    assert witness.accept(Accept("env/a/1", (1, "a"), ONE), None) == Done()
    assert witness.accept(Accept("lease/a", (1, "a"), ONE), b"one") == Done()
    assert witness.read(Read("env/a/1", True)) == (Known((1, "a"), ONE, False), None)
    assert witness.read(Read("lease/a", True)) == (Known((1, "a"), ONE, True), b"one")


def test_names_come_in_order_with_what_was_removed(ledger: Ledger) -> None:
    for key in ("b/2", "a/1", "b/1", "c"):
        ledger.accept(Accept(key, (1, "a"), ONE), b"one")
    ledger.accept(Accept("b/1", (2, "a"), Version()), None)
    ledger.prepare(Prepare("b/3", (1, "a")))
    assert ledger.names(Names("b/", limit=1)) == Listed((Name("b/1", (2, "a"), False),), True)
    assert ledger.names(Names("b/", "b/1")) == Listed((Name("b/2", (1, "a"), True),), False)


def test_a_forgotten_row_is_gone_unless_it_changed(ledger: Ledger) -> None:
    ledger.accept(Accept("k", (1, "a"), Version()), None)
    (name,) = ledger.removed(2e10, 10)
    ledger.accept(Accept("k", (2, "a"), ONE), b"one")
    ledger.forget(name)
    assert ledger.read(Read("k"))[0].version == ONE


def listed(*names: tuple[str, int, bool], more: bool = False) -> Listed:
    return Listed(tuple(Name(key, (n, "a"), present) for key, n, present in names), more)


def test_the_newest_says_whether_a_key_is_present() -> None:
    old, new = listed(("k", 1, True)), listed(("k", 2, False))
    assert merge([old, new, new], 2) == ([], "", False)
    assert merge([new, listed(), new], 2) == ([], "", False)
    assert merge([old, listed()], 2) == (["k"], "", False)


def test_what_may_be_present_is_listed() -> None:
    """The removal is known to one alone, so it may never have happened."""
    assert merge([listed(("k", 1, True)), listed(("k", 2, False))], 2)[0] == ["k"]


def test_a_page_ends_where_the_first_list_ends() -> None:
    short = listed(("a", 1, True), ("b", 1, True), more=True)
    long = listed(("a", 1, True), ("b", 1, True), ("c", 1, True))
    assert merge([short, long], 2) == (["a", "b"], "b", True)
