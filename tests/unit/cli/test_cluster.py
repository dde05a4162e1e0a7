"""Rows of several processes about the same owners."""

from pathlib import Path

from click.testing import CliRunner

from columba.master.cli.__main__ import columbadm
from columba.master.cli.cmd_cluster import merged
from columba.master.cli.output import Row
from columba.queue.store.open import load_ring


def row(owner: str, process: str = "", epoch: int = 1, age: float = 0.0) -> Row:
    return {"owner": owner, "process": process, "epoch": epoch, "age": age, "state": "held"}


def test_its_own_process_knows_best_then_the_latest_news() -> None:
    rows = [
        row("a-0", epoch=9),
        row("a-0", process="queue.0.1", epoch=2),
        row("b-0", epoch=1, age=0.1),
        row("b-0", epoch=2, age=7.0),
        row("b-0", epoch=2, age=3.0),
    ]
    assert merged(rows) == [rows[1], rows[4]]


def config(folder: Path, more: str = "") -> str:
    path = folder / "columba.conf"
    path.write_text(f"columba_config_version = 1.0\nhostname = mx.example.org\n{more}")
    return str(path)


def test_a_key_is_added_and_the_older_ones_stay(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    options = ["-c", config(tmp_path, f"queue_key_file = {keys}\n"), "queue", "key", "gen"]
    for more in ([], ["--in", "1 day"]):
        done = CliRunner().invoke(columbadm, [*options, *more])
        assert done.exit_code == 0, done.output
    assert keys.stat().st_mode & 0o777 == 0o640
    first, second = load_ring(str(keys)).keys
    assert second.since_s - first.since_s > 86_000
    secret = keys.read_text().split()[1]
    assert secret not in done.output
    wrong = CliRunner().invoke(columbadm, [*options, "--in", "soon"])
    assert wrong.exit_code == 64
    assert len(load_ring(str(keys)).keys) == 2


def test_the_store_is_tried_out(tmp_path: Path) -> None:
    path = config(tmp_path, f"queue_url = file:{tmp_path}/queue\n")
    done = CliRunner().invoke(columbadm, ["-c", path, "-f", "json", "queue", "store-check"])
    assert done.exit_code == 0, done.output
    assert '"good": true' in done.output.replace(":true", ": true")
