"""Which keys sign what (promises §14)."""

import msgspec
import pytest

from columba.common.ipc import wire
from columba.common.mail.header import Header
from columba.delivery.signer.choose import (
    Chosen,
    NoKey,
    a_label,
    choose,
    default_domain,
    from_domains,
)
from columba.delivery.signer.keys import KeyRing, KeyType, generate

RING = KeyRing(
    generate(domain, selector, KeyType.ED25519)
    for domain, selector in (
        ("example.org", "a"),
        ("example.org", "b"),
        ("example.net", "a"),
        ("xn--grn-ioa.example", "a"),
    )
)


BASE = wire.Handoff(
    id="01ARZ3NDEKTSV4RRFFQ69G5FAV",
    step="dkim",
    deadline_ns=1,
    recipients=(),
    envelope=wire.Envelope(sender=b""),
    client=wire.Client(),
    body=wire.Body(),
)


def handoff(kind: str, sign: tuple[wire.Sign, ...] = ()) -> wire.Handoff:
    return msgspec.structs.replace(BASE, kind=kind, sign=sign)


def names(
    kind: str, header: str, sign: tuple[wire.Sign, ...] = (), default: str = "example.net"
) -> list[str]:
    chosen = choose(handoff(kind, sign), Header(header.encode()), RING, default)
    assert isinstance(chosen, Chosen)
    return [f"{key.domain}/{key.selector}" for key in chosen.keys]


def refusal(kind: str, header: str, sign: tuple[wire.Sign, ...] = (), default: str = "") -> NoKey:
    chosen = choose(handoff(kind, sign), Header(header.encode()), RING, default)
    assert isinstance(chosen, NoKey)
    return chosen


def test_submitted_mail_is_signed_by_its_author() -> None:
    assert names("submitted", "From: X <x@Example.ORG>\r\n") == ["example.org/a", "example.org/b"]
    assert names("submitted", "From: x@example.net, y@example.org\r\n")[0] == "example.net/a"
    assert names("submitted", "From: x@grün.example\r\n") == ["xn--grn-ioa.example/a"]


@pytest.mark.parametrize(
    "header",
    ["From: x@other.example\r\n", "From: x@sub.example.org\r\n", "To: x@example.org\r\n", "From: nobody:;\r\n",
     "From: x@example.org, y@other.example\r\n", "From: x@example.org\r\nFrom: y@other.example\r\n"],
)  # fmt: skip
def test_submitted_mail_of_no_key_is_refused_for_good(header: str) -> None:
    no_key = refusal("submitted", header, default="example.net")
    assert no_key.is_final
    assert (no_key.why.code, no_key.why.enhanced) == (550, "5.7.1")


def test_received_mail_is_never_signed_by_its_from_domain() -> None:
    assert names("received", "From: x@example.org\r\n") == ["example.net/a"]
    assert names("received", "") == ["example.net/a"]
    assert not refusal("received", "From: x@example.org\r\n").is_final
    assert refusal("received", "", default="other.example").why.code == 451


def test_generated_mail_is_signed_by_its_author_or_by_default() -> None:
    assert names("generated", "From: x@example.org\r\n")[0] == "example.org/a"
    assert names("generated", "From: x@other.example\r\n") == ["example.net/a"]
    assert not refusal("generated", "From: x@other.example\r\n").is_final


def test_the_wish_of_policy_comes_first() -> None:
    both = (wire.Sign(domain="Example.net"), wire.Sign(domain="example.org", selector="B"))
    assert names("submitted", "From: x@other.example\r\n", both) == [
        "example.net/a",
        "example.org/b",
    ]
    other = (wire.Sign(domain="other.example"),)
    assert not refusal("submitted", "From: x@example.org\r\n", other).is_final
    own = refusal("submitted", "From: x@other.example\r\n", other)
    assert own.is_final and own.why.code == 550, "as without the wish"
    assert not refusal("received", "From: x@other.example\r\n", other).is_final
    assert refusal("received", "", (wire.Sign(domain="example.org", selector="z"),)).why.code == 451


def test_domains_of_the_authors() -> None:
    header = Header(b"From: a@B.example, c@d.example, e@b.example\r\nfrom: g: x@y.example;\r\n")
    assert from_domains(header) == ("b.example", "d.example", "y.example")
    assert a_label("x" * 70 + "ü") == "x" * 70 + "ü"


def test_a_domain_is_never_taken_for_another_of_the_older_idna() -> None:
    # RFC 5891: ß is a letter of its own; the IDNA of 2003 made another domain of it.
    assert a_label("Straße.example.") == "xn--strae-oqa.example"


def test_the_default_domain() -> None:
    domains = ("example.org", "example")
    assert default_domain("Other.example", "mx.example.org", domains) == "other.example"
    assert default_domain("", "mx.a.Example.org", domains) == "example.org"
    assert default_domain("", "mx.other.example", domains) == ""
    assert default_domain("", "localhost", ("localhost",)) == "localhost"
