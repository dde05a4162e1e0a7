"""The `s3:` store: objects in a bucket of a server that keeps conditions on PUT.

Everything rests on If-None-Match and If-Match at PUT; DELETE takes no condition, because MinIO ignores one there.
An answer 412 to a request that was tried before may be about our own first try: each put carries a nonce in the
object's metadata, and what stands there is asked for it. 409 (a concurrent write) is tried again.
"""

import re
import secrets
from pathlib import Path
from typing import Final

from columba.common.errors import (
    ConditionError,
    FullError,
    NotFoundError,
    StoreError,
    UnavailableError,
)
from columba.common.faultpoint import reached
from columba.queue.store.base import (
    OBJECT_LIMIT,
    Chunks,
    Condition,
    DeniedError,
    Guarantees,
    Object,
    Page,
    check_key,
)
from columba.queue.store.s3_line import Answer, Ask, Line, code_of, say
from columba.queue.store.s3_place import Place

PAGE: Final = 1000  # the most that ListObjectsV2 gives
_NONCE: Final = "x-amz-meta-columba-nonce"
_LIST_MAX: Final = 4 << 20
_FULL: Final = frozenset({"QuotaExceeded", "XMinioStorageFull", "EntityTooLarge", "XAmzQuota"})
_DENIED: Final = (301, 307, 400, 401, 403)
_NO_BUCKET: Final = ("NoSuchBucket",)
_KEYS: Final = re.compile(rb"<Key>([^<]*)</Key>")
_ETAG: Final = re.compile(r"[!#-~]{1,256}")  # RFC 9110 §8.8.3, strong ones in ASCII


class S3Store:
    """One bucket, below one prefix."""

    def __init__(self, place: Place, timeout_s: float = 10.0) -> None:
        """timeout_s: of one call, all its tries included. ConfigError when files it needs can't be used."""
        self._line, self._prefix = Line(place, timeout_s), place.prefix

    @property
    def guarantees(self) -> Guarantees:
        """Return what the server must keep, as `probe` has seen it do."""
        return Guarantees(
            conditional_put=True,
            read_after_write=True,
            list_after_write=True,
            durable=True,
            shared=True,
            page_keys=PAGE,
        )

    def get(self, key: str) -> Object:
        """Return an object's content."""
        answer = self._line.send(Ask("GET", self._path(key), most=OBJECT_LIMIT + 1))
        if answer.status != 200:
            raise _error(key, answer)
        if len(answer.data) > OBJECT_LIMIT:
            raise StoreError(f"{key}: larger than {OBJECT_LIMIT} octets")
        return Object(answer.data, _etag(key, answer))

    def get_file(self, key: str, target: Path) -> int:
        """Write an object to a new file."""
        with target.open("xb") as file:
            answer = self._line.send(Ask("GET", self._path(key), sink=file))
            size = file.tell()
        if answer.status != 200:
            target.unlink(missing_ok=True)
            raise _error(key, answer)
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
            raise _error(prefix, answer)
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
            raise _error(key, answer)

    def close(self) -> None:
        """Close the connections."""
        self._line.close()

    def _put(self, key: str, ask: Ask, condition: Condition) -> str:
        nonce = secrets.token_hex(16)
        headers = {_NONCE: nonce, "Content-Type": "application/octet-stream"}
        if condition.absent:
            headers["If-None-Match"] = "*"
        elif condition.etag:
            headers["If-Match"] = f'"{condition.etag}"'
        answer = self._line.send(
            Ask(
                "PUT",
                self._path(key),
                headers=headers,
                data=ask.data,
                body=ask.body,
                size=ask.size,
                # Without a condition a second try could undo another's later write.
                may_repeat=condition.absent or bool(condition.etag),
            )
        )
        if answer.status == 200:
            reached("s3.put.done")
            return _etag(key, answer)
        if answer.status == 412 or (bool(condition.etag) and _is_absent(answer)):
            return self._own(key, nonce, answer)
        raise _error(key, answer)

    def _own(self, key: str, nonce: str, answer: Answer) -> str:
        """Return the etag when what stands there is our own earlier try; ConditionError else."""
        if answer.is_repeated:
            there = self._line.send(Ask("HEAD", self._path(key)))
            if there.status == 200 and there.headers.get(_NONCE) == nonce:
                return _etag(key, there)
        raise ConditionError(f"{key}: {say(answer)}")

    def _path(self, key: str) -> str:
        return self._prefix + check_key(key)


def _is_absent(answer: Answer) -> bool:
    """Tell whether the server says that there is no such object; a proxy's page about its own 404 does not."""
    return answer.status == 404 and (code_of(answer) == "NoSuchKey" or not answer.data)


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


def _etag(key: str, answer: Answer) -> str:
    if not _ETAG.fullmatch(answer.etag):
        raise UnavailableError(f"{key}: the server gave no etag")
    return answer.etag


def _error(key: str, answer: Answer) -> StoreError:
    code = code_of(answer)
    if _is_absent(answer):
        return NotFoundError(f"{key}: no such object")
    if code in _FULL or answer.status == 507:
        return FullError(f"{key}: {say(answer)}")
    kind = DeniedError if answer.status in _DENIED or code in _NO_BUCKET else UnavailableError
    return kind(f"{key}: {say(answer)}")
