"""Where mail leaves from: sources and pools out of the settings, and what can be reached from them."""

from pathlib import Path

import pytest

from columba.common.errors import ConfigError
from columba.delivery.source import ANY, NoSourceError, Source, Sources, make_source
from columba.delivery.target import Endpoint
from columba.master.check.compile import compile_config

FOUR, SIX = Endpoint("mx", "192.0.2.1", 25), Endpoint("mx", "2001:db8::1", 25)
UNIX = Endpoint("", "/run/lmtp", 0)
ONE = make_source("one", ["192.0.2.10", "2001:DB8::10"], "one.test")
TWO = make_source("two", ["192.0.2.11"], "")


def sources(default: str = "") -> Sources:
    members = {"one": ONE, "two": TWO}
    return Sources(members, {"both": ["one", "two"]}, default, lambda pool: pool[-1])


def test_a_source_has_an_address_of_each_family() -> None:
    assert Source("one", "192.0.2.10", "2001:db8::10", "one.test") == ONE
    assert (ONE.address_for(FOUR.address), ONE.address_for(SIX.address)) == (ONE.ipv4, ONE.ipv6)
    for words in (["what"], ["192.0.2.1", "192.0.2.2"]):
        with pytest.raises(ConfigError, match="source x: address"):
            make_source("x", words, "")


def test_only_hosts_of_its_families_are_reached() -> None:
    assert ONE.reachable([FOUR, SIX, UNIX]) == (FOUR, SIX, UNIX)
    assert TWO.reachable([FOUR, SIX, UNIX]) == (FOUR, UNIX)
    assert ANY.reachable([FOUR, SIX]) == (FOUR, SIX) and ANY.address_for(SIX.address) == ""


def test_what_a_route_names() -> None:
    known = sources()
    assert known.draw("") is ANY and known.draw("one") is ONE and known.draw("both") is TWO
    assert known.draw("2001:db8::9") == Source("2001:db8::9", ipv6="2001:db8::9")
    assert sources("both").draw("") is TWO and known.names == {"one.test"}
    with pytest.raises(NoSourceError):
        known.draw("three")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("source a {\n  address = 192.0.2.1 x\n}\n", 3, "'x' is no address"),
        ("source a {\n  pools = b\n}\nsource b {\n}\n", 6, "a pool has the same name"),
        ("default_source = nowhere\n", 3, "no source or pool 'nowhere'"),
        ("relay_credentials = what:/x\n", 3, "relay_credentials"),
        ("relay_credentials = nowhere\n", 3, "relay_credentials"),
    ],
)
def test_a_mistake_is_found_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    config = tmp_path / "columba.conf"
    config.write_text(f"columba_config_version = 1.0\nservices = delivery\n{text}")
    with pytest.raises(ConfigError) as caught:
        compile_config(str(config))
    assert f"line {line}" in str(caught.value) and words in str(caught.value)
