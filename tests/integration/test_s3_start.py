"""The start on an S3 store: what can't carry a queue is one line at the check, and a queue lives on what can."""

import getpass
from pathlib import Path

import pytest

from columba.common.errors import ConfigError
from columba.master.check.compile import compile_config
from columba.queue.store.keyring import key_line
from tests.peers.process import free_port
from tests.peers.seaweed import Bucket, credentials_text

pytestmark = pytest.mark.peer


def write(folder: Path, url: str, more: str = "") -> str:
    path = folder / "columba.conf"
    path.write_text(
        "columba_config_version = 1.0\nhostname = mx.example.org\nservices = queue\n"
        f"queue_url = {url}\n{more}default_internal_user = {getpass.getuser()}\n"
        "default_internal_group =\n"
    )
    return str(path)


def private(path: Path, text: str) -> Path:
    path.touch(0o600)
    path.write_text(text)
    return path


def test_a_good_bucket_passes(s3_bucket: Bucket, tmp_path: Path) -> None:
    more = "" if "127.0.0.1" in s3_bucket.endpoint else "queue_plain = yes\n"
    s3_bucket.credentials.parent.chmod(0o755)
    compile_config(write(tmp_path, s3_bucket.url(), more))


def test_wrong_keys_are_said(s3_bucket: Bucket, tmp_path: Path) -> None:
    keys = private(tmp_path / "wrong", credentials_text("columba", "geheim"))
    url = s3_bucket.url().replace(str(s3_bucket.credentials), str(keys))
    with pytest.raises(ConfigError, match="403") as caught:
        compile_config(write(tmp_path, url, "queue_plain = yes\n"))
    assert caught.value.line == 4 and "geheim" not in str(caught.value)


def test_a_server_that_is_silent_does_not_keep_mail_from_flowing(tmp_path: Path) -> None:
    keys = private(tmp_path / "keys", credentials_text("columba", "secret"))
    endpoint = f"http://127.0.0.1:{free_port()}"
    compile_config(write(tmp_path, f"s3://mail?endpoint={endpoint}&credentials_file={keys}"))


def test_mail_elsewhere_must_be_encrypted(tmp_path: Path) -> None:
    keys = private(tmp_path / "keys", credentials_text("columba", "secret"))
    url = f"s3://mail?endpoint=http://192.0.2.1:1&credentials_file={keys}"
    with pytest.raises(ConfigError, match="must be encrypted"):
        compile_config(write(tmp_path, url))
    ring = private(tmp_path / "ring", key_line(b"k" * 32, 0.0))
    ring.chmod(0o644)
    with pytest.raises(ConfigError, match="open to others") as caught:
        compile_config(write(tmp_path, url, f"queue_key_file = {ring}\n"))
    assert caught.value.line == 5
