"""The S3 store before a server that answers as a script says: lost answers, conflicts, silence, refusals."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from columba.common.errors import (
    ConditionError,
    ConfigError,
    FullError,
    NotFoundError,
    UnavailableError,
)
from columba.queue.store.base import ABSENT, ANYTHING, ObjectStore, match
from columba.queue.store.s3 import S3Store
from columba.queue.store.s3_line import Line
from columba.queue.store.s3_place import parse_place
from tests.fakes.on_loop import OnLoop
from tests.peers.seaweed import credentials_text

Step = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Plays one step of the script for each request."""

    protocol_version = "HTTP/1.1"
    server: "Script"

    def log_message(self, format: str, *args: object) -> None:
        return

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        step = self.server.steps.pop(0) if self.server.steps else says(500)
        step(self, body)

    do_GET = do_PUT = do_HEAD = do_DELETE = handle_any


class Script(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.steps: list[Step] = []
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []


def says(status: int, code: str = "", **headers: str) -> Step:
    def step(handler: Handler, body: bytes) -> None:
        data = f"<Error><Code>{code}</Code></Error>".encode() if code else b""
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return step


def hangs_up(handler: Handler, body: bytes) -> None:
    handler.close_connection = True


def is_silent(handler: Handler, body: bytes) -> None:
    handler.connection.settimeout(3.0)
    handler.rfile.read(1)
    handler.close_connection = True


def own_nonce(handler: Handler, body: bytes) -> None:
    """Answer a HEAD with the nonce of the first PUT."""
    nonce = handler.server.seen[0][2]["x-amz-meta-columba-nonce"]
    says(200, x_amz_meta_columba_nonce=nonce, ETag='"e1"')(handler, body)


@pytest.fixture
def script() -> Iterator[Script]:
    server = Script()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["threads", "loop"])
def store(
    request: pytest.FixtureRequest, script: Script, tmp_path: Path
) -> Iterator[S3Store | OnLoop]:
    keys = tmp_path / "keys"
    keys.touch(0o600)
    keys.write_text(credentials_text("AKID", "geheim"))
    endpoint = f"http://127.0.0.1:{script.server_port}"
    bare = S3Store(parse_place(f"s3://mail/p?endpoint={endpoint}&credentials_file={keys}"), 0.8)
    made = bare if request.param == "threads" else OnLoop(bare)
    yield made
    made.close()


def test_a_put_carries_condition_hash_and_signature(script: Script, store: ObjectStore) -> None:
    script.steps = [says(200, ETag='"e1"'), says(200, ETag='"e2"')]
    assert store.put("env/a=b/1", b"data", ABSENT) == "e1"
    assert store.put("env/a=b/1", b"data", match("e1")) == "e2"
    (_, path, first, body), (_, _, second, _) = script.seen
    assert path == "/mail/p/env/a%3Db/1" and body == b"data"
    assert first["If-None-Match"] == "*" and second["If-Match"] == '"e1"'
    assert first["x-amz-content-sha256"] == hashlib.sha256(b"data").hexdigest()
    signed = first["Authorization"]
    assert "AKID" in signed and "if-none-match" in signed and "geheim" not in str(script.seen)


def test_a_lost_answer_to_our_own_success_is_success(script: Script, store: ObjectStore) -> None:
    script.steps = [hangs_up, says(412, "PreconditionFailed"), own_nonce]
    assert store.put("k", b"1", ABSENT) == "e1"
    assert [request[0] for request in script.seen] == ["PUT", "PUT", "HEAD"]


def test_a_lost_answer_and_then_somebody_else_is_a_lost_condition(
    script: Script, store: ObjectStore
) -> None:
    other = says(200, x_amz_meta_columba_nonce="another", ETag='"e2"')
    script.steps = [hangs_up, says(412), other]
    with pytest.raises(ConditionError):
        store.put("k", b"1", match("e0"))


def test_a_first_412_is_believed_at_once(script: Script, store: ObjectStore) -> None:
    script.steps = [says(412)]
    with pytest.raises(ConditionError):
        store.put("k", b"1", ABSENT)
    assert len(script.seen) == 1


@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_a_conflict_or_a_busy_server_is_asked_again(
    script: Script, store: ObjectStore, status: int
) -> None:
    script.steps = [says(status, "SlowDown"), says(200, ETag='"e1"')]
    assert store.put("k", b"1", ABSENT) == "e1"


def test_without_a_condition_nothing_is_written_twice(script: Script, store: ObjectStore) -> None:
    script.steps = [hangs_up, says(200, ETag='"e1"')]
    with pytest.raises(UnavailableError):
        store.put("k", b"1", ANYTHING)
    assert len(script.seen) == 1


def test_silence_ends_with_the_deadline(script: Script, store: ObjectStore) -> None:
    script.steps = [is_silent] * 10
    with pytest.raises(UnavailableError, match=r"no answer|timed out"):
        store.get("k")


def test_match_on_an_absent_key_is_a_lost_condition(script: Script, store: ObjectStore) -> None:
    script.steps = [says(404, "NoSuchKey")]
    with pytest.raises(ConditionError):
        store.put("k", b"1", match("e0"))


def test_a_bucket_that_is_gone_is_not_an_object_that_is_gone(
    script: Script, store: ObjectStore
) -> None:
    script.steps = [says(404, "NoSuchBucket"), says(404, "NoSuchBucket"), says(404, "NoSuchKey")]
    with pytest.raises(UnavailableError, match="NoSuchBucket"):
        store.get("k")
    with pytest.raises(UnavailableError, match="NoSuchBucket"):
        store.put("k", b"1", match("e0"))
    with pytest.raises(NotFoundError):
        store.get("k")


def test_full_and_forbidden_are_said(script: Script, store: ObjectStore) -> None:
    script.steps = [says(403, "QuotaExceeded"), says(403, "AccessDenied")]
    with pytest.raises(FullError):
        store.put("k", b"1", ABSENT)
    with pytest.raises(UnavailableError, match="403 AccessDenied"):
        store.put("k", b"1", ABSENT)


def gives(data: bytes, status: int = 200) -> Step:
    def step(handler: Handler, body: bytes) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return step


def listing(keys: bytes, is_truncated: bytes = b"<IsTruncated>false</IsTruncated>") -> bytes:
    return b"<ListBucketResult>" + keys + is_truncated + b"</ListBucketResult>"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (listing(b"<Key>p/b</Key><Key>p/a</Key>"), "order"),
        (listing(b"<Key>p/a</Key><Key>p/a</Key>"), "order"),
        (listing(b"<Key>q/a</Key>"), "not asked for"),
        (listing(b"<Key>../p/a</Key>"), "not asked for"),
        (listing(b"<Key>p/\xff</Key>"), "UTF-8"),
        (listing(b"", b"<IsTruncated>true</IsTruncated>"), "goes on"),
        (listing(b"<Key>p/a</Key>", b""), "goes on"),
        (listing(b"<Key>p/a</Key>")[:-4], "no whole list"),
        (b"<Error><Code>InternalError</Code></Error>", "no whole list"),
        (b"", "no whole list"),
        (b"<html>Welcome to nginx!</html>", "no whole list"),
        (listing(b" " * (4 << 20)), "no whole list"),
    ],
)
def test_what_is_no_right_list_is_never_taken_for_the_end(
    script: Script, store: ObjectStore, data: bytes, problem: str
) -> None:
    script.steps = [gives(data)]
    with pytest.raises(UnavailableError, match=problem):
        store.list("")


def test_entities_in_a_list_are_not_expanded(script: Script, store: ObjectStore) -> None:
    bomb = b'<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + listing(b"<Key>p/&b;</Key>")
    script.steps = [gives(bomb)]
    assert store.list("").keys == ("&b;",)


def test_a_page_of_a_proxy_is_not_the_absence_of_mail(script: Script, store: ObjectStore) -> None:
    page = gives(b"<html>404 Not Found</html>", 404)
    script.steps = [page, page, page, gives(b"", 404)]
    for call in (
        lambda: store.get("k"),
        lambda: store.put("k", b"1", match("e0")),
        lambda: store.delete("k"),
    ):
        with pytest.raises(UnavailableError, match="404"):
            call()
    with pytest.raises(NotFoundError):
        store.get("k")


@pytest.mark.parametrize("etag", ['"\xe9"', 'W/"e1"', '"a b"', '"' + "e" * 300 + '"', ""])
def test_an_etag_that_can_be_no_condition_is_refused(
    script: Script, store: ObjectStore, etag: str
) -> None:
    script.steps = [says(200, ETag=etag)]
    with pytest.raises(UnavailableError, match="no etag"):
        store.put("k", b"1", ABSENT)


def test_a_redirect_is_not_followed(script: Script, store: ObjectStore) -> None:
    script.steps = [says(307, Location="http://127.0.0.1:1/"), says(301, "PermanentRedirect")]
    with pytest.raises(UnavailableError, match="307"):
        store.get("k")
    with pytest.raises(UnavailableError, match="301 PermanentRedirect"):
        store.put("k", b"1", ABSENT)
    assert len(script.seen) == 2


def test_what_stands_behind_an_answer_is_not_the_next_one(
    script: Script, store: ObjectStore
) -> None:
    """An answer with an answer hidden behind it: the connection is not used again."""

    def two(handler: Handler, body: bytes) -> None:
        first = b'HTTP/1.1 200 OK\r\nETag: "e1"\r\nContent-Length: 3\r\n\r\none'
        handler.wfile.write(first + first.replace(b"one", b"bad"))

    script.steps = [two, says(404, "NoSuchKey")]
    assert store.get("k").data == b"one"
    with pytest.raises(NotFoundError):
        store.get("other")


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    ],
)
def test_a_server_that_trickles_is_left_at_the_deadline(
    script: Script, store: ObjectStore, start: bytes
) -> None:
    def trickles(handler: Handler, body: bytes) -> None:
        handler.close_connection = True
        with suppress(OSError):
            handler.wfile.write(start)
            for _ in range(100):
                handler.wfile.write(b"x")
                time.sleep(0.05)

    script.steps = [trickles] * 40
    begun_s = time.monotonic()
    with pytest.raises(UnavailableError, match=r"too slow|timed out|too long"):
        store.get("k")
    assert time.monotonic() - begun_s < 2.0


def test_a_body_is_sent_again_whole(script: Script, store: ObjectStore) -> None:
    script.steps = [says(503), says(200, ETag='"e1"')]
    store.put_chunks("body/1", lambda: [b"ab", b"cd"], 4, ABSENT)
    assert [request[3] for request in script.seen] == [b"abcd", b"abcd"]


def test_credentials_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    place = parse_place("s3://mail?endpoint=http://127.0.0.1:1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY", "AWS_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="no credentials"):
        Line(place, 1.0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim")
    Line(place, 1.0).close()


def test_a_credentials_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(credentials_text("AKID", "geheim"))
    keys.chmod(0o644)
    place = parse_place(f"s3://mail?endpoint=http://127.0.0.1:1&credentials_file={keys}")
    with pytest.raises(ConfigError, match="open to others") as caught:
        Line(place, 1.0)
    assert "geheim" not in str(caught.value)
