"""SPF: the openspf test suite for RFC 7208, and what any bytes make of records and macros."""

from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from columba.common.limits import SPF_RECORD
from columba.common.mailauth.result import Told, Verdict
from columba.common.mailauth.spf import SpfResult, check_spf
from columba.common.mailauth.spf_record import SpfRecord, SpfSyntaxError, is_spf, parse_record
from tests.fakes.zone import Zone

SUITE: Final = Path(__file__).resolve().parents[3] / "data" / "spf" / "rfc7208-tests.json"


class Case(msgspec.Struct, rename={"sender": "mailfrom"}):
    host: str
    helo: str
    sender: str
    result: str | list[str]
    explanation: str = ""


class Scenario(msgspec.Struct):
    description: str
    tests: dict[str, Case]
    zonedata: dict[str, list[str | dict[str, Any]]]


SCENARIOS: Final = msgspec.json.decode(SUITE.read_bytes(), type=list[Scenario])
CASES: Final = [(scenario, name) for scenario in SCENARIOS for name in scenario.tests]


def text_of(value: object) -> str:
    match value:
        case [int() as preference, str() as host]:
            return f"{preference} {host}"
        case list():
            return "".join(str(part) for part in value)
        case _:
            return str(value)


def entries_of(entries: list[str | dict[str, Any]]) -> list[tuple[str, str]]:
    """Return (type, text) in order. "TIMEOUT" alone is of no type; SPF becomes TXT unless there is some."""
    pairs = [
        (kind.lower(), text_of(value))
        for entry in entries
        for kind, value in (entry if isinstance(entry, dict) else {"": entry}).items()
    ]
    has_txt = any(kind == "txt" for kind, _ in pairs)
    first = [(kind, text) for kind, text in pairs if kind != "spf" and text != "NONE"]
    return first + [("txt", text) for kind, text in pairs if kind == "spf" and not has_txt]


def zone_of(scenario: Scenario) -> Zone:
    """A timeout of no type is one for all types that do not stand before it, as the suite's own driver has it."""
    records: dict[tuple[str, str], list[str]] = {}
    silent: set[tuple[str, str] | str] = set()
    aliases: dict[str, str] = {}
    for name, entries in scenario.zonedata.items():
        key, seen = name.lower(), set[str]()
        for kind, text in entries_of(entries):
            if text == "TIMEOUT":
                types = {kind} if kind else {"a", "aaaa", "mx", "ptr", "txt"} - seen
                silent |= {(key, each) for each in types}
            elif kind == "cname":
                aliases[key] = text.lower()
            else:
                records.setdefault((key, kind), []).append(text)
            seen.add(kind)
    for alias, target in aliases.items():
        for (name, kind), found in list(records.items()):
            if name == target:
                records.setdefault((alias, kind), []).extend(found)
    return Zone(records, frozenset(silent))


@pytest.mark.parametrize(("scenario", "name"), CASES, ids=[name for _, name in CASES])
def test_openspf(scenario: Scenario, name: str) -> None:
    case = scenario.tests[name]
    zone = zone_of(scenario)
    result = zone.drive(check_spf(case.host, case.sender, case.helo))
    allowed = [case.result] if isinstance(case.result, str) else case.result
    assert result.verdict.value in allowed, (result, zone.asked)
    if case.explanation not in ("", "DEFAULT"):
        assert result.explanation == case.explanation
    elif case.explanation == "DEFAULT":
        assert result.explanation == ""


def test_the_suite_is_whole() -> None:
    assert len(CASES) == 203
    assert sum(bool(s.tests[n].explanation) for s, n in CASES) > 10


def check(record: str, ip: str = "192.0.2.1", **more: tuple[str, ...]) -> SpfResult:
    records = {("d.example", "txt"): (record,)}
    records |= {tuple(key.split("__")): value for key, value in more.items()}  # type: ignore[misc]
    return Zone(records).drive(check_spf(ip, "a@d.example", "mx.d.example"))


def test_a_mapped_address_is_ipv4() -> None:
    assert check("v=spf1 ip4:192.0.2.0/24 -all", "::ffff:192.0.2.9").verdict is Verdict.PASS


@pytest.mark.parametrize("ip", ["", "unix", "fe80::1%eth0", "192.0.2.1 "])
def test_an_address_that_is_none_is_no_exception(ip: str) -> None:
    assert check("v=spf1 -all", ip).verdict in (Verdict.NONE, Verdict.FAIL)


def test_no_answer_is_temperror() -> None:
    zone = Zone({}, frozenset({"d.example"}))
    assert zone.drive(check_spf("192.0.2.1", "a@d.example", "h")).verdict is Verdict.TEMPERROR


def test_include_of_itself_ends() -> None:
    assert check("v=spf1 include:d.example -all").verdict is Verdict.PERMERROR
    assert check("v=spf1 redirect=d.example").verdict is Verdict.PERMERROR


def test_an_endless_record_is_not_read() -> None:
    with pytest.raises(SpfSyntaxError):
        parse_record("v=spf1" + " a" * SPF_RECORD)


TERMS = st.text("abcdeilmnprtx%{}dslovh:/.=-+?~ 0123456789_,r", max_size=60)


@given(st.one_of(TERMS, st.text(max_size=60)), st.text(max_size=20), st.text(max_size=20))
def test_any_record_gives_a_result(terms: str, sender: str, helo: str) -> None:
    text = "v=spf1 " + terms
    assert is_spf(text)
    try:
        assert isinstance(parse_record(text), SpfRecord)
        is_wrong = False
    except SpfSyntaxError:
        is_wrong = True
    result = check(text, "2001:db8::1")
    assert (result.verdict is Verdict.PERMERROR) >= is_wrong
    records = {("d.example", "txt"): (text,), (helo.lower(), "txt"): (text,)}
    Zone(records).drive(check_spf("192.0.2.1", sender, helo))


@given(
    st.lists(st.builds(Told, st.lists(st.text(max_size=12), max_size=3).map(tuple), st.booleans()))
)
def test_any_answers_give_a_result(answers: list[Told]) -> None:
    """Records of a broken server: what is no address or number matches nothing."""
    work = check_spf("192.0.2.1", "a@d.example", "h.example")
    next(work)
    try:
        work.send(Told(("v=spf1 a mx ptr exists:%{p}.x.example include:y.example -all",)))
        for answer in answers:
            work.send(answer)
    except StopIteration as stop:
        assert isinstance(stop.value, SpfResult)
