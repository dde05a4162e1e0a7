"""What our requests to S3 say, and what its answers mean, however they are sent.

Everything rests on If-None-Match and If-Match at PUT. Each put carries a nonce in the object's metadata: an answer 412
to a request that was tried before may be about our own first try, and what stands there is asked for it.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from columba.common.errors import (
    ConditionError,
    FullError,
    NotFoundError,
    StoreError,
    UnavailableError,
)
from columba.queue.store.base import OBJECT_LIMIT, Condition, DeniedError, Object
from columba.queue.store.s3_line import Answer, Ask, code_of, say

_NONCE: Final = "x-amz-meta-columba-nonce"
_FULL: Final = frozenset({"QuotaExceeded", "XMinioStorageFull", "EntityTooLarge", "XAmzQuota"})
_DENIED: Final = (301, 307, 400, 401, 403)
_NO_BUCKET: Final = ("NoSuchBucket",)
_ETAG: Final = re.compile(r"[!#-~]{1,256}")  # RFC 9110 §8.8.3, strong ones in ASCII


def get_ask(path: str) -> Ask:
    """Return the request for an object."""
    return Ask("GET", path, most=OBJECT_LIMIT + 1)


def put_ask(path: str, ask: Ask, condition: Condition) -> Ask:
    """Return the request that writes what ask has, on a condition."""
    headers = {_NONCE: secrets.token_hex(16), "Content-Type": "application/octet-stream"}
    if condition.absent:
        headers["If-None-Match"] = "*"
    elif condition.etag:
        headers["If-Match"] = f'"{condition.etag}"'
    # Without a condition a second try could undo another's later write.
    may_repeat = condition.absent or bool(condition.etag)
    return replace(ask, method="PUT", key=path, headers=headers, may_repeat=may_repeat)


def object_of(key: str, answer: Answer) -> Object:
    """Return the object that was asked for; StoreError."""
    if answer.status != 200:
        raise error_of(key, answer)
    if len(answer.data) > OBJECT_LIMIT:
        raise StoreError(f"{key}: larger than {OBJECT_LIMIT} octets")
    return Object(answer.data, etag_of(key, answer))


def is_doubtful(key: str, ask: Ask, answer: Answer) -> bool:
    """Tell whether a put was refused, perhaps on account of our own first try; False: it is done.

    Raises StoreError: ConditionError when it was refused for sure.
    """
    if answer.status == 200:
        return False
    if answer.status != 412 and not ("If-Match" in ask.headers and _is_absent(answer)):
        raise error_of(key, answer)
    if not answer.is_repeated:
        raise lost(key, answer)
    return True


def is_own(ask: Ask, there: Answer) -> bool:
    """Tell whether what stands there was written by an earlier try of this put."""
    return there.status == 200 and there.headers.get(_NONCE) == _nonce(ask.headers)


def lost(key: str, answer: Answer) -> ConditionError:
    """Return the error of a put whose condition does not hold."""
    return ConditionError(f"{key}: {say(answer)}")


def etag_of(key: str, answer: Answer) -> str:
    """Return the etag; UnavailableError when the server gave none."""
    if not _ETAG.fullmatch(answer.etag):
        raise UnavailableError(f"{key}: the server gave no etag")
    return answer.etag


def error_of(key: str, answer: Answer) -> StoreError:
    """Return what an answer that is no success means."""
    code = code_of(answer)
    if _is_absent(answer):
        return NotFoundError(f"{key}: no such object")
    if code in _FULL or answer.status == 507:
        return FullError(f"{key}: {say(answer)}")
    kind = DeniedError if answer.status in _DENIED or code in _NO_BUCKET else UnavailableError
    return kind(f"{key}: {say(answer)}")


def _is_absent(answer: Answer) -> bool:
    """Tell whether the server says that there is no such object; a proxy's page about its own 404 does not."""
    return answer.status == 404 and (code_of(answer) == "NoSuchKey" or not answer.data)


def _nonce(headers: Mapping[str, str]) -> str:
    return headers.get(_NONCE, "")
