"""One mail's inquiry: each check once, names in the form of the DNS."""

from columba.common.mail.header import Header
from columba.common.mailauth.inquiry import Inquiry
from columba.common.mailauth.result import Verdict
from tests.fakes.zone import Zone

ZONE = {
    ("xn--bcher-kva.test", "txt"): ["v=spf1 exists:%{l}.%{d}.list.test -all"],
    ("a.xn--bcher-kva.test.list.test", "a"): ["127.0.0.2"],
    ("_dmarc.xn--bcher-kva.test", "txt"): ["v=DMARC1; p=reject; aspf=s"],
    ("mx.test", "txt"): ["v=spf1 -all"],
}


def test_names_in_unicode_are_asked_in_ascii() -> None:
    header = Header("From: Bo <bo@Bücher.test>\r\n".encode())
    zone = Zone(ZONE)
    inquiry = Inquiry("192.0.2.1", "mx.test", "a@bücher.test", header)
    assert zone.drive(inquiry.dmarc()).verdict is Verdict.PASS
    assert inquiry.known_spf is not None
    assert inquiry.known_spf.domain == "xn--bcher-kva.test"


def test_each_check_is_made_once() -> None:
    zone = Zone(ZONE)
    inquiry = Inquiry("192.0.2.1", "mx.test", "", Header(b"From: x@mx.test\r\n"))
    assert zone.drive(inquiry.helo_spf()) is zone.drive(inquiry.spf())
    assert zone.drive(inquiry.spf()).verdict is Verdict.FAIL
    assert zone.drive(inquiry.dkim()) == ()
    assert zone.drive(inquiry.arc()) is zone.drive(inquiry.arc())
    assert zone.drive(inquiry.dmarc()) is zone.drive(inquiry.dmarc())
    assert zone.asked.count(("mx.test", "txt")) == 1
    assert len(zone.asked) == len(set(zone.asked))


def test_the_name_in_helo_is_asked_by_itself() -> None:
    zone = Zone(ZONE)
    inquiry = Inquiry("192.0.2.1", "mx.test", "a@none.test")
    assert zone.drive(inquiry.helo_spf()).verdict is Verdict.FAIL
    assert zone.drive(inquiry.spf()).verdict is Verdict.NONE
