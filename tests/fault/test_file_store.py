"""The file store on a disk that is full or read-only, and killed at each step of a put."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from columba.common.errors import NotFoundError
from columba.queue.store.base import ABSENT
from columba.queue.store.file import FileStore

ROOT = Path(__file__).resolve().parent.parent.parent
PRELUDE = """
import os, resource, sys
from pathlib import Path
from columba.common.errors import FullError, UnavailableError
from columba.queue.store.base import ABSENT, match
from columba.queue.store.file import FileStore
store = FileStore(Path(sys.argv[1]))
"""
PUT_NEW = PRELUDE + "store.put('env/a/new', b'new', ABSENT)"
PUT_OVER = PRELUDE + "store.put('env/a/k', b'new', match(store.get('env/a/k').etag))"
FULL = (
    PRELUDE
    + """
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for key, condition in (('env/a/new', ABSENT), ('env/a/k', match(store.get('env/a/k').etag))):
    try:
        store.put(key, b'x' * 2000, condition)
    except FullError:
        print('full')
"""
)
READ_ONLY = (
    PRELUDE
    + """
if os.geteuid() == 0:
    os.setuid(65534)
try:
    store.put('env/a/new', b'new', ABSENT)
except UnavailableError:
    print('unavailable')
print(store.get('env/a/k').data.decode())
"""
)


def run(script: str, store: Path, fault: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, str(store)],
        env={**os.environ, "COLUMBA_FAULT": fault, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    FileStore(tmp_path / "store").put("env/a/k", b"old", ABSENT)
    return tmp_path / "store"


def test_a_full_disk_changes_nothing(folder: Path) -> None:
    assert run(FULL, folder).stdout == "full\nfull\n"
    store = FileStore(folder)
    assert store.get("env/a/k").data == b"old"
    assert store.list("env/").keys == ("env/a/k",)
    assert list((folder / ".tmp").iterdir()) == []


def test_a_read_only_folder_is_unavailable_and_readable(folder: Path) -> None:
    top = Path(tempfile.gettempdir())
    above = [p for p in folder.parents if p.is_relative_to(top) and p != top]
    modes = [(p, p.stat().st_mode) for p in above]
    files = [folder, *(p for p in folder.rglob("*"))]
    for path in [*above, *files]:
        path.chmod(0o555)
    try:
        done = run(READ_ONLY, folder)
    finally:
        for path in files:
            path.chmod(0o755)
        for path, mode in modes:
            path.chmod(mode)
    assert done.stdout == "unavailable\nold\n", done.stderr
    assert FileStore(folder).list("env/").keys == ("env/a/k",)


@pytest.mark.parametrize("point", ["file.written", "file.named", "file.synced"])
def test_killed_at_a_step_a_new_object_is_whole_or_absent(folder: Path, point: str) -> None:
    assert run(PUT_NEW, folder, point).returncode == -signal.SIGKILL
    store = FileStore(folder)
    if point == "file.written":
        with pytest.raises(NotFoundError):
            store.get("env/a/new")
    else:
        assert store.get("env/a/new").data == b"new"
    assert all(not Path(k).name.startswith(".") for k in store.list("").keys)


@pytest.mark.parametrize("point", ["file.written", "file.named", "file.synced"])
def test_killed_at_a_step_an_object_is_old_or_new(folder: Path, point: str) -> None:
    assert run(PUT_OVER, folder, point).returncode == -signal.SIGKILL
    wanted = b"old" if point == "file.written" else b"new"
    assert FileStore(folder).get("env/a/k").data == wanted


def test_a_lock_of_a_killed_process_holds_nobody_up(folder: Path) -> None:
    run(PUT_OVER, folder, "file.named")
    assert run(PUT_OVER, folder).returncode == 0
