import base64
import json
import stat
import time
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner, Result

from columba.common.config.load import read_file
from columba.common.errors import EX_DATAERR
from columba.master.cli import cmd_queue
from columba.master.cli.__main__ import columbadm
from columba.master.cli.cmd_queue import pieces
from columba.master.cli.output import Row
from columba.master.cli.queue_sockets import octets_of, readable
from tests.fakes.queue_process import ROOT

CONF = """columba_config_version = 1.0
hostname = mx.test
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
default_internal_user =
service smtpd {{
  client_limit = 5
  inet_listener smtp {{
    port = 2525
  }}
}}
lookup local_users {{
  url = inline:a="b # c"
}}
"""
LOG = """\
Nov 22 07:06:30.123 smtpd(10): Info: Received: id=01JABC size=3
Nov 22 07:06:30.523 delivery(12): Info: Delivered: id=01JABC reply="250 ok"
Nov 22 07:06:30.200 sieve(11): Warning: Odd: id=01JABC.1
Nov 22 07:06:30.300 sieve(11): Info: Other: id=01JABCD
Nov 22 07:06:31.000 smtpd(10): Info: Answered: id=01JABC code=250
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "columba.conf"
    path.write_text(CONF.format(folder=tmp_path))
    return path


def run(conf: Path, *arguments: str) -> Result:
    return CliRunner().invoke(columbadm, ["-c", str(conf), *arguments])


def test_config_shows_what_is_not_default_and_can_be_read_again(conf: Path) -> None:
    shown = run(conf, "config", "-P")
    assert shown.exit_code == 0
    assert "client_limit = 5" in shown.output and "port = 2525" in shown.output
    assert "process_limit" not in shown.output
    again = conf.with_name("again.conf")
    again.write_text(shown.output)
    assert run(again, "config", "-P").output == shown.output
    assert 'a="b # c"' in CONF and 'url = "inline:a=\\"b # c\\""' in shown.output
    assert "url = # hidden" in run(conf, "config").output


def test_config_shows_all_and_the_defaults_and_single_names(conf: Path) -> None:
    everything = run(conf, "config", "-a", "-P").output
    assert "hang_limit = 30 secs" in everything and "hostname = mx.test" in everything
    again = conf.with_name("again.conf")
    again.write_text(everything)
    assert run(again, "config", "-a", "-P").output == everything
    assert "hostname = mx.test" not in run(conf, "config", "-d").output
    assert run(conf, "config", "hostname").output == "hostname = mx.test\n"
    assert "port = 2525" in run(conf, "config", "service/smtpd").output
    assert run(conf, "config", "nothing").exit_code == 68


def test_a_broken_configuration_is_said_with_its_line(conf: Path) -> None:
    conf.write_text(read_file(str(conf)) + "hang_limit = 3\n")
    for command in (("config",), ("reload",), ("service", "status"), ("dkim", "dns", "x.test")):
        shown = run(conf, *command)
        assert shown.exit_code == 78
        line = read_file(str(conf)).count("\n")
        assert (
            f"Error in configuration file {conf} line {line}: hang_limit: Time interval"
            in shown.output
        )


def test_config_check_looks_into_the_files_that_are_named(conf: Path, tmp_path: Path) -> None:
    script = tmp_path / "data.sieve"
    script.write_text('require "foo";\n')
    before = read_file(str(conf))
    conf.write_text(f"{before}sieve_rcpt =\nsieve_route =\nsieve_data = {script}\n")
    assert run(conf, "config").exit_code == 0
    shown = run(conf, "config", "--check")
    assert shown.exit_code == 78
    assert f"{script} line 1 column 9: unknown Sieve capability 'foo'" in shown.output


@pytest.mark.parametrize(
    ("more", "line", "words"),
    [
        ("sieve_state_dict = nope", 19, "sieve_state_dict: there is no dict 'nope'"),
        ("sieve_metadata_dict = nope", 19, "sieve_metadata_dict: there is no dict 'nope'"),
        ("srs_secret_file = /no/srs", 19, "srs_secret_file: can't open /no/srs"),
        ("sieve_list staff {\n  file = /no/staff\n}", 19, "sieve_list staff: can't open /no/staff"),
    ],
)
def test_config_check_finds_what_would_end_the_sieve_service(
    conf: Path, more: str, line: int, words: str
) -> None:
    conf.write_text(f"{conf.read_text()}sieve_rcpt =\nsieve_data =\nsieve_route =\n{more}\n")
    shown = run(conf, "config", "--check")
    assert shown.exit_code == 78
    assert f"{conf} line {line}: {words}" in shown.output


def test_sieve_check_of_a_file_that_is_not_there(conf: Path, tmp_path: Path) -> None:
    shown = run(conf, "sieve", "check", str(tmp_path / "nothing"))
    assert shown.exit_code == 69
    assert "nothing: No such file or directory" in shown.output


def test_a_server_that_does_not_run(conf: Path) -> None:
    for command in (
        ("service", "status"),
        ("process", "status"),
        ("stop",),
        ("queue", "list"),
    ):
        shown = run(conf, *command)
        assert (shown.exit_code, "not running" in shown.output) == (75, True)


def test_trace_puts_one_mail_in_order(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(LOG)
    rows = json.loads(run(conf, "-f", "json", "trace", "01JABC").output)
    assert [(row["ms"], row["process"]) for row in rows] == [
        (0, "smtpd(10)"),
        (77, "sieve(11)"),
        (400, "delivery(12)"),
        (877, "smtpd(10)"),
    ]
    assert rows[1]["text"] == "Warning: Odd: id=01JABC.1"
    assert run(conf, "trace", "01JXXX").exit_code == 68


def test_trace_shows_what_each_step_took(conf: Path, tmp_path: Path) -> None:
    answered = 'Answered: id=01JABC count=1 took_ms="delivery:2.6 sieve:0.6 dkim:1.5"'
    (tmp_path / "log").write_text(f"Nov 22 07:06:31.000 smtpd(10): Info: {answered}\n")
    rows = json.loads(run(conf, "-f", "json", "trace", "01JABC").output)
    assert [(row["process"], row["text"]) for row in rows[:3]] == [
        ("sieve", "its step took 0.6 ms"),
        ("dkim", "its step took 1.5 ms"),
        ("delivery", "its step took 2.6 ms"),
    ]
    assert rows[3]["text"].startswith("Answered: count=1")


def test_a_dkim_key_is_made_kept_and_shown(conf: Path, tmp_path: Path) -> None:
    made = run(conf, "dkim", "gen", "Example.test", "-s", "s1", "-t", "ed25519")
    assert made.exit_code == 0
    path = tmp_path / "state" / "dkim" / "example.test" / "s1.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shown = run(conf, "dkim", "dns", "example.test")
    assert shown.output.startswith('s1._domainkey.example.test. IN TXT ( "v=DKIM1; k=ed25519; p=')
    assert shown.output in made.output
    again = run(conf, "dkim", "gen", "example.test", "-s", "s1")
    assert (again.exit_code, "already" in again.output) == (78, True)
    assert run(conf, "dkim", "dns", "other.test").exit_code == 68


def test_sieve_check_takes_a_folder_and_shows_warnings(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "data.sieve").write_text('if header "a b" "c" { discard; }\n')
    (tmp_path / "other.sieve").write_text("wrong\n")
    shown = run(conf, "sieve", "check", str(tmp_path))
    assert shown.exit_code == 0
    assert "data.sieve:1:11: warning: 'a b' is not a valid header field name" in shown.output
    (tmp_path / "rcpt.sieve").write_text("keep 1;\n")
    shown = run(conf, "sieve", "check", str(tmp_path))
    assert shown.exit_code == EX_DATAERR
    assert "1 of 2 scripts" in shown.output


def test_sieve_dump_lists_what_is_compiled(conf: Path, tmp_path: Path) -> None:
    file = tmp_path / "data.sieve"
    file.write_text(
        'require ["variables", "vnd.columba.lookup"];\n'
        'if anyof (lookup "local_users" "k", not true) { set :lower "a" "${b}"; }\n'
        'if header ["x", "y"] "z" { discard; }\nif false { discard; }\n'
    )
    shown = run(conf, "sieve", "dump", str(file))
    assert shown.exit_code == 0, shown.output
    assert shown.output.splitlines()[1:] == [
        "requires: variables, vnd.columba.lookup",
        '    1  require ["variables", "vnd.columba.lookup"]',
        "    2  if",
        "    2    anyof   (asks)",
        '    2      lookup "local_users" "k"   (asks)',
        "    2      not   (always false)",
        "    2        true   (always true)",
        '    2    set :lower "a" "${b}"',
        "    3  if",
        '    3    header :is :comparator "i;ascii-casemap" ["x", "y"] "z"',
        "    3    discard",
        "    4  if",
        "    4    false   (always false)",
    ]
    file.write_text("keep 1;")
    assert run(conf, "sieve", "dump", str(file)).exit_code == EX_DATAERR


def test_sieve_check_shows_line_and_column(conf: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "data.sieve", tmp_path / "route.sieve"
    good.write_text("keep;\n")
    bad.write_text("keep;\nkep;\n")
    assert run(conf, "sieve", "check", str(good)).exit_code == 0
    shown = run(conf, "sieve", "check", str(good), str(bad))
    assert shown.exit_code == 65
    assert f"{bad}:2:1" in shown.output


@pytest.mark.parametrize(
    "words",
    [
        ("dance",),
        ("queue", "delete"),
        ("queue", "delete", "--yes", ""),
        ("queue", "hold", " "),
        ("queue", "delete", "-A", "age>1h"),
        ("queue", "suspend", "age>1h"),
        ("queue", "resume"),
        ("queue", "export", "-o", "x"),
    ],
)
def test_wrong_usage(conf: Path, words: tuple[str, ...]) -> None:
    assert run(conf, *words).exit_code in (2, 64)


def test_a_query_that_cant_be_read_is_shown_with_its_place(conf: Path) -> None:
    shown = run(conf, "queue", "delete", "--yes", "sender=a AND aeg>1h")
    assert shown.exit_code == 65
    assert "no field 'aeg'" in shown.output
    assert shown.output.splitlines()[-1].index("^") == 2 + len("sender=a AND ")


def test_the_page_of_settings_names_every_service(conf: Path) -> None:
    page = run(conf, "config", "--docs").output
    assert "| `shutdown_timeout` | time | `60 secs` |" in page
    assert "## Service sieve" in page and "## inet_listener NAME { … } in a service" in page


ROW: Row = {"id": "X", "created": 1795361890, "due": None}


def test_times_of_a_queued_mail_are_shown_to_people_as_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "UTC")
        time.tzset()
        shown = readable(ROW)
    time.tzset()
    assert shown == {"id": "X", "created": "2026-11-22T15:38:10", "due": None}


@pytest.mark.parametrize(
    "command",
    [
        "auth test ann secret", "dkim dns a.test", "log errors", "queue key gen", "queue list",
        "queue store-check", "replica status", "smtp probe 127.0.0.1", "trace 01JABC",
    ],
)  # fmt: skip
def test_a_broken_configuration_is_one_line_and_78(conf: Path, command: str) -> None:
    conf.write_text(conf.read_text().replace("hostname =", "hostnam ="))
    result = run(conf, *command.split())
    assert result.exit_code == 78
    assert result.output == (
        f"columbadm: Error: Error in configuration file {conf} line 2: "
        "Unknown setting: hostnam (did you mean hostname?)\n"
    )


def test_tools_go_by_what_a_service_is_told_in_its_own_section(conf: Path) -> None:
    own = conf.with_name("own.log")
    own.write_text(LOG)
    conf.write_text(f"{conf.read_text()}service log {{\n  log_path = {own}\n}}\n")
    assert "Received" in run(conf, "trace", "01JABC").output
    conf.write_text(f"{conf.read_text()}service queue {{\n  queue_url = file:{own}.store\n}}\n")
    assert f"{own}.store" in run(conf, "queue", "store-check").output


def test_an_empty_list_says_so_to_people(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("each_page", "each_row"):
        monkeypatch.setattr(cmd_queue, name, lambda *_, **__: iter(()))
    assert run(conf, "queue", "list").output == "The queue is empty\n"
    assert run(conf, "queue", "list", "age>1h").output == "No mail is meant by that\n"
    assert run(conf, "-f", "tab", "queue", "list").output == ""
    assert run(conf, "-f", "json", "queue", "list").output == "[]\n"


def test_a_mail_in_pieces_is_the_same_wherever_it_was_cut() -> None:
    def row(octets: bytes, **more: str) -> Row:
        return {"id": "X", "chunk": base64.b64encode(octets).decode(), **more}

    body = b"one\r\ntwo\rthree\r\n\r"
    for at in range(len(body)):
        cut = [row(b"A: b\r\n\r\n", handoff="{}"), row(body[:at]), row(body[at:])]
        assert b"".join(pieces(iter([*cut, *cut]), "")) == b"A: b\n\none\ntwo\rthree\n\r"
        assert b"".join(pieces(iter(cut), "body")) == b"one\ntwo\rthree\n\r"
        assert b"".join(pieces(iter(cut), "header")) == b"A: b\n\n"
        assert b"".join(octets for _, octets in octets_of(cut)) == b"A: b\n\none\ntwo\rthree\n\r"


def names_below(group: click.Group, before: str = "") -> list[str]:
    """Return all commands as they are typed."""
    found = []
    context = click.Context(group)
    for name in group.list_commands(context):
        _, command, _ = group.resolve_command(context, [name])
        words = f"{before}{name}"
        found += names_below(command, f"{words} ") if isinstance(command, click.Group) else [words]
    return found


def test_every_command_stands_in_the_man_page_and_is_completed() -> None:
    page = (ROOT / "docs/man/columbadm.1.md").read_text()
    shell = BashComplete(columbadm, {}, "columbadm", "_COLUMBADM_COMPLETE")
    names = names_below(columbadm)
    assert "queue suspend" in names and "cluster takeover" in names
    for name in names:
        *before, last = name.split()
        assert any(f"**{words}**" in page or f"**{words} " in page for words in (name, last)), name
        assert last in [each.value for each in shell.get_completions(before, last[:2])], name
    options = [each.value for each in shell.get_completions(["queue", "delete"], "--")]
    assert {"--yes", "--all"} <= set(options)
