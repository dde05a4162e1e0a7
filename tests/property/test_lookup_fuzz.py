"""Any text is a table or a ConfigError; any key has an answer; addresses survive rewriting."""

import contextlib

from hypothesis import example, given
from hypothesis import strategies as st

from columba.common.errors import ConfigError, UnavailableError
from columba.common.lookup.aliases import parse_aliases
from columba.common.lookup.cidr import parse_networks
from columba.common.lookup.lines import logical_lines, parse_lines
from columba.common.lookup.regexp import parse_patterns
from columba.common.lookup.socketmap import netstring, read_reply, take_netstring
from columba.common.lookup.tcp_table import quoted, read_line
from columba.common.lookup.template import parse_query, parse_template
from columba.common.mail.srs import Srs
from columba.sieve.ext.columba_dnsbl import list_name, parse_list
from columba.sieve.ext.columba_ratelimit import parse_rate

LINES = st.text(alphabet=st.sampled_from('ab/!$1(){}[]|:@.,\\"# \n\tif0192.:/-+*?'), max_size=120)
NOW_S = 1_700_000_000.0
LOCAL = st.text(alphabet="abcXYZ019.=+-_", min_size=1, max_size=40)
DOMAIN = st.from_regex(r"[a-z]{1,10}(\.[a-z]{1,10}){1,2}", fullmatch=True)


def include(path: str) -> str:
    raise FileNotFoundError(path)


@given(LINES, st.text(max_size=40))
def test_any_text_is_a_table_or_a_configuration_error(text: str, key: str) -> None:
    for parse in (
        lambda: parse_networks(logical_lines(text), "f"),
        lambda: parse_patterns(logical_lines(text), "f"),
        lambda: parse_aliases(logical_lines(text), "f", include),
    ):
        with contextlib.suppress(ConfigError):
            table = parse()
            with contextlib.suppress(UnavailableError):
                assert table.find(key) is None or isinstance(table.find(key), str)
    with contextlib.suppress(ConfigError):
        parse_lines(text, "f")


@given(
    st.text(alphabet=st.sampled_from("%{}|user domain lower' x"), max_size=60), st.text(max_size=20)
)
def test_a_key_never_becomes_part_of_a_query(text: str, key: str) -> None:
    with contextlib.suppress(ConfigError):
        query = parse_query(text, lambda n: f"${n}")
        assert query.text.count("$") == len(query.parameters)
        values = query.values(key)
        assert values is None or len(values) == len(query.parameters)
    with contextlib.suppress(ConfigError):
        marked = parse_template(text).fill(key, lambda part: f"<{len(part)}>")
        assert marked is None or isinstance(marked, str)


@given(st.binary(max_size=60))
def test_any_reply_is_an_answer_or_an_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        take_netstring(data)
    for read in (read_reply, read_line):
        with contextlib.suppress(UnavailableError):
            read(data)


@given(st.binary(max_size=200))
def test_what_is_quoted_comes_back(data: bytes) -> None:
    assert take_netstring(netstring(data)) == (data, len(netstring(data)))
    line = b"200 " + quoted(data)
    assert b"\n" not in line
    assert read_line(line) == data.decode("utf-8", "replace")


@given(LOCAL, DOMAIN, st.integers(0, 21))
def test_a_rewritten_address_comes_back_in_time(local: str, domain: str, days: int) -> None:
    srs, address = Srs((b"a secret",)), f"{local}@{domain}"
    made = srs.forward(address, "ours.example", NOW_S)
    assert made is not None
    assert made.endswith("@ours.example")
    assert srs.reverse(made, NOW_S + days * 86400) == address
    again = srs.forward(made, "second.example", NOW_S)
    assert again is not None
    assert srs.reverse(again, NOW_S) == made


@given(st.text(max_size=80))
def test_nothing_but_our_own_is_reversed(text: str) -> None:
    srs = Srs((b"a secret",))
    assert srs.reverse(text, NOW_S) is None
    assert srs.reverse(f"SRS0={text}@x", NOW_S) is None
    assert srs.reverse(f"SRS1={text}@x", NOW_S) is None


@given(st.sampled_from(["", "SRS0", "SRS1", "srs1="]), st.text('=+-@aS01"\r', max_size=20))
@example("SRS1", "=a=b")
@example("", '"a b"')
def test_any_sender_is_rewritten_or_not(kind: str, text: str) -> None:
    srs = Srs((b"a secret",))
    made = srs.forward(f"{kind}{text}@x.example", "ours.example", NOW_S)
    assert made is None or made.endswith("@ours.example")
    assert made is None or srs.reverse(made, NOW_S) is not None


@given(st.text(max_size=60))
def test_any_text_is_a_list_a_rate_or_none(text: str) -> None:
    made = parse_list(text)
    assert made is None or (made.zone and len(made.octets) == 4)
    rate = parse_rate(text)
    assert rate is None or rate[1] > 0
    name = list_name(text, "bl.example")
    assert not name or name.endswith(".bl.example")
