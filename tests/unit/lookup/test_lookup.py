"""Tables: what they find, what they refuse, and that not answering is never "not found"."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from columba.common.config.general import LookupTable
from columba.common.config.load import defaults
from columba.common.errors import ConfigError, UnavailableError
from columba.common.lookup.lines import parse_inline, parse_lines, parse_passwd
from columba.common.lookup.open import open_table, open_tables
from columba.common.lookup.tables import CHECK_S, FileTable, Include, Mapped
from columba.common.off_loop import OffLoop


def settings(url: str, query: str = "") -> LookupTable:
    return defaults(LookupTable, url=url, query=query)


def test_lines_have_comments_continuations_and_empty_values() -> None:
    text = "# head\nAnn@Example.org  ann\n\nteam a@x,\n   b@x\n  # not a value\nlone\n"
    assert parse_lines(text, "f") == {"ann@example.org": "ann", "team": "a@x, b@x", "lone": ""}


async def test_a_file_is_read_once_for_all_who_wait(tmp_path: Path) -> None:
    """Each reader of a large table costs its whole size in memory."""
    (tmp_path / "t").write_text("a 1\n")
    reads: list[str] = []

    def parse(text: str, file: str, include: Include) -> Mapped:
        reads.append(file)
        time.sleep(0.05)
        return Mapped({"a": "1"})

    off_loop = OffLoop(4, "t")
    table = FileTable(tmp_path / "t", parse, off_loop)
    assert await asyncio.gather(*[table.get("a", 5) for _ in range(8)]) == ["1"] * 8
    assert len(reads) == 1
    off_loop.close()


def test_a_double_key_names_its_line() -> None:
    with pytest.raises(ConfigError, match="f line 3: The key 'A' is given twice"):
        parse_lines("a 1\nb 2\nA 3\n", "f")


def test_users_of_a_passwd_file() -> None:
    text = "# users\nann:{PLAIN}x:1:1::/home/ann::\nbob:y\n"
    assert parse_passwd(text, "f") == {"ann": "/home/ann", "bob": ""}


def test_inline_entries() -> None:
    assert parse_inline("a=1, B ,c=x=y") == {"a": "1", "b": "", "c": "x=y"}


async def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text("a 1\n")
    off_loop = OffLoop(1, "t")
    table = open_table("t", settings(f"file:{path}"), off_loop)
    assert isinstance(table, FileTable)
    assert await table.get("A", 5) == "1"
    path.write_text("a 22\n")
    table._checked_s -= CHECK_S
    assert await table.get("a", 5) == "22"
    assert await table.get("b", 5) is None
    off_loop.close()


@pytest.mark.parametrize("spoil", ["remove", "double", "latin"])
async def test_a_file_that_is_spoilt_is_unavailable_not_empty(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "t"
    path.write_text("a 1\n")
    off_loop = OffLoop(1, "t")
    table = open_table("t", settings(f"file:{path}"), off_loop)
    assert isinstance(table, FileTable)
    assert await table.get("a", 5) == "1"
    match spoil:
        case "remove":
            os.unlink(path)
        case "double":
            path.write_text("a 1\na 2\n")
        case _:
            path.write_bytes(b"\xff 1\n")
    for _ in range(2):
        table._checked_s -= CHECK_S
        with pytest.raises(UnavailableError):
            await table.get("a", 5)
    path.write_text("a 5\n")
    table._checked_s -= CHECK_S
    assert await table.get("a", 5) == "5"
    off_loop.close()


@pytest.mark.parametrize(
    "url",
    [
        "file:relative",
        "cidr:x",
        "ldap://x",
        "",
        "inline:a,a",
        "sqlite:x",
        "sqlite:/x",
        "pgsql://host",
        "mysql://host",
        "redis://host/zero",
        "redis+unix:x",
        "socketmap:inet:host:name",
        "socketmap:unix:/path",
        "tcp:host",
        "userdb:socket",
    ],
)
def test_a_wrong_url_is_a_configuration_error(url: str) -> None:
    off_loop = OffLoop(1, "t")
    with pytest.raises(ConfigError):
        open_tables({"t": settings(url)}, off_loop)
    off_loop.close()
