import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from columba.common.config.general import DkimKeys, General
from columba.common.config.handed import load_settings
from columba.common.config.load import defaults, read_tree
from columba.common.config.resolve import Resolver, Schema, World
from columba.common.config.schema import Kind, named, setting
from columba.common.errors import ConfigError
from columba.common.ipc.master import ENV_SETTINGS_FD


@dataclass(frozen=True)
class Listener:
    port: int = setting(Kind.PORT, "0", "Port.")
    patience: float = setting(Kind.TIME, "10s", "Patience here.")


@dataclass(frozen=True)
class EchoSettings(General, DkimKeys):
    patience: float = setting(Kind.TIME, "10s", "Patience.")
    words: tuple[str, ...] = setting(Kind.STRLIST, "a b", "Words.")
    note: str = setting(Kind.STR, "", "A note.")
    file: str = setting(Kind.PATH, "", "A file.")
    inet_listener: dict[str, Listener] = named(Listener, "Sockets.")


@dataclass(frozen=True)
class ServiceBlock:
    limit: int = setting(Kind.UINT, "7", "Limit.")
    inet_listener: dict[str, Listener] = named(Listener, "Sockets.")


SCHEMA = Schema(General, ServiceBlock, {"echo": EchoSettings}, General)
HEAD = "columba_config_version = 1.0\n"


def resolver(folder: Path, text: str, **environ: str) -> Resolver:
    path = folder / "columba.conf"
    path.write_text(HEAD + text)
    world = World(
        environ, {"cpu_count": "4", "hostname": "mx.example"}, lambda p: Path(p).read_text()
    )
    tree = read_tree(str(path), "service echo {\n  limit = 3\n}\n")
    found = Resolver(tree.root, SCHEMA, world)
    found.check()
    return found


def error_of(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        found = resolver(folder, text)
        found.general(), found.service("echo"), found.settings("echo")
    return str(caught.value).replace(str(folder), "D")


def test_the_innermost_value_holds(tmp_path: Path) -> None:
    found = resolver(
        tmp_path,
        """
        patience = 20s
        service echo {
          patience = 30s
          inet_listener one {
            port = 25
            patience = 40s
          }
          inet_listener two {
            port = 26
          }
        }
        """,
    )
    settings = found.settings("echo")
    assert settings["patience"] == 30.0
    assert settings["inet_listener"] == {
        "one": {"port": 25, "patience": 40.0},
        "two": {"port": 26, "patience": 30.0},
    }
    assert found.service("echo")["limit"] == 3


def test_sections_merge_and_the_last_value_wins(tmp_path: Path) -> None:
    found = resolver(
        tmp_path,
        "service echo {\n  limit = 8\n}\nservice echo {\n  limit = 9\n  patience = 1s\n}\n"
        "dkim a.example {\n selector = x\n}\ndkim a.example {\n key_file = k.pem\n}\n",
    )
    assert found.service("echo")["limit"] == 9
    assert found.settings("echo")["dkim"] == {
        "a.example": {"selector": "x", "key_file": f"{tmp_path}/k.pem"}
    }


def test_variables(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("from a file\n")
    found = resolver(
        tmp_path,
        "hostname = $ENV:HOST\nwords = $SET:words c\nwords = $SET:words d $ENV:NONE\n"
        "note = <note.txt\nstate_dir = /s\nservice echo {\n  limit = %{system:cpu_count}\n}\n",
        HOST="h.example",
    )
    assert found.general()["hostname"] == "h.example"
    assert found.general()["spool_dir"] == "/s/spool"
    assert found.general()["postmaster_address"] == "postmaster@h.example"
    assert found.settings("echo")["words"] == ["c", "d"]
    assert found.settings("echo")["note"] == "from a file\n"
    assert found.service("echo")["limit"] == 4


def test_a_section_of_another_service_can_be_named(tmp_path: Path) -> None:
    found = resolver(tmp_path, "note = $SET:service/echo/limit of them\nhostname = $SET:hostname\n")
    assert found.settings("echo")["note"] == "3 of them"
    assert found.general()["hostname"] == ""


def test_includes(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "b.conf").write_text("note = b\n")
    (tmp_path / "conf.d" / "a.conf").write_text("note = a\npatience = 3s\nfile = x.pem\n")
    text = "!include conf.d/*.conf\n!include_try none.conf\n!include conf.d/{a,b}.conf\n"
    settings = resolver(tmp_path, text).settings("echo")
    assert (settings["note"], settings["patience"]) == ("b", 3.0)
    assert settings["file"] == f"{tmp_path}/conf.d/x.pem"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\nlog_deb = yes", "line 3: Unknown setting: log_deb (did you mean log_debug?)"),
        ("zzz = 1", "line 2: Unknown setting: zzz"),
        ("servic x {\n}", "line 2: Unknown section name: servic (did you mean service?)"),
        ("service {\n}", "line 2: service { } is missing section name"),
        (
            "service echo {\n  limits = 1\n}",
            "line 3: Unknown setting: limits (did you mean limit?)",
        ),
        (
            "service echo {\n  limit = many\n}",
            "line 3: limit: Invalid number many: Not a valid number",
        ),
        ("hostname x {\n}", "line 2: hostname is a setting: write hostname = VALUE"),
        ("dkim = x", "line 2: dkim is a section: write dkim NAME {"),
        ("inet_listener x {\n}", "line 2: Unknown section name: inet_listener"),
        ("shutdown_timeout = 10", "line 2: shutdown_timeout: Time interval '10' is missing units"),
        ("note = <gone.txt", "line 2: note: Can't open file D/gone.txt: No such file or directory"),
        ("note = $SET:nothing", "line 2: Unknown variable: $SET:nothing"),
        ("note = $SET:file\nfile = $SET:note", "Chained $SET:note loops back to itself"),
        ("}", "line 2: Unexpected '}'"),
        ("service echo {\n", "Missing '}' (section service started at D/columba.conf:2)"),
        ("!include none/*.conf", "line 2: !include none/*.conf: No matches"),
        ("!include columba.conf", "Recursive include file: D/columba.conf"),
        ("columba_config_version = 2.0", "line 2: Invalid columba_config_version"),
    ],
)
def test_errors_say_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    message = error_of(tmp_path, text)
    assert message.startswith("D/columba.conf") and words in message


@pytest.mark.parametrize("text", ["", "hostname = x\ncolumba_config_version = 1.0", "dkim x {\n}"])
def test_the_version_comes_first(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.conf").write_text(text)
    with pytest.raises(ConfigError, match="The first setting must be columba_config_version"):
        read_tree(str(tmp_path / "x.conf"))


def test_an_ambiguous_comment_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_text(HEAD + "hostname = x#y\n")
    assert "line 2: Ambiguous '#'" in read_tree(str(tmp_path / "x.conf")).warnings[0]


def test_a_service_reads_its_settings_from_a_memfd(tmp_path: Path) -> None:
    values = resolver(tmp_path, "patience = 2s").settings("echo")
    fd = os.memfd_create("settings")
    try:
        os.write(fd, json.dumps(values).encode())
        for _ in range(2):
            settings = load_settings(EchoSettings, {ENV_SETTINGS_FD: str(fd)})
            assert (settings.patience, settings.words) == (2.0, ("a", "b"))
    finally:
        os.close(fd)
    with pytest.raises(ConfigError, match="started by columba"):
        load_settings(EchoSettings, {})


def test_defaults_for_tools() -> None:
    settings = defaults(EchoSettings, patience=0.5)
    assert (settings.patience, settings.base_dir) == (0.5, "/run/columba")
    assert settings.spool_dir == "/var/lib/columba/spool"
