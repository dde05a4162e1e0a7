"""An S3 server that ignores conditions, as some do: the queue must refuse it."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.peers.seaweed import credentials_text


class Handler(BaseHTTPRequestHandler):
    """Stores whatever it is given."""

    protocol_version = "HTTP/1.1"
    server: "PlainS3"

    def log_message(self, format: str, *args: object) -> None:
        return

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.objects[urlsplit(self.path).path] = data
        self._say(200, b"", data)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if "list-type=2" in parts.query:
            prefix = parse_qs(parts.query)["prefix"][0]
            keys = sorted(path.partition("/mail/")[2] for path in self.server.objects)
            body = "".join(f"<Key>{key}</Key>" for key in keys if key.startswith(prefix))
            self._say(
                200,
                f"<ListBucketResult>{body}<IsTruncated>false</IsTruncated></ListBucketResult>".encode(),
            )
            return
        data = self.server.objects.get(parts.path)
        if data is None:
            self._say(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self._say(200, data, data)

    def do_DELETE(self) -> None:
        self.server.objects.pop(urlsplit(self.path).path, None)
        self._say(204, b"")

    def _say(self, status: int, body: bytes, content: bytes = b"") -> None:
        self.send_response(status)
        etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class PlainS3(ThreadingHTTPServer):
    """The server, on a port of the kernel's choice."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, bytes] = {}


@contextmanager
def plain_s3(folder: Path) -> Iterator[str]:
    """Give the queue_url of such a server."""
    keys = folder / "plain.credentials"
    keys.touch(0o600)
    keys.write_text(credentials_text("key", "secret"))
    server = PlainS3()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"s3://mail?endpoint=http://127.0.0.1:{server.server_port}&credentials_file={keys}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
