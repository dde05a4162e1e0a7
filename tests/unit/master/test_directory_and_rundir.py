import json
import os
from pathlib import Path

from columba.master.directory import DirectoryPipe
from columba.master.rundir import first_generation, sweep_sockets, sweep_spool
from columba.master.state import Phase, Process


def process(slot: int) -> Process:
    return Process("smtpd", slot, 9, 100 + slot, None, 0.0, Phase.READY, 3)  # type: ignore[arg-type]  # no spec is needed


def test_the_newest_table_is_written_whole_however_slow_the_reader_is() -> None:
    pipe = DirectoryPipe()
    read_fd = pipe.renew()
    try:
        many = [process(n) for n in range(500)]
        for _ in range(10):
            pipe.mark(urgent=True)
            pipe.flush(many, 1.0)
        assert pipe.due_in_s(1.0) is not None
        data = b""
        os.set_blocking(read_fd, False)
        while pipe.due_in_s(1.0) is not None:
            data += os.read(read_fd, 1 << 20)
            pipe.flush(many, 1.0)
        data += os.read(read_fd, 1 << 20)
        tables = [json.loads(line) for line in data.splitlines()]
        assert [len(table["slots"]) for table in tables] == [500] * len(tables)
        assert tables[-1]["number"] == 10
        assert tables[-1]["slots"][7] == {
            "service": "smtpd",
            "slot": 7,
            "pid": 107,
            "generation": 9,
            "state": "ready",
            "available": 3,
            "note": 0,
        }
    finally:
        os.close(read_fd)
        pipe.close()


def test_counts_wait_a_little_and_states_do_not() -> None:
    pipe = DirectoryPipe()
    read_fd = pipe.renew()
    try:
        pipe.flush([], 1.0)
        assert pipe.due_in_s(1.0) is None
        pipe.mark(urgent=False)
        due_s = pipe.due_in_s(1.01)
        assert due_s is not None and 0.03 < due_s < 0.05
        pipe.mark(urgent=True)
        assert pipe.due_in_s(1.01) == 0.0
    finally:
        os.close(read_fd)
        pipe.close()


def test_generations_are_never_used_again(tmp_path: Path) -> None:
    (tmp_path / "smtpd").mkdir()
    (tmp_path / "smtpd" / "0.4000000000").touch()
    assert first_generation(tmp_path, ["smtpd", "none"]) == 4000000001
    sweep_sockets(tmp_path, ["smtpd"])
    assert list((tmp_path / "smtpd").iterdir()) == []
    assert 1_700_000_000 < first_generation(tmp_path, ["smtpd"]) < 4000000000


def test_only_files_of_the_dead_are_swept(tmp_path: Path) -> None:
    for name in ("A.1@smtpd.0.7", "A.2@smtpd.0.8", "other"):
        (tmp_path / name).touch()
    assert sweep_spool(tmp_path, {"smtpd.0.8"}.__contains__) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A.2@smtpd.0.8", "other"]
