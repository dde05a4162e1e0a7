"""The `s3:` store: objects in a bucket of a server that keeps conditions on PUT.

Everything rests on If-None-Match and If-Match at PUT; DELETE takes no condition, because MinIO ignores one there.
An answer 412 to a request that was tried before may be about our own first try: each put carries a nonce in the
object's metadata, and what stands there is asked for it. 409 (a concurrent write) is tried again.
"""

import re
from pathlib import Path
from typing import Final

from columba.common.errors import UnavailableError
from columba.common.faultpoint import reached
from columba.queue.store import s3_words as words
from columba.queue.store.base import (
    Chunks,
    Condition,
    Direct,
    Guarantees,
    Object,
    Page,
    check_key,
)
from columba.queue.store.s3_direct import S3Direct
from columba.queue.store.s3_line import Ask, Line, code_of
from columba.queue.store.s3_place import Place

PAGE: Final = 1000  # the most that ListObjectsV2 gives
_LIST_MAX: Final = 4 << 20
_KEYS: Final = re.compile(rb"<Key>([^<]*)</Key>")


class S3Store:
    """One bucket, below one prefix."""

    def __init__(self, place: Place, timeout_s: float = 10.0) -> None:
        """timeout_s: of one call, all its tries included. ConfigError when files it needs can't be used."""
        self._line, self._prefix = Line(place, timeout_s), place.prefix

    @property
    def guarantees(self) -> Guarantees:
        """Return that nodes share it, and what ListObjectsV2 gives at most."""
        return Guarantees(shared=True, page_keys=PAGE)

    def get(self, key: str) -> Object:
        """Return an object's content."""
        return words.object_of(key, self._line.send(words.get_ask(self._path(key))))

    def get_file(self, key: str, target: Path) -> int:
        """Write an object to a new file."""
        with target.open("xb") as file:
            answer = self._line.send(Ask("GET", self._path(key), sink=file))
            size = file.tell()
        if answer.status != 200:
            target.unlink(missing_ok=True)
            raise words.error_of(key, answer)
        return size

    def put(self, key: str, data: bytes, condition: Condition) -> str:
        """Write an object."""
        reached("s3.put")
        return self._put(key, Ask("PUT", data=data), condition)

    def put_chunks(self, key: str, chunks: Chunks, size: int, condition: Condition) -> str:
        """Write an object in pieces; they are read twice, because the signature covers their hash."""
        return self._put(key, Ask("PUT", body=chunks, size=size), condition)

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        """Return keys in order."""
        query = {
            "list-type": "2",
            "prefix": self._prefix + prefix,
            "max-keys": str(min(limit, PAGE)),
        }
        if after:
            query["start-after"] = self._prefix + after
        answer = self._line.send(Ask("GET", query=query, most=_LIST_MAX))
        if answer.status != 200:
            raise words.error_of(prefix, answer)
        found, more = _listed(prefix, answer.data)
        if not all(key.startswith(self._prefix + prefix) for key in found):
            raise UnavailableError(f"{prefix}: the server lists keys that were not asked for")
        keys = tuple(key.removeprefix(self._prefix) for key in found)
        if list(keys) != sorted(set(keys)) or (keys and keys[0] <= after):
            raise UnavailableError(f"{prefix}: the server does not list keys in their order")
        return Page(keys, more)

    def delete(self, key: str) -> None:
        """Remove an object."""
        answer = self._line.send(Ask("DELETE", self._path(key)))
        if answer.status not in {200, 204} and code_of(answer) != "NoSuchKey":
            raise words.error_of(key, answer)

    def close(self) -> None:
        """Close the connections."""
        self._line.close()

    def direct(self) -> Direct:
        """Return what gets and puts on the loop."""
        return S3Direct(self._line, self._prefix)

    def _put(self, key: str, ask: Ask, condition: Condition) -> str:
        ask = words.put_ask(self._path(key), ask, condition)
        answer = self._line.send(ask)
        if words.is_doubtful(key, ask, answer):
            there = self._line.send(Ask("HEAD", ask.key))
            if not words.is_own(ask, there):
                raise words.lost(key, answer)
            return words.etag_of(key, there)
        reached("s3.put.done")
        return words.etag_of(key, answer)

    def _path(self, key: str) -> str:
        return self._prefix + check_key(key)


def _listed(prefix: str, data: bytes) -> tuple[list[str], bool]:
    """Return the keys of a list and whether others follow.

    UnavailableError for what is no whole list: 200 with an error, or cut off. Taken for the end, it would hide mail.
    """
    flags = data.count(b"<IsTruncated>true</IsTruncated>"), data.count(b"<IsTruncated>")
    if b"<ListBucketResult" not in data or not data.rstrip().endswith(b"</ListBucketResult>"):
        raise UnavailableError(f"{prefix}: the server answers with no whole list")
    try:
        keys = [key.decode() for key in _KEYS.findall(data)]
    except UnicodeDecodeError as error:
        raise UnavailableError(f"{prefix}: the server lists a key that is no UTF-8") from error
    if flags not in {(0, 1), (1, 1)} or (flags[0] and not keys):
        raise UnavailableError(f"{prefix}: the server does not say whether its list goes on")
    return keys, bool(flags[0])
