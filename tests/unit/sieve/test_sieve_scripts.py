"""What the service compiles, and with which settings."""

from pathlib import Path

import pytest

from columba.common.config.load import defaults
from columba.common.errors import ConfigError
from columba.sieve import tuning
from columba.sieve.files import LIST_FILE_MAX, read_lists
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.scripts import load_scripts
from columba.sieve.settings import Settings
from columba.sieve.svtest.show import Question, show

NONE = {f"sieve_{stage}": "" for stage in ("rcpt", "data", "route")}


def settings(**changed: object) -> Settings:
    return defaults(Settings, **{**NONE, **changed})


def test_scripts_include_those_beside_them(tmp_path: Path) -> None:
    (tmp_path / "data.sieve").write_text(
        'require "include"; include "common"; include :global "x.sieve";'
    )
    (tmp_path / "common.sieve").write_text('require "body"; if body :contains "x" { discard; }')
    (tmp_path / "x.sieve").write_text("keep;")
    scripts = load_scripts(settings(sieve_data=str(tmp_path / "data.sieve")), Limits(), {})
    assert scripts[Stage.DATA].reads_body


def test_what_the_check_has_read_counts_not_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "data.sieve"
    texts = {
        str(path): 'require "include"; include "common";',
        str(tmp_path / "common.sieve"): "keep;",
    }
    path.write_text("half a")
    assert Stage.DATA in load_scripts(
        settings(sieve_data=str(path), script_texts=texts), Limits(), {}
    )


def test_a_mistake_in_an_included_script_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "data.sieve").write_text('require "include"; include "common";')
    (tmp_path / "common.sieve").write_text("route :mx;")
    with pytest.raises(ConfigError, match="route"):
        load_scripts(settings(sieve_data=str(tmp_path / "data.sieve")), Limits(), {})
    with pytest.raises(ConfigError, match="can't open"):
        load_scripts(settings(sieve_data=str(tmp_path / "other.sieve")), Limits(), {})


def test_settings_become_the_options_of_extensions() -> None:
    found = tuning.options(settings())
    assert found["sieve_vacation_min_period"] == "86400"
    assert found["sieve_vacation_check_recipient"] == "yes"
    assert found["sieve_notify_max_notifications"] == "10"
    assert "recipient_delimiter" not in found


def test_external_lists_are_files(tmp_path: Path) -> None:
    (tmp_path / "staff").write_text("# people\nann@b.example\n\nbob@b.example\n")
    lists = {
        "staff": tuning.ExternalList(name=":addrbook:staff", file=str(tmp_path / "staff")),
        "tag:x": tuning.ExternalList(name="", file=str(tmp_path / "staff")),
    }
    found = read_lists(lists)
    both = frozenset({"ann@b.example", "bob@b.example"})
    assert found == {"urn:ietf:params:sieve:addrbook:staff": both, "tag:x": both}
    lost = {"lost": tuning.ExternalList(name="", file=str(tmp_path / "lost"))}
    with pytest.raises(ConfigError, match="sieve_list lost"):
        read_lists(lost)


def test_an_external_list_that_is_too_large_is_refused_not_cut(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(LIST_FILE_MAX + 1)
    huge = {"huge": tuning.ExternalList(name="", file=str(tmp_path / "huge"))}
    with pytest.raises(ConfigError, match=r"sieve_list huge: .* is larger than"):
        read_lists(huge)


def test_the_tester_finds_included_scripts_too(tmp_path: Path) -> None:
    (tmp_path / "data.sieve").write_text('require "include"; include "common";')
    (tmp_path / "common.sieve").write_text("discard;")
    shown = show(Question(script=tmp_path / "data.sieve", message=None, stage=Stage.DATA))
    assert not shown.errors
    assert shown.lines[0].startswith("1. discard")
