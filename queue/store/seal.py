"""Seal and open an object: AES-256-GCM in pieces, so that a large body never stands in memory whole.

Pure. An object is a header (magic, name of the key, 32 random octets of salt) and pieces of 64 KiB of text, each
encrypted with its tag behind it. Each object has a key of its own, HKDF-SHA-256 of the ring's key and the salt,
bound to the object's name in the store: what is moved to another name does not open. The nonce of a piece is its
number and whether it is the last one, so that pieces can't be left out, swapped or cut off (the STREAM construction).
NIST SP 800-38D, RFC 5869.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from columba.common.errors import StoreError
from columba.queue.store.keyring import NAME_OCTETS, Key, Ring

MAGIC: Final = b"CQ\x01\xf7"
SALT: Final = 32
HEADER: Final = len(MAGIC) + NAME_OCTETS + SALT
PIECE: Final = 1 << 16
TAG: Final = 16


class SealError(StoreError):
    """An object that is not what was written there, or was written with a key that we do not have."""

    temporary = False


def sealed_size(size: int) -> int:
    """Return the octets of an object with a text of this size."""
    return HEADER + size + TAG * max(1, -(-size // PIECE))


def is_sealed(data: bytes) -> bool:
    """Tell whether data is the beginning of a sealed object."""
    return data.startswith(MAGIC)


def seal(chunks: Iterable[bytes], name: str, key: Key, salt: bytes) -> Iterator[bytes]:
    """Yield the object of a text. The same salt must never serve two texts."""
    header = MAGIC + key.name + salt
    cipher = _cipher(key, salt, name)
    yield header
    pieces = _pieces(chunks, PIECE)
    number, piece = 0, next(pieces, b"")
    for following in pieces:
        yield cipher.encrypt(_nonce(number, False), piece, header)
        number, piece = number + 1, following
    yield cipher.encrypt(_nonce(number, True), piece, header)


def unseal(chunks: Iterable[bytes], name: str, ring: Ring) -> Iterator[bytes]:
    """Yield the text of an object; SealError when it is not as it was written. Nothing counts before the end."""
    whole = _with_header(chunks)
    header = next(whole)
    if len(header) < HEADER or not is_sealed(header):
        raise SealError(f"{name}: is not encrypted as it should be")
    key_name, salt = header[len(MAGIC) : len(MAGIC) + NAME_OCTETS], header[-SALT:]
    key = ring.find(key_name)
    if key is None:
        raise SealError(f"{name}: queue_key_file lacks the key {key_name.hex()}")
    cipher = _cipher(key, salt, name)
    pieces = _pieces(whole, PIECE + TAG)
    number, piece = 0, next(pieces, b"")
    try:
        for following in pieces:
            yield cipher.decrypt(_nonce(number, False), piece, header)
            number, piece = number + 1, following
        yield cipher.decrypt(_nonce(number, True), piece, header)
    except InvalidTag as error:
        raise SealError(f"{name}: has been changed") from error


def _cipher(key: Key, salt: bytes, name: str) -> AESGCM:
    info = b"columba queue object\0" + name.encode()
    return AESGCM(HKDF(SHA256(), 32, salt, info).derive(key.secret))


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11) + bytes([is_last])


def _with_header(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the header whole, then the rest as it comes."""
    source, head = iter(chunks), b""
    for chunk in source:
        head += chunk
        if len(head) >= HEADER:
            break
    yield head[:HEADER]
    yield head[HEADER:]
    yield from source


def _pieces(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the same octets in pieces of one size, the last one as long as it is."""
    rest = bytearray()
    for chunk in chunks:
        rest += chunk
        while len(rest) >= size:
            yield bytes(rest[:size])
            del rest[:size]
    if rest:
        yield bytes(rest)
