"""Try out whether a store keeps what the queue rests on: conditions at put, reading and listing what was written.

It writes a few objects of its own below `probe/` and removes them. What it finds missing is said in words.
"""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from columba.common.errors import ConditionError, ConfigError, NotFoundError, StoreError
from columba.queue.store.base import ABSENT, Condition, DeniedError, ObjectStore, match

PROBE: Final = "probe/"
_GONE_S: Final = 2.0


def probe(store: ObjectStore) -> list[str]:
    """Return what the store lacks, in words; nothing is good. Raises StoreError when it can't be tried."""
    key = PROBE + secrets.token_hex(12)
    absent = f"{key}.absent"
    try:
        return [*_try_put(store, key), *_try_absent(store, absent), *_try_list(store, key)]
    finally:
        for each in (key, absent):
            with suppress(StoreError):
                store.delete(each)


def demand(store: ObjectStore, name: str) -> None:
    """Raise ConfigError that says what the store lacks; StoreError when it can't be tried."""
    try:
        lacking = probe(store)
    except DeniedError as error:
        raise ConfigError(f"queue_url: {name} can't be used: {error}") from error
    if lacking:
        raise ConfigError(f"queue_url: {name} can't carry a queue: {'; '.join(lacking)}")


def _try_put(store: ObjectStore, key: str) -> list[str]:
    lacking = []
    first = store.put(key, b"1", ABSENT)
    if store.get(key).data != b"1":
        lacking.append("what was written is not read at once")
    if not _is_refused(store, key, ABSENT):
        lacking.append("a PUT with If-None-Match: * overwrites an object")
        first = store.get(key).etag
    second = store.put(key, b"2", match(first))
    if store.get(key).data != b"2":
        lacking.append("what was overwritten is not read at once")
    if second == first or not _is_refused(store, key, match(first)):
        lacking.append("a PUT with If-Match of an old etag overwrites an object")
    return lacking


def _try_absent(store: ObjectStore, key: str) -> list[str]:
    if not _is_refused(store, key, match("d41d8cd98f00b204e9800998ecf8427e")):
        return ["a PUT with If-Match succeeds where there is no object"]
    with suppress(NotFoundError):
        store.get(key)
        return ["a PUT with If-Match creates an object where there is none"]
    return []


def _try_list(store: ObjectStore, key: str) -> list[str]:
    lacking = []
    if key not in store.list(key).keys:
        lacking.append("what was written is not listed at once")
    store.delete(key)
    if not _is_gone(store, key):
        lacking.append("what was deleted is still listed")
    return lacking


def _is_gone(store: ObjectStore, key: str) -> bool:
    """Tell whether a deleted object leaves the listing soon: the queue bears a name of what is gone for a while."""
    until_s = time.monotonic() + _GONE_S
    while key in store.list(key).keys:
        if time.monotonic() > until_s:
            return False
        time.sleep(_GONE_S / 10)
    return True


def _is_refused(store: ObjectStore, key: str, condition: Condition) -> bool:
    return _fails(lambda: store.put(key, b"0", condition))


def _fails(put: Callable[[], str]) -> bool:
    try:
        put()
    except ConditionError:
        return True
    return False
