"""DMARC: records, the walk up the tree, alignment, and what a mail that fails is to suffer."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from columba.common.limits import DMARC_AUTHORS, DMARC_QUERIES
from columba.common.mailauth.dkim import DkimResult
from columba.common.mailauth.dmarc import (
    DmarcRecord,
    DmarcResult,
    author_domains,
    check_dmarc,
    parse_dmarc,
)
from columba.common.mailauth.result import DMARC_POLICIES, Check, Verdict
from columba.common.mailauth.spf import SpfResult
from tests.fakes.zone import Zone

PASS, FAIL, NONE = Verdict.PASS, Verdict.FAIL, Verdict.NONE
TEMPERROR = Verdict.TEMPERROR


def check(
    records: dict[str, str],
    author: str | Sequence[str] = "example.org",
    spf: tuple[Verdict, str] = (FAIL, "example.org"),
    dkim: Sequence[tuple[Verdict, str]] = (),
    zone: Zone | None = None,
) -> DmarcResult:
    """records: of _dmarc.NAME, by NAME."""
    zone = zone or Zone()
    zone.records |= {(f"_dmarc.{name}", "txt"): (text,) for name, text in records.items()}  # type: ignore[operator]

    def sent() -> Check[SpfResult]:
        yield from ()
        return SpfResult(*spf)

    def signed() -> Check[Sequence[DkimResult]]:
        yield from ()
        return [DkimResult(*each) for each in dkim]

    authors = (author,) if isinstance(author, str) else tuple(author)
    return zone.drive(check_dmarc(authors, sent, signed))


R = DmarcRecord


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("v=DMARC1; p=none", R("none", "none", "none")),
        ("v=DMARC1;p=reject;", R("reject", "reject", "reject")),
        ("v = DMARC1 ; p = Quarantine", R("quarantine", "quarantine", "quarantine")),
        ("v=DMARC1; p=reject; sp=none", R("reject", "none", "none")),
        ("v=DMARC1; p=none; sp=quarantine; np=reject", R("none", "quarantine", "reject")),
        ("v=DMARC1; adkim=s; aspf=S; p=none", R("none", "none", "none", True, True)),
        ("v=DMARC1; p=none; psd=y; t=y", R("none", "none", "none", psd="y", is_test=True)),
        ("v=DMARC1; p=reject; pct=0; fo=1; x=y", R("reject", "reject", "reject")),
        ("v=DMARC1; p=reject; p=none", R("reject", "reject", "reject")),
        ("v=DMARC1; rua=mailto:a@example.org", R("none", "none", "none")),
        ("v=DMARC1; p=bad; rua=mailto:a@example.org", R("none", "none", "none")),
        ("v=DMARC1; p=reject; sp=bad; rua=mailto:a@b", R("none", "none", "none")),
        ("v=DMARC1; p=bad", None),
        ("v=DMARC1", None),
        ("v=DMARC1; rua=nowhere", None),
        ("v=DMARC10; p=reject", None),
        ("v=dmarc1; p=reject", None),
        ("p=reject; v=DMARC1", None),
        ("", None),
        ("v=DMARC1; p=reject;" + " " * 5000, None),
    ],
)
def test_records(text: str, record: DmarcRecord | None) -> None:
    assert parse_dmarc(text) == record


REJECT = "v=DMARC1; p=reject"


@pytest.mark.parametrize(
    ("spf", "dkim", "more", "verdict"),
    [
        ((PASS, "example.org"), [], "", PASS),
        ((PASS, "mail.example.org"), [], "", PASS),
        ((PASS, "mail.example.org"), [], "; aspf=s", FAIL),
        ((PASS, "example.org"), [], "; aspf=s", PASS),
        ((PASS, "example.net"), [], "", FAIL),
        ((PASS, "other.org"), [], "", FAIL),
        ((Verdict.SOFTFAIL, "example.org"), [], "", FAIL),
        ((Verdict.NEUTRAL, "example.org"), [], "", FAIL),
        ((FAIL, "x.org"), [(PASS, "example.org")], "", PASS),
        ((FAIL, "x.org"), [(FAIL, "example.org"), (PASS, "a.b.example.org")], "", PASS),
        ((FAIL, "x.org"), [(PASS, "a.example.org")], "; adkim=s", FAIL),
        ((FAIL, "x.org"), [(PASS, "example.com"), (PASS, "org")], "", FAIL),
        ((FAIL, "x.org"), [(Verdict.POLICY, "example.org")], "", FAIL),
        ((TEMPERROR, "example.org"), [], "", TEMPERROR),
        ((TEMPERROR, "a.example.org"), [], "; aspf=s", FAIL),
        ((TEMPERROR, "evil.org"), [], "", FAIL),
        ((FAIL, "x.org"), [(TEMPERROR, "sub.example.org")], "", TEMPERROR),
        ((FAIL, "x.org"), [(TEMPERROR, "evil.org")], "", FAIL),  # no way round for strangers
        ((TEMPERROR, "example.org"), [(PASS, "example.org")], "", PASS),
    ],
)
def test_alignment(
    spf: tuple[Verdict, str], dkim: list[tuple[Verdict, str]], more: str, verdict: Verdict
) -> None:
    result = check({"example.org": REJECT + more}, spf=spf, dkim=dkim)
    assert (result.verdict, result.policy) == (verdict, "reject")


ORG = "v=DMARC1; p=reject; sp=quarantine; np=none"


@pytest.mark.parametrize(
    ("records", "author", "policy"),
    [
        ({"example.org": ORG}, "example.org", "reject"),
        ({"example.org": ORG}, "is.example.org", "quarantine"),
        ({"example.org": ORG}, "not.example.org", "none"),
        ({"example.org": ORG, "is.example.org": "v=DMARC1; p=none"}, "is.example.org", "none"),
        ({"example.org": ORG, "a.example.org": "nonsense"}, "a.b.is.example.org", "none"),
        ({"example.org": "v=DMARC1; p=reject; t=y"}, "example.org", "quarantine"),
        ({"example.org": "v=DMARC1; p=quarantine; t=y"}, "example.org", "none"),
        ({"example.org": "v=DMARC1; p=none; t=y"}, "example.org", "none"),
        ({"org": "v=DMARC1; p=reject; psd=y"}, "example.org", "reject"),
        ({"org": "v=DMARC1; p=none; psd=y; sp=reject"}, "a.example.org", "reject"),
        (
            {"b.example.org": "v=DMARC1; p=none; psd=n", "example.org": ORG},
            "a.b.example.org",
            "none",
        ),
    ],
)
def test_policy_that_holds(records: dict[str, str], author: str, policy: str) -> None:
    zone = Zone({("is.example.org", "a"): ("192.0.2.1",)})
    result = check(records, author, zone=zone)
    assert (result.verdict, result.policy) == (FAIL, policy)


def test_a_public_suffix_aligns_nobody() -> None:
    """RFC 9989 §4.10.2: psd=y makes the name one below the organizational domain."""
    suffix = {"co.test": "v=DMARC1; p=reject; psd=y"}
    assert check(suffix, "a.co.test", (PASS, "b.co.test")).verdict is FAIL
    assert check(suffix, "a.co.test", (PASS, "x.a.co.test")).verdict is PASS
    assert check(suffix, "a.co.test", (PASS, "co.test")).verdict is FAIL
    own = {"co.test": "v=DMARC1; p=reject", "a.co.test": "v=DMARC1; p=reject; psd=n"}
    assert check(own, "a.co.test", (PASS, "co.test")).verdict is FAIL


def test_who_has_no_record_is_not_judged() -> None:
    zone = Zone()
    assert check({}, "a.example.org", zone=zone) == DmarcResult(
        NONE, "a.example.org", "none", "the domain has no DMARC record"
    )
    assert zone.asked == [(f"_dmarc.{n}", "txt") for n in ("a.example.org", "example.org", "org")]


def test_two_records_are_none() -> None:
    zone = Zone({("_dmarc.example.org", "txt"): (REJECT, REJECT)})
    assert check({}, zone=zone).verdict is NONE


def test_the_walk_is_short() -> None:
    zone = Zone()
    check({}, ".".join("abcdefghijklmnop"), zone=zone)
    assert len(zone.asked) == DMARC_QUERIES
    assert zone.asked[1] == ("_dmarc.j.k.l.m.n.o.p", "txt")


@pytest.mark.parametrize("silent", ["_dmarc.a.example.org", "_dmarc.example.org", "_dmarc.org"])
def test_no_answer_is_temperror(silent: str) -> None:
    zone = Zone({}, frozenset({silent}))
    assert check({}, "a.example.org", zone=zone).verdict is TEMPERROR


def test_of_several_authors_the_worst_counts() -> None:
    records = {"good.test": REJECT, "bad.test": "v=DMARC1; p=quarantine"}
    result = check(records, ["good.test", "bad.test"], (PASS, "good.test"))
    assert (result.verdict, result.domain, result.policy) == (FAIL, "bad.test", "quarantine")
    assert check(records, ["none.test", "good.test"], (PASS, "good.test")).verdict is NONE
    many = [f"{n}.test" for n in range(DMARC_AUTHORS + 1)]
    assert check(records, many).verdict is Verdict.PERMERROR
    assert check(records, []).verdict is NONE


def test_authors_in_the_form_of_the_dns() -> None:
    domains = ["Example.ORG.", "bücher.test", "example.org", "", "a..ü"]
    assert author_domains(domains) == ("example.org", "xn--bcher-kva.test", "a..ü")
    assert check({}, "a..b").verdict is Verdict.PERMERROR


@given(st.text(max_size=80), st.text("vDMARC1=;psnrejctqua y:@.", max_size=80))
def test_any_text_is_a_record_or_none(text: str, rest: str) -> None:
    for each in (text, "v=DMARC1;" + rest, "v=DMARC1; p=none;" + text):
        found = parse_dmarc(each)
        assert found is None or {found.p, found.sp, found.np} <= set(DMARC_POLICIES)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_domains_give_a_result(author: str, other: str) -> None:
    for each in author_domains([author, other]):
        check({author: REJECT}, each, (PASS, other), [(PASS, other)])
