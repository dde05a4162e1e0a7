import io
import json

import pytest

from columba.master.cli.output import Row, render
from columba.master.cli.queue_sockets import BAR_FROM, progress

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


class Terminal(io.StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_long_work_shows_on_a_terminal_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for steps, is_shown in ((BAR_FROM, True), (BAR_FROM - 1, False)):
        screen = Terminal()
        monkeypatch.setattr("sys.stderr", screen)
        with progress("export", steps, BAR_FROM) as advance:
            for _ in range(steps):
                advance(1)
        assert ("100%" in screen.getvalue() and "export" in screen.getvalue()) is is_shown
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    with progress("export", BAR_FROM, BAR_FROM) as advance:
        advance(BAR_FROM)
    assert file.getvalue() == "", "no terminal, no bar"
