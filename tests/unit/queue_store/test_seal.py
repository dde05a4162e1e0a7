"""Encryption at rest: what was put comes out, and nothing else ever does."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from columba.common.errors import ConfigError
from columba.queue.store.base import ABSENT, ANYTHING
from columba.queue.store.file import FileStore
from columba.queue.store.keyring import Ring, key_line, parse_ring
from columba.queue.store.open import load_ring
from columba.queue.store.seal import HEADER, PIECE, SealError, seal, sealed_size, unseal
from columba.queue.store.sealed import SealedStore

OLD, NEW = b"o" * 32, b"n" * 32
SIZES = [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7]


def ring(*lines: str) -> Ring:
    return parse_ring("# keys\n\n" + "".join(lines), "keys")


RING = ring(key_line(OLD, 0.0))


def sealed(text: bytes, name: str = "env/a/1", salt: bytes = b"s" * 32) -> bytes:
    return b"".join(seal((text,), name, RING.keys[0], salt))


def opened(data: bytes, name: str = "env/a/1", piece: int = 1000) -> bytes:
    chunks = (data[at : at + piece] for at in range(0, len(data), piece))
    return b"".join(unseal(chunks, name, RING))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [7, 1 << 20])
def test_what_was_sealed_opens_whole_and_in_pieces(size: int, piece: int) -> None:
    text = bytes(number % 251 for number in range(size))
    data = sealed(text)
    assert len(data) == sealed_size(size)
    assert opened(data, piece=piece) == text
    assert size < 16 or text[:16] not in data


def test_one_changed_octet_anywhere_is_seen() -> None:
    data = bytearray(sealed(b"x" * (PIECE + 100)))
    for at in (0, 5, 20, HEADER, HEADER + 50, HEADER + PIECE + 3, len(data) - 1):
        data[at] ^= 1
        with pytest.raises(SealError):
            opened(bytes(data))
        data[at] ^= 1


def test_what_was_cut_off_swapped_or_moved_does_not_open() -> None:
    step = PIECE + 16
    data = sealed(b"a" * PIECE + b"b" * PIECE + b"c" * 10)
    head, first, second, last = (
        data[:HEADER],
        data[HEADER : HEADER + step],
        data[HEADER + step : HEADER + 2 * step],
        data[HEADER + 2 * step :],
    )
    for wrong in (
        head + first + second,
        head + first,
        head,
        head + second + first + last,
        head + first + last,
    ):
        with pytest.raises(SealError):
            opened(wrong)
    with pytest.raises(SealError, match="changed"):
        opened(data, name="env/a/2")


def test_two_objects_of_one_text_differ(tmp_path: Path) -> None:
    inner = FileStore(tmp_path)
    store = SealedStore(inner, RING)
    store.put("a", b"same", ABSENT)
    store.put("b", b"same", ABSENT)
    assert inner.get("a").data != inner.get("b").data
    assert b"same" not in inner.get("a").data


def test_the_newest_key_whose_time_has_come_writes_and_all_read(tmp_path: Path) -> None:
    both = ring(key_line(NEW, 1000.0), key_line(OLD, 0.0))
    assert both.writer(999.0).secret == OLD
    assert both.writer(1000.0).secret == NEW
    assert ring(key_line(NEW, 1000.0)).writer(0.0).secret == NEW
    inner, now_s = FileStore(tmp_path), 0.0
    store = SealedStore(inner, both, wall_s=lambda: now_s)
    store.put("old", b"text", ABSENT)
    now_s = 2000.0
    store.put("new", b"text", ABSENT)
    assert store.get("old").data == store.get("new").data == b"text"
    with pytest.raises(SealError, match="lacks the key"):
        SealedStore(inner, RING).get("new")
    assert SealedStore(inner, RING).get("old").data == b"text"


def test_what_is_not_encrypted_is_refused_unless_it_is_said(tmp_path: Path) -> None:
    inner = FileStore(tmp_path)
    inner.put("env/a/1", b"plain", ABSENT)
    with pytest.raises(SealError, match="not encrypted"):
        SealedStore(inner, RING).get("env/a/1")
    with pytest.raises(SealError):
        SealedStore(inner, RING).get_file("env/a/1", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    lenient = SealedStore(inner, RING, reads_plain=True)
    assert lenient.get("env/a/1").data == b"plain"
    assert lenient.get_file("env/a/1", tmp_path / "copy") == 5


def test_leases_can_be_read_by_everybody(tmp_path: Path) -> None:
    inner = FileStore(tmp_path)
    SealedStore(inner, RING).put("lease/a", b"lease", ABSENT)
    assert inner.get("lease/a").data == b"lease"


def test_a_changed_body_leaves_no_file(tmp_path: Path) -> None:
    inner = FileStore(tmp_path / "store")
    store = SealedStore(inner, RING)
    store.put_chunks("body/1", lambda: [b"x" * 200_000], 200_000, ABSENT)
    data = bytearray(inner.get("body/1").data)
    data[-1] ^= 1
    inner.put("body/1", bytes(data), ANYTHING)
    with pytest.raises(SealError):
        store.get_file("body/1", tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_body_of_50_mb_takes_no_50_mb_of_memory(tmp_path: Path) -> None:
    store, size = SealedStore(FileStore(tmp_path / "store"), RING), 50_000_000

    def chunks() -> Iterator[bytes]:
        for _ in range(size // 250_000):
            yield bytes(250_000)

    tracemalloc.start()
    store.put_chunks("body/1", chunks, size, ABSENT)
    assert store.get_file("body/1", tmp_path / "copy") == size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000
    assert (tmp_path / "copy").stat().st_size == size


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no key"),
        ("nonsense\n", "line 1: wants"),
        ("# x\n2026-01-01T00:00:00 " + "A" * 43 + "=\n", "line 2: the time wants a zone"),
        ("2026-01-01T00:00:00Z QUJD\n", "32 octets"),
        (key_line(OLD, 0.0) * 2, "twice"),
    ],
)
def test_a_key_file_that_is_wrong_is_said_without_the_key(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_ring(text, "keys")
    assert "QUJD" not in str(caught.value)


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(key_line(OLD, 0.0))
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="open to others"):
        load_ring(str(path))
    path.chmod(0o640)
    assert len(load_ring(str(path)).keys) == 1
