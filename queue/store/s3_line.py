"""Requests to an S3 server: signed, on kept connections, each with a deadline, tried again where that is safe.

It knows HTTP, and nothing of what objects mean. Credentials come by minio's providers; the requests are
written and signed here, because minio's public calls can't carry conditions and cost three times as
much processor time (docs/decisions/0011-s3-requests.md). All calls block.

A request that may have been done although its answer was lost is tried again, after a random wait; the answer then
says so (`is_repeated`), because a condition may have failed on account of our own first try.
"""

import os
import random
import ssl
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote, urlencode

from minio.credentials.providers import AWSConfigProvider, EnvAWSProvider, Provider

from columba.common.errors import ConfigError, FullError, UnavailableError
from columba.queue.store.s3_place import Place
from columba.queue.store.s3_wire import Head, Wire, WireError
from columba.queue.store.sigv4 import Signer

AGAIN: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
IDLE_S: Final = 15.0  # servers close idle connections; younger ones are used again
KEPT: Final = 64
_FIRST_WAIT_S: Final = 0.05
_MOST_WAIT_S: Final = 2.0
_CREDENTIALS_S: Final = 60.0
_ERROR_MAX: Final = 1 << 16
_RATE: Final = 1 << 20  # octets a second that a large body may take
_SINK_MOST: Final = 1 << 30  # octets of an object that are written to a file

Body = Callable[[], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. body may be read several times; sink takes the body of a good answer."""

    method: str
    key: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    data: bytes = b""
    body: Body | None = None
    size: int = 0
    sink: BinaryIO | None = None
    most: int = _ERROR_MAX  # octets of the answer that are kept
    may_repeat: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said. is_repeated: an earlier try of the same request may have been done."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    data: bytes
    is_repeated: bool = False

    @property
    def etag(self) -> str:
        """Return the etag without its quotes, "" when there is none."""
        return self.headers.get("etag", "").strip('"')


class Tries:
    """The tries of one request. until_s: when the last one must be over (monotonic)."""

    def __init__(self, place: str, ask: Ask, until_s: float) -> None:
        self._place, self._ask, self.until_s = place, ask, until_s
        self._failed = 0

    def wait_s(self, problem: str) -> float:
        """Return how long to wait before the next try; UnavailableError when there is to be none."""
        self._failed += 1
        wait_s = random.uniform(0.0, min(_FIRST_WAIT_S * 2.0**self._failed, _MOST_WAIT_S))
        if not self._ask.may_repeat or time.monotonic() + wait_s >= self.until_s:
            raise UnavailableError(f"{self._place}: {self._ask.method} {self._ask.key}: {problem}")
        return wait_s

    def marked(self, answer: Answer) -> Answer:
        """Return the final answer, with whether it is the first one."""
        if not self._failed:
            return answer
        return Answer(answer.status, answer.headers, answer.data, is_repeated=True)


class Line:
    """The way to one bucket."""

    def __init__(self, place: Place, timeout_s: float) -> None:
        """Read CA and credentials; ConfigError when they can't be used."""
        self.place, self._timeout_s = place, timeout_s
        self._tls = _tls_of(place) if place.is_tls else None
        self._keys = _Keys(place)
        self._idle: list[tuple[float, Wire]] = []
        self._lock = threading.Lock()
        self._is_closed = False
        default = place.port == (443 if place.is_tls else 80)
        bracketed = f"[{place.host}]" if ":" in place.host else place.host
        host = bracketed if place.path_style else f"{place.bucket}.{bracketed}"
        self._connect_to = place.host if place.path_style else host
        self._host = host if default else f"{host}:{place.port}"
        self._root = f"/{place.bucket}/" if place.path_style else "/"

    def send(self, ask: Ask) -> Answer:
        """Return the server's final answer; UnavailableError when there is none in time, FullError."""
        tries = self.tries(ask)
        digest = _digest(ask)
        while True:
            try:
                answer = self._once(ask, digest, tries.until_s)
                if answer.status not in AGAIN:
                    return tries.marked(answer)
                problem = say(answer)
            except (OSError, WireError) as error:
                problem = f"{type(error).__name__}: {error}"
            time.sleep(tries.wait_s(problem))
            if ask.sink is not None:
                ask.sink.seek(0)
                ask.sink.truncate()

    def tries(self, ask: Ask) -> "Tries":
        """Return the tries of one request, which begin now."""
        return Tries(self.place.name, ask, time.monotonic() + self._timeout_s + ask.size / _RATE)

    def try_s(self, until_s: float) -> float:
        """Return how long one try may take: half of our time, so that another one is possible."""
        return max(0.05, min(until_s - time.monotonic(), self._timeout_s / 2))

    def request(self, ask: Ask, digest: str) -> tuple[str, dict[str, str]]:
        """Return the target and the headers of a request, signed now."""
        target = self._root + quote(ask.key, safe="/-_.~")
        query = urlencode(sorted(ask.query.items()), quote_via=quote)
        headers = self._signed(ask, target, query, digest)
        return f"{target}?{query}" if query else target, headers

    @property
    def address(self) -> tuple[str, int, ssl.SSLContext | None]:
        """Return host and port to connect to, and the context of TLS if there is one."""
        return self._connect_to, self.place.port, self._tls

    def close(self) -> None:
        """Close the connections that are not in use, and keep none from now on."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for _, wire in idle:
            wire.close()

    def _once(self, ask: Ask, digest: str, until_s: float) -> Answer:
        wire = self._take(until_s)
        try:
            url, headers = self.request(ask, digest)
            wire.send(ask.method, url, headers, ask.body() if ask.body is not None else ask.data)
            head = wire.head()
            if ask.sink is not None:
                wire.set_deadline(self._timeout_s / 2, until_s + _length(head) / _RATE)
            data = _read(wire.body(ask.method, head), head, ask)
        except BaseException:
            wire.give_up()
            raise
        if head.keeps and wire.is_clean:
            self._give_back(wire)
        else:
            wire.close()
        return Answer(head.status, head.headers, data)

    def _signed(self, ask: Ask, target: str, query: str, digest: str) -> dict[str, str]:
        signer, token = self._keys.get()
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {
            **ask.headers,
            "Host": self._host,
            "x-amz-content-sha256": digest,
            "x-amz-date": at,
        }
        if token:
            headers["X-Amz-Security-Token"] = token
        told = signer.authorization(ask.method, target, query, headers, digest, at)
        headers["Authorization"] = told
        if ask.method == "PUT":
            headers["Content-Length"] = str(ask.size if ask.body is not None else len(ask.data))
        return headers

    def _take(self, until_s: float) -> Wire:
        """Return a kept connection that is young, or a new one; its waits end within half of our time."""
        now_s, wait_s = time.monotonic(), self.try_s(until_s)
        with self._lock:
            while self._idle:
                since_s, wire = self._idle.pop()
                if now_s - since_s < IDLE_S:
                    wire.set_deadline(wait_s, until_s)
                    return wire
                wire.close()
        wire = Wire(self._connect_to, self.place.port, wait_s, self._tls)
        wire.set_deadline(wait_s, until_s)
        return wire

    def _give_back(self, wire: Wire) -> None:
        with self._lock:
            if len(self._idle) < KEPT and not self._is_closed:
                self._idle.append((time.monotonic(), wire))
                return
        wire.close()


def say(answer: Answer) -> str:
    """Return the server's words about what went wrong, one line, no secrets."""
    code = code_of(answer)
    return f"{answer.status} {code}".strip()


def code_of(answer: Answer) -> str:
    """Return S3's error code, as "NoSuchKey"; "" when the answer has none."""
    _, _, rest = answer.data[:_ERROR_MAX].partition(b"<Code>")
    code = rest.partition(b"<")[0][:64]
    return code.decode("ascii", "replace") if code.isalnum() else ""


class _Keys:
    """The credentials: read from the file or the environment, and again every minute."""

    def __init__(self, place: Place) -> None:
        self._region = place.region
        self._provider: Provider = EnvAWSProvider()
        if place.credentials_file:
            _demand_private(Path(place.credentials_file))
            self._provider = AWSConfigProvider(place.credentials_file)
        self._lock = threading.Lock()
        try:
            self._keys = self._read()
        except (ValueError, OSError, KeyError) as error:
            where = place.credentials_file or (
                "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
            )
            raise ConfigError(f"queue_url: no credentials in {where}") from error
        self._read_s = time.monotonic()

    def get(self) -> tuple[Signer, str]:
        """Return signer and session token as read at most a minute ago; a file that can't be read changes nothing."""
        with self._lock:
            if time.monotonic() - self._read_s > _CREDENTIALS_S:
                self._read_s = time.monotonic()
                with suppress(ValueError, OSError, KeyError):
                    self._keys = self._read()
            return self._keys

    def _read(self) -> tuple[Signer, str]:
        found = self._provider.retrieve()
        signer = Signer(found.access_key, found.secret_key, self._region)
        return signer, found.session_token or ""


def _demand_private(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"queue_url: credentials_file: {path}: {error.strerror}") from error
    if mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        raise ConfigError(f"queue_url: credentials_file: {path} is open to others: chmod 640")
    if not os.access(path, os.R_OK):
        raise ConfigError(f"queue_url: credentials_file: Can't open file {path}")


def _tls_of(place: Place) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=place.ca_file or None)
    except OSError as error:
        raise ConfigError(f"queue_url: ca_file: {place.ca_file} can't be used: {error}") from error


def _digest(ask: Ask) -> str:
    if ask.body is None:
        return sha256(ask.data).hexdigest()
    digest = sha256()
    for chunk in ask.body():
        digest.update(chunk)
    return digest.hexdigest()


def _length(head: Head) -> int:
    """Return how long the body says it is, as far as we would read it; 0 if it does not say."""
    length = head.headers.get("content-length", "")[:15]
    return min(int(length), _SINK_MOST) if length.isascii() and length.isdecimal() else 0


def _read(body: Iterator[bytes], head: Head, ask: Ask) -> bytes:
    """Return the body of an answer, or write it into the sink; what is too long is cut, and the rest read."""
    if ask.sink is None or head.status != 200:
        kept = bytearray()
        for piece in body:
            kept += piece[: max(0, ask.most - len(kept))]
        return bytes(kept)
    for piece in body:
        try:
            size = ask.sink.tell() + ask.sink.write(piece)
        except OSError as error:
            raise FullError(f"{ask.key}: {error.strerror}") from error
        if size > _SINK_MOST:
            raise WireError("an object that is too large")
    return b""
