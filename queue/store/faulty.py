"""A store that fails on purpose: errors, delays, lost answers after success, torn lists.

Wraps another store. What fails is decided by a seeded generator, so that a failure can be had again, or by
`fail_next` for one exact call. With a Profile of zeroes it changes nothing and passes the contract suite.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar

from columba.common.errors import FullError, NotFoundError, UnavailableError
from columba.queue.store.base import (
    ABSENT,
    Chunks,
    Condition,
    Guarantees,
    Object,
    ObjectStore,
    Page,
)

T = TypeVar("T")
Call = Literal["get", "put", "list", "delete"]
Fault = Literal["error", "full", "lost", "none"]


@dataclass(frozen=True, slots=True)
class Profile:
    """How often something happens: probabilities from 0 to 1."""

    error: float = 0.0  # nothing is done, UnavailableError
    lost: float = 0.0  # it is done, and UnavailableError is raised all the same
    full: float = 0.0  # a put does nothing, FullError
    torn: float = 0.0  # a list ends early, with more = True
    delay: float = 0.0
    delay_s: float = 0.01
    match_creates: bool = False  # a put with an etag creates an object where there is none


# MinIO's ways: DELETE takes no condition (ours takes none anyway), and, before August 2025, If-Match on an absent key
# creates the object.
MINIO: Final = Profile()
OLD_MINIO: Final = Profile(match_creates=True)


class FaultyStore:
    """Another store behind a bad line."""

    def __init__(
        self,
        inner: ObjectStore,
        profile: Profile,
        seed: int = 0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._inner, self.profile, self._sleep = inner, profile, sleep
        self._random = random.Random(seed)
        self._planned: list[tuple[Call, str, Fault]] = []

    def fail_next(self, call: Call, prefix: str, fault: Fault) -> None:
        """Let the next call of this kind, on a key that begins so, meet this fault."""
        self._planned.append((call, prefix, fault))

    @property
    def guarantees(self) -> Guarantees:
        """Return what the inner store promises: a bad line does not change it."""
        return self._inner.guarantees

    def get(self, key: str) -> Object:
        """Return an object."""
        return self._try("get", key, lambda: self._inner.get(key))

    def get_file(self, key: str, target: Path) -> int:
        """Write an object to a new file."""
        return self._try("get", key, lambda: self._inner.get_file(key, target))

    def put(self, key: str, data: bytes, condition: Condition) -> str:
        """Write an object."""
        return self._try("put", key, lambda: self._inner.put(key, data, self._kept(key, condition)))

    def put_chunks(self, key: str, chunks: Chunks, size: int, condition: Condition) -> str:
        """Write an object in pieces."""
        return self._try("put", key, lambda: self._inner.put_chunks(key, chunks, size, condition))

    def list(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        """Return keys in order."""
        page = self._try("list", prefix, lambda: self._inner.list(prefix, after, limit))
        if page.keys and self._random.random() < self.profile.torn:
            return Page(page.keys[: self._random.randrange(1, len(page.keys) + 1)], True)
        return page

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._try("delete", key, lambda: self._inner.delete(key))

    def close(self) -> None:
        """Close the inner store."""
        self._inner.close()

    def _try(self, call: Call, key: str, act: Callable[[], T]) -> T:
        fault = self._fault(call, key)
        if self._random.random() < self.profile.delay:
            self._sleep(self.profile.delay_s)
        match fault:
            case "error":
                raise UnavailableError(f"{key}: failed on purpose")
            case "full":
                raise FullError(f"{key}: full on purpose")
            case "lost":
                act()
                raise UnavailableError(f"{key}: answer lost on purpose")
            case "none":
                return act()

    def _kept(self, key: str, condition: Condition) -> Condition:
        """Return the condition that this server really keeps."""
        if self.profile.match_creates and condition.etag:
            try:
                self._inner.get(key)
            except NotFoundError:
                return ABSENT
        return condition

    def _fault(self, call: Call, key: str) -> Fault:
        for plan in self._planned:
            if plan[0] == call and key.startswith(plan[1]):
                self._planned.remove(plan)
                return plan[2]
        chance = self._random.random()
        full = self.profile.full if call == "put" else 0.0
        if chance < self.profile.error:
            return "error"
        if chance < self.profile.error + self.profile.lost:
            return "lost"
        return "full" if chance < self.profile.error + self.profile.lost + full else "none"
