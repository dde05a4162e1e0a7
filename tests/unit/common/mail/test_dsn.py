"""Notifications, read back by the standard library's parser."""

import dataclasses
import email
import email.message
import email.policy

from hypothesis import given
from hypothesis import strategies as st

from columba.common.mail.compose import Written
from columba.common.mail.dsn import Action, Fate, Report, write_dsn
from columba.common.mail.header import Header
from tests.fakes.headers import is_well_formed

HEADER = Header(
    b"From: a@example.org\r\nTo: b@example.net\r\nSubject: hi\r\nMessage-ID: <1@example.org>\r\n"
)
FAILED = Fate("b@example.net", Action.FAILED, "5.1.1", "550 5.1.1 no such user", "mx.example.net",
              "rfc822;B@example.net", 60.0)  # fmt: skip
REPORT = Report("01ABC", "mail.example.org", 0.0, "a@example.org", (FAILED,), HEADER,
                arrived_s=1.0, envid="Q1")  # fmt: skip


def parts(written: Written) -> list[email.message.Message]:
    mail = email.message_from_bytes(written.header.raw + b"\r\n" + written.body)
    assert not mail.defects
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "delivery-status"
    return [part for part in mail.get_payload() if isinstance(part, email.message.Message)]


def groups(part: email.message.Message) -> list[dict[str, str]]:
    assert part.get_content_type() == "message/delivery-status"
    return [
        dict(group.items())
        for group in part.get_payload()
        if isinstance(group, email.message.Message)
    ]


def test_a_failure() -> None:
    written = write_dsn(REPORT)
    human, status, returned = parts(written)
    assert written.header.text("To") == "a@example.org"
    assert written.header.text("From") == "Mail Delivery System <MAILER-DAEMON@mail.example.org>"
    assert written.header.text("Auto-Submitted") == "auto-replied"
    assert written.header.text("Message-ID") == "<01ABC@mail.example.org>"
    assert written.header.text("In-Reply-To") == "<1@example.org>"
    assert human.get_content_type() == "text/plain"
    assert "mx.example.net said: 550 5.1.1 no such user" in human.as_string()
    assert groups(status) == [
        {"Original-Envelope-Id": "Q1", "Reporting-MTA": "dns; mail.example.org",
         "Arrival-Date": "Thu, 1 Jan 1970 00:00:01 +0000"},
        {"Original-Recipient": "rfc822; B@example.net", "Final-Recipient": "rfc822; b@example.net",
         "Action": "failed", "Status": "5.1.1", "Remote-MTA": "dns; mx.example.net",
         "Diagnostic-Code": "smtp; 550 5.1.1 no such user",
         "Last-Attempt-Date": "Thu, 1 Jan 1970 00:01:00 +0000"},
    ]  # fmt: skip
    assert returned.get_content_type() == "text/rfc822-headers"
    assert HEADER.raw in written.body
    assert not written.is_8bit
    assert write_dsn(REPORT) == written


def test_a_delay_and_a_full_mail() -> None:
    later = Fate("c@example.net", Action.DELAYED, "4.4.1", "", "", "", 0.0, 3600.0)
    report = dataclasses.replace(REPORT, fates=(later,), body=b"text\r\n.\r\nno end")
    written = write_dsn(report)
    human, status, returned = parts(written)
    assert written.header.text("Subject") == "Mail is delayed: still trying"
    assert "tried again until Thu, 1 Jan 1970 01:00:00 +0000" in human.as_string()
    assert groups(status)[1]["Will-Retry-Until"] == "Thu, 1 Jan 1970 01:00:00 +0000"
    assert returned.get_content_type() == "message/rfc822"
    assert HEADER.raw + b"\r\ntext\r\n.\r\nno end\r\n" in written.body


def test_the_status_agrees_with_the_action() -> None:
    cases = [("4.4.1", Action.FAILED, "5.4.1"), ("", Action.FAILED, "5.0.0"), ("5.1.1", Action.DELAYED, "4.0.0"),
             ("2.0.0", Action.DELIVERED, "2.0.0"), ("x", Action.RELAYED, "2.0.0")]  # fmt: skip
    for status, action, wanted in cases:
        fate = dataclasses.replace(FAILED, status=status, action=action)
        _, part, _ = parts(write_dsn(dataclasses.replace(REPORT, fates=(fate,))))
        assert groups(part)[1]["Status"] == wanted


def test_utf8_addresses_use_the_global_types() -> None:
    fate = dataclasses.replace(FAILED, address="ü@grün.example", original="")
    header = Header("From: ü@grün.example\r\nSubject: grün\r\n".encode())
    written = write_dsn(dataclasses.replace(REPORT, fates=(fate,), header=header))
    assert b"message/global-delivery-status" in written.body
    assert "Final-Recipient: utf-8; ü@grün.example\r\n".encode() in written.body
    assert b"message/global-headers" in written.body
    assert written.is_8bit
    assert written.header.text("Content-Transfer-Encoding") == "8bit"
    assert not written.is_utf8


texts = st.text(max_size=200)


@given(texts, texts, texts, st.binary(max_size=200))
def test_no_words_of_others_add_a_field_or_a_part(
    reply: str, hop: str, address: str, body: bytes
) -> None:
    fate = dataclasses.replace(FAILED, address=address or "a", reply=reply, hop=hop, original="")
    written = write_dsn(dataclasses.replace(REPORT, fates=(fate,), body=body))
    assert is_well_formed(written.header)
    boundary = written.header.text("Content-Type").partition('boundary="')[2].rstrip('"').encode()
    assert written.body.count(b"--" + boundary) == 4
    status = written.body.split(b"--" + boundary)[2].partition(b"\r\n\r\n")[2]
    names = [
        field.name
        for group in status.split(b"\r\n\r\n")
        for field in Header(group)
        if group.strip()
    ]
    allowed = {"Original-Envelope-Id", "Reporting-MTA", "Arrival-Date", "Final-Recipient", "Action",
               "Status", "Remote-MTA", "Diagnostic-Code", "Last-Attempt-Date"}  # fmt: skip
    assert set(names) <= allowed
    assert names.count("Action") == 1
