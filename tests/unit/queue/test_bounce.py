"""DSNs: once, signed like all mail, never about themselves."""

from columba.common.idforms import is_id
from columba.common.ipc import wire
from columba.queue import reports
from columba.queue.bounce import PLAIN, Form, Sender, dsn_record
from columba.queue.document import Map
from columba.queue.record import OWED, Recipient, Record, changed, with_recipients
from columba.queue.retry import RetryPolicy

ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
SENDER = Sender("mx.example.org", b"postmaster@example.org")
POLICY = RetryPolicy()
REPLY: Map = {
    "number": "2", "kind": "failed", "code": 550, "enhanced": "5.1.1", "text": "no such user",
    "hop": "mx1.example.net[192.0.2.1]:25",
}  # fmt: skip
OWING = Recipient(
    number="2", spec={"address": b"b@example.net"}, state=OWED, reply=REPLY, at_s=50.0
)
MAIL = Record(
    id=ID,
    name=f"{ID}.2",
    envelope={"sender": b"sender@example.org"},
    header=b"Subject: hello\r\n",
    body=b"the body\r\n",
    recipients=(OWING,),
)


def made(mail: Record, *people: Recipient, form: Form = PLAIN) -> Record:
    (due,) = reports.due(with_recipients(mail, people))
    record = dsn_record(mail, due, SENDER, POLICY, form)
    assert record is not None
    return record


def test_a_dsn_goes_from_nobody_to_the_sender_by_the_route_stage() -> None:
    dsn = made(MAIL)
    assert is_id(dsn.id)
    assert dsn.id != ID
    assert (dsn.name, dsn.step, dsn.kind, dsn.may_queue) == (dsn.id, "route", "generated", "yes")
    assert dsn.envelope["sender"] == b""
    assert [person.spec["address"] for person in dsn.recipients] == [b"sender@example.org"]
    for words in (b"b@example.net", b"550 no such user", b"5.1.1", b"mx1.example.net", b"the body"):
        assert words in dsn.body
    assert b"Auto-Submitted: auto-replied" in dsn.header


def test_the_same_failure_makes_the_same_dsn_and_another_one_another() -> None:
    assert made(MAIL) == made(changed(MAIL, seq=9, attempts=4))
    other = Recipient(number="3", spec=OWING.spec, state=OWED, reply=REPLY)
    assert made(MAIL).id != made(MAIL, OWING, other).id
    assert made(MAIL, OWING, other).id == made(MAIL, other, OWING).id


def test_headers_alone_go_back_where_that_was_asked_or_demanded() -> None:
    for envelope in ({"ret": "HDRS"}, {"requiretls": True}):
        dsn = made(changed(MAIL, envelope={**MAIL.envelope, **envelope}))
        assert b"Subject: hello" in dsn.body
        assert b"the body" not in dsn.body
    assert b"the body" not in made(changed(MAIL, body_key="body/x")).body


def test_requiretls_is_kept() -> None:
    dsn = made(changed(MAIL, envelope={**MAIL.envelope, "requiretls": True}))
    assert dsn.envelope["requiretls"] is True


def test_nobody_hears_about_foreign_mail_from_nobody() -> None:
    mail = changed(MAIL, envelope={"sender": b""})
    (due,) = reports.due(mail)
    assert dsn_record(mail, due, SENDER, POLICY) is None


def test_a_dsn_that_fails_goes_to_the_postmaster_and_ends_there() -> None:
    double = made(changed(made(MAIL), recipients=(OWING,)))
    assert double.double
    assert [person.spec["address"] for person in double.recipients] == [SENDER.postmaster]
    failed = changed(double, recipients=(OWING,))
    (due,) = reports.due(failed)
    assert dsn_record(failed, due, SENDER, POLICY) is None


def test_its_envelope_is_one_of_the_wire() -> None:
    from columba.queue.message import handoff_of

    dsn = made(MAIL)
    handoff = handoff_of(dsn, dsn.active, wire.Body(size=1), deadline_ns=0, not_after_boot_ns=0)
    assert handoff.kind == "generated"
    assert handoff.client.trusted
