"""A store in memory: what the contract asks for, and nothing that takes time."""

import hashlib
from pathlib import Path

from columba.common.errors import ConditionError, NotFoundError
from columba.queue.store.base import Chunks, Condition, Guarantees, Object, Page, check_key


class MemoryStore:
    """Objects in a dict. It says that it is shared, as a bucket is."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}

    @property
    def guarantees(self) -> Guarantees:
        return Guarantees(shared=True, page_keys=1000)

    def get(self, key: str) -> Object:
        found = self.objects.get(check_key(key))
        if found is None:
            raise NotFoundError(f"{key}: no such object")
        return found

    def get_file(self, key: str, target: Path) -> int:
        with target.open("xb") as file:
            return file.write(self.get(key).data)

    def put(self, key: str, data: bytes, condition: Condition) -> str:
        there = self.objects.get(check_key(key))
        if condition.absent and there is not None:
            raise ConditionError(f"{key}: exists")
        if condition.etag and (there is None or there.etag != condition.etag):
            raise ConditionError(f"{key}: has changed")
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        self.objects[key] = Object(data, etag)
        return etag

    def put_chunks(self, key: str, chunks: Chunks, size: int, condition: Condition) -> str:
        return self.put(key, b"".join(chunks()), condition)

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        keys = sorted(k for k in self.objects if k.startswith(prefix) and k > after)
        return Page(tuple(keys[:limit]), len(keys) > limit)

    def delete(self, key: str) -> None:
        self.objects.pop(check_key(key), None)

    def close(self) -> None:
        return
