import json

import pytest

from columba.master.cli.output import Row, render

ROWS: list[Row] = [
    {"name": "smtpd", "count": 2, "full": False, "note": None},
    {"name": "dkim", "count": 10, "full": True, "note": "two\nlines"},
]


def test_table() -> None:
    assert render(ROWS, "table") == (
        "name  count full note\nsmtpd     2 no   -\ndkim     10 yes  two\\nlines\n"
    )


def test_flow_and_tab() -> None:
    assert render(ROWS[:1], "flow") == "name=smtpd count=2 full=no note=\n"
    assert render(ROWS[:1], "tab", columns=("count", "name")) == "count\tname\n2\tsmtpd\n"
    assert render(ROWS[:1], "tab", columns=("name",), titles=False) == "smtpd\n"


def test_json_keeps_types() -> None:
    assert json.loads(render(ROWS, "json")) == ROWS
    assert json.loads(render([], "json")) == []


@pytest.mark.parametrize("form", ["table", "flow", "tab"])
def test_nothing_is_shown_of_nothing(form: str) -> None:
    assert render([], form) == ""


@pytest.mark.parametrize("form", ["table", "flow", "tab"])
def test_what_strangers_write_gives_a_terminal_no_orders(form: str) -> None:
    rows: list[Row] = [{"sender": "\x1b[2Ja\x9b31m\u202eb\r\x00", "more": ["\x1b", "c"]}]
    assert not set("\x1b\x9b\u202e\r\x00") & set(render(rows, form))
