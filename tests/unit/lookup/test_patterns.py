"""Files of networks, patterns and aliases, and queries with a place for the key."""

from pathlib import Path

import pytest

from columba.common.config.general import LookupTable
from columba.common.config.load import defaults
from columba.common.errors import ConfigError, UnavailableError
from columba.common.lookup.aliases import Aliases, parse_aliases
from columba.common.lookup.cidr import Networks, parse_networks
from columba.common.lookup.lines import logical_lines
from columba.common.lookup.open import check_table, open_table
from columba.common.lookup.regexp import Patterns, parse_patterns
from columba.common.lookup.tables import CHECK_S, FileTable
from columba.common.lookup.template import parse_query, parse_template
from columba.common.off_loop import OffLoop


def networks(text: str) -> Networks:
    return parse_networks(logical_lines(text), "f")


def patterns(text: str) -> Patterns:
    return parse_patterns(logical_lines(text), "f")


def aliases(text: str, files: dict[str, str] | None = None) -> Aliases:
    def include(path: str) -> str:
        if path not in (files or {}):
            raise FileNotFoundError(path)
        return (files or {})[path]

    return parse_aliases(logical_lines(text), "f", include)


def test_the_first_network_that_fits() -> None:
    table = networks(
        "# ours\n192.0.2.7 one\n192.0.2.0/24  ours\n192.0.2.0/25 never\n2001:db8::/32 six\n0.0.0.0/0 all\n"
    )
    found = [
        table.find(key)
        for key in ("192.0.2.7", "192.0.2.8", "2001:db8::9", "8.8.8.8", "::1", "ann")
    ]
    assert found == ["one", "ours", "six", "all", None, None]
    assert table.find("::ffff:192.0.2.8") == "ours"


def test_a_part_of_a_key_matches_nothing() -> None:
    """A key so long that its tail would be cut off must not end as a friend's does."""
    table = patterns("/@own\\.example$/ ours\n!/evil/ clean\n")
    assert table.find("x" * 4084 + "@own.example" + "@evil.example") is None
    assert table.find("x" * 4084 + "@own.example") == "ours"


@pytest.mark.parametrize("text", ["192.0.2.1/24 x", "mail x", "!192.0.2.0/24 x", "if 192.0.2.0/24"])
def test_what_is_no_network_names_its_line(text: str) -> None:
    with pytest.raises(ConfigError, match="f line 2:"):
        networks(f"\n{text}\n")


def test_the_first_pattern_that_matches() -> None:
    table = patterns(
        "/^postmaster@/ root\n"
        "/^(.+)\\+(.*)@(own\\.example)$/ ${1}@$3 detail=$(2) $$\n"
        "/^CASE@/i exact\n"
        "if /@other\\.example$/\n"
        "!/^ann@/ nobody\n"
        "endif\n"
        "/  two blanks/ two\n"
    )
    assert table.find("Postmaster@own.example") == "root"
    assert table.find("ann+lists@own.example") == "ann@own.example detail=lists $"
    assert [table.find("case@x"), table.find("CASE@x")] == [None, "exact"]
    assert [table.find("bob@other.example"), table.find("ann@other.example")] == ["nobody", None]
    assert [table.find("a  two blanks"), table.find("a two blanks")] == ["two", None]


@pytest.mark.parametrize(
    "text", ["/(/ x", "/a/z x", "/a/ $1", "!/(a)/ $1", "endif", "/(a)\\1/ x", "nothing", "/a"]
)
def test_a_wrong_pattern_names_its_line(text: str) -> None:
    with pytest.raises(ConfigError, match="f line 2:"):
        patterns(f"/x/ y\n{text}\n")


def test_an_if_needs_its_end() -> None:
    with pytest.raises(ConfigError, match="if without endif"):
        patterns("if /a/\n/b/ c\n")


def test_patterns_take_linear_time() -> None:
    assert patterns("/^(a+)+$/ x\n").find("a" * 4000 + "b") is None


def test_aliases() -> None:
    table = aliases(
        'Postmaster: root\nroot: ann@own.example,\n  bob@own.example\n"odd name": \\carl, "d d"@x.example\n'
        "list: :include:/l\n",
        {
            "/l": "# members\none@x.example\ntwo@x.example, three@x.example\n:include:/m\n",
            "/m": "four@x.example\n",
        },
    )
    assert table.find("POSTMASTER") == "root"
    assert table.find("root") == "ann@own.example, bob@own.example"
    assert table.find("odd name") == 'carl, "d d"@x.example'
    assert table.find("list") == "one@x.example, two@x.example, three@x.example, four@x.example"
    assert table.find("nobody") is None
    assert table.mistakes == ()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("|/usr/bin/procmail", "commands are not run"),
        ('"|/usr/bin/prog -a, b"', "commands are not run"),
        ("ann@x, |prog", "commands are not run"),
        ("/var/mail/ann", "not appended to files"),
        (":include:relative", "absolute path"),
        (":include:/none", "/none"),
        (":include:/loop", "may not include itself"),
        (":include:/commands", "commands are not run"),
        ("", "no addresses"),
        (", ,", "no addresses"),
        (", ann@x", "no list of addresses"),
    ],
)
def test_what_an_alias_may_not_do_is_said_when_it_is_asked_for(value: str, why: str) -> None:
    table = aliases(f"good: ann@x\nbad: {value}\n", {"/loop": ":include:/loop", "/commands": "|x"})
    assert table.find("good") == "ann@x"
    with pytest.raises(UnavailableError, match=why):
        table.find("bad")
    assert [error.line for error in table.mistakes] == [2]


@pytest.mark.parametrize("text", ["no colon", "a: b\nA: c", ": x"])
def test_a_line_that_is_no_alias_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError):
        aliases(text)


async def test_what_aliases_include_is_watched_too(tmp_path: Path) -> None:
    members, path = tmp_path / "members", tmp_path / "aliases"
    members.write_text("one@x\n")
    path.write_text(f"list: :include:{members}\n")
    off_loop = OffLoop(1, "t")
    table = open_table("t", defaults(LookupTable, url=f"aliases:{path}"), off_loop)
    assert isinstance(table, FileTable)
    assert await table.get("list", 5) == "one@x"
    assert table.peek("list") == "one@x"
    members.write_text("one@x\ntwo@x\n")
    table._checked_s -= CHECK_S
    assert await table.get("list", 5) == "one@x, two@x"
    off_loop.close()


def test_the_check_names_the_line_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "aliases"
    path.write_text("a: b@x\nc: |d\n")
    with pytest.raises(ConfigError, match=r"aliases line 2: alias c: commands"):
        check_table("t", defaults(LookupTable, url=f"aliases:{path}"))
    path.write_text("/a/ b\n/(/ c\n")
    with pytest.raises(ConfigError, match="line 2: this pattern"):
        check_table("t", defaults(LookupTable, url=f"regexp:{path}"))
    check_table("t", defaults(LookupTable, url=f"regexp:{tmp_path}/later"))


def test_a_template_takes_parts_of_the_key() -> None:
    template = parse_template("%{user}|%{key | username | upper}|%{user|domain}|100%%")
    assert template.fill("ann@Own.example") == "ann@Own.example|ANN|Own.example|100%"
    assert template.fill("ann") is None
    assert (
        parse_template("(uid=%{user})").fill("a*b", lambda k: k.replace("*", "\\2a"))
        == "(uid=a\\2ab)"
    )


def test_a_query_has_parameters() -> None:
    text = "select '100%%', '%%' from t where a = '%{user}' and b like 'it''s/%{user | domain}%%' and c = %{user|lower}"
    query = parse_query(text, lambda n: f"${n}")
    assert query.text == "select '100%', '%' from t where a = $1 and b like $2 and c = $3"
    assert query.values("Ann@x") == ("Ann@x", "it's/x%", "ann@x")
    assert query.values("ann") is None


@pytest.mark.parametrize("text", ["select 1", "", "%{password}", "%{user | rot13}", "%{}"])
def test_a_query_without_the_key_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_query(text, lambda n: "?")
