"""The comparisons' arithmetic and their file."""

import base64
import json
from pathlib import Path

from bench.__main__ import signature_octets
from bench.load import Series
from bench.report import Row, added, faster, within, write
from bench.script import run_us


def test_a_ratio_meets_its_goal_or_not() -> None:
    assert faster("a", 800, 200, "x", 4.0).met
    row = faster("a", 799, 200, "x", 4.1)
    assert not row.met


def test_time_added_counts_not_the_ratio() -> None:
    assert added("a", 3.4, 0.4, "sink", 3.0).met
    assert not added("a", 3.5, 0.4, "sink", 3.0).met


def test_a_figure_without_a_peer_is_held_against_the_most_it_may_be() -> None:
    assert within("a", 149.9, "µs", 150).met
    row = within("a", 150.1, "µs", 150)
    assert not row.met
    assert str(row) == "a: 150.1 µs; at most 150: NOT met"


def test_the_typical_script_runs() -> None:
    assert run_us() > 0


def test_rows_replace_their_older_selves_and_keep_others(tmp_path: Path) -> None:
    path = tmp_path / "results" / "latest.json"
    write([Row("other", 1, 1, "x", "ms", 1, 1, True), faster("a", 1, 2, "x", 2.0)], path)
    write([faster("a", 8, 2, "x", 2.0)], path)
    rows = {row["name"]: row for row in json.loads(path.read_text())["rows"]}
    assert set(rows) == {"a", "other"}
    assert rows["a"] == {
        "name": "a", "ours": 8, "peer": 2, "peer_name": "x",
        "unit": "messages/s", "ratio": 4.0, "goal": 2.0, "met": True,
    }  # fmt: skip


def test_a_series_says_its_median_and_spread() -> None:
    series = Series("x", [10.0, 30.0, 20.0])
    assert (series.median, series.spread) == (20.0, 1.0)


def test_a_signature_is_measured_through_folds() -> None:
    value = base64.b64encode(bytes(256))
    field = b"DKIM-Signature: v=1; bh=AAAA;\r\n\th=from; b=" + value[:60] + b"\r\n\t" + value[60:]
    assert signature_octets(b"From: a\r\n" + field + b"\r\nTo: b") == 256
    assert signature_octets(b"From: a\r\nTo: b") == 0
