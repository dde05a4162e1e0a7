"""Run the .svtest files, and hold the report and exit codes of columba-sieve-test."""

import subprocess
import sys
from pathlib import Path

import pytest

from columba.sieve.svtest.runner import FileResult, report_lines, run_file

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "tests" / "sieve"
FILES = sorted(FOLDER.glob("*.svtest"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_case_passes(path: Path) -> None:
    result = run_file(path)
    assert result.cases
    assert result.exit_code == 0, "\n".join(report_lines(result))


def failing(name: str) -> FileResult:
    return run_file(FOLDER / "failing" / name)


def test_failures_are_reported_with_their_reasons() -> None:
    result = failing("each_fails.svtest")
    assert report_lines(result)[:-1] == [
        "not ok 1 - fails # on purpose",
        "not ok 2 -  # also",
    ]
    assert result.exit_code == 1
    assert result.is_all_failed


def test_a_runtime_error_abandons_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    result = failing("abandoned.svtest")
    lines = report_lines(result)
    assert lines[0] == "ok 1 - passes"
    assert lines[1] == "not ok 2 - stops the file # not reached: boom"
    assert lines[2] == "not ok 3 - not reached # not reached: boom"
    assert lines[3].endswith("total=3 passed=1 failed=2 aborted=yes")
    assert result.exit_code == 2
    assert "abandoned.svtest:4:" in capsys.readouterr().err


def test_a_broken_file_lists_its_cases(capsys: pytest.CaptureFixture[str]) -> None:
    result = failing("broken.svtest")
    assert [line.split(" # ")[0] for line in report_lines(result)[:-1]] == [
        "not ok 1 - one",
        "not ok 2 - two",
    ]
    assert result.exit_code == 2
    assert "unknown command 'unknown_command'" in capsys.readouterr().err


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tool as a program from another directory."""
    return subprocess.run(
        [sys.executable, "-m", "columba.sieve.svtest", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_runs_a_file_from_anywhere(tmp_path: Path) -> None:
    path = str(FOLDER / "testsuite.svtest")
    done = command(tmp_path, "--testsuite", path)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[0] == "ok 1 - the default message"
    assert done.stdout.splitlines()[-1].startswith(f"RESULT file={path} total=")
    each = str(FOLDER / "failing" / "each_fails.svtest")
    assert command(tmp_path, "--testsuite", "--expect-failure", each).returncode == 0
    assert command(tmp_path, "--testsuite", "--expect-failure", path).returncode == 1
    assert command(tmp_path, "--testsuite", "none.svtest").returncode == 64
    assert command(tmp_path, "--no-such-option").returncode == 64
    assert list(tmp_path.iterdir()) == []


def test_the_command_shows_what_a_script_does(tmp_path: Path) -> None:
    script, message = tmp_path / "a.sieve", tmp_path / "mail"
    script.write_text(
        'require ["fileinto", "copy"];\n'
        'if header :contains "subject" "hi" {\n  fileinto :copy "greetings";\n}\n'
    )
    message.write_text("From: a@b.example\nSubject: Oh hi\n\nx\n")
    done = command(tmp_path, "-t", "a.sieve", "mail")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert '     2: header :contains on ["Oh hi"] with ["hi"]' in lines
    assert "     2: header test: true" in lines
    assert lines[-2:] == [
        "1. store mailbox='greetings' is_copy=True   (a.sieve:3:3)",
        "the message is kept",
    ]
    rcpt = str(ROOT / "etc" / "sieve" / "rcpt.sieve")
    table = ("--lookup", "local_domains:b.example=")
    done = command(tmp_path, "--stage", "rcpt", "--recipient", "x@far.example", *table, rcpt)
    assert "1. reply code=550 enhanced='5.7.1' lines=('Relaying denied',)" in done.stdout
    script.write_text("keep\n")
    done = command(tmp_path, "a.sieve", "mail")
    assert done.returncode == 65
    assert "a.sieve:2:1: error: expected ';'" in done.stderr


def test_the_command_pretends_what_a_script_asks_and_shows_what_would_last(tmp_path: Path) -> None:
    (tmp_path / "a.sieve").write_text(
        'require ["variables", "vnd.columba.callout", "vnd.columba.dict", "vnd.columba.dnsbl", "vnd.columba.smtp"];\n'
        'dict_set :expires 60 "default" "k" "v";\ndict_increment "default" "n";\ndict_delete "default" "old";\n'
        'if dict_get :as "seen" "counts" "x" { }\n'
        'if not callout :mx :recipient "gone@x.example" { set "gone" "yes"; }\n'
        'if dnsbl :as "by" "bl.example" { reply "554 5.7.1 ${by}"; }\n'
    )
    pretended = (
        "columba_dns/a/1.2.0.192.bl.example=127.0.0.2",
        "columba_dict/counts/x=7",
        "columba_hop/gone@x.example=550 5.1.1 no",
    )
    options = [word for setting in pretended for word in ("--pretend", setting)]
    done = command(tmp_path, "--stage", "rcpt", *options, "a.sieve")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "1. reply code=554 enhanced='5.7.1' lines=('bl.example=127.0.0.2',)   (a.sieve:7:34)",
        "   when it is accepted: dict default, 'k' is set to 'v', for 60 s",
        "   when it is accepted: dict default, 'n' grows by 1",
        "   when it is accepted: dict default, 'old' is removed",
        "   ${by} = 'bl.example=127.0.0.2'",
        "   ${gone} = 'yes'",
        "   ${seen} = '7'",
    ]
    assert command(tmp_path, "--pretend", "nothing", "a.sieve").returncode == 64
