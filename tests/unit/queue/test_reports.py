"""What a sender is told, about whom, and once."""

import msgspec

from columba.common.ipc import wire
from columba.common.mail.dsn import Action
from columba.queue import outcome, reports
from columba.queue.bounce import Form, Sender, dsn_record
from columba.queue.document import Map
from columba.queue.record import (
    CONFIRMING,
    DELIVERED,
    FAILED,
    PENDING,
    Recipient,
    Record,
    changed,
)
from columba.queue.retry import RetryPolicy

ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
POLICY = RetryPolicy()
SENDER = Sender("mx.example.org", b"postmaster@example.org")
NOW_S = 1000.0


def person(number: str, *notify: str, **fields: object) -> Recipient:
    spec: Map = {"address": b"r%b@example.net" % number.encode(), "notify": list(notify)}
    return msgspec.structs.replace(Recipient(number=number, spec=spec), **fields)


def mail(*people: Recipient) -> Record:
    return Record(
        id=ID,
        name=ID,
        seq=7,
        created_s=10.0,
        expires_s=9000.0,
        notice_s=500.0,
        may_queue="yes",
        kind="submitted",
        envelope={"sender": b"sender@example.org", "envid": "QQ"},
        header=b"Subject: hello\r\n",
        body=b"the body\r\n",
        recipients=people,
    )


def told(kind: wire.OutcomeKind, *numbers: str, **fields: object) -> list[wire.Outcome]:
    answer = wire.Outcome(number="", kind=kind, enhanced="2.0.0", route="mx:example.net")
    return [msgspec.structs.replace(answer, number=number, **fields) for number in numbers]


def after(record: Record, *outcomes: wire.Outcome) -> Record:
    return outcome.apply(record, outcomes, (), NOW_S, POLICY).record


def text_of(record: Record, due: reports.Due, form: Form | None = None) -> bytes:
    dsn = dsn_record(record, due, SENDER, POLICY, form or Form())
    assert dsn is not None
    return dsn.header + b"\r\n" + dsn.body


def test_a_delivery_is_confirmed_where_that_was_asked_and_nobody_else_does() -> None:
    record = mail(person("1", "SUCCESS"), person("2"), person("3", "SUCCESS"))
    done = after(record, *told("delivered", "1", success="relayed"), *told("delivered", "2", "3"))
    assert [p.state for p in done.recipients] == [CONFIRMING, DELIVERED, DELIVERED]
    (due,) = reports.due(done)
    assert (due.action, [p.number for p in due.people]) == (Action.RELAYED, ["1"])
    text = text_of(done, due)
    assert b"Action: relayed" in text
    assert b"Status: 2.0.0" in text
    assert b"Original-Envelope-Id: QQ" in text
    assert b"Subject: hello" in text
    assert b"the body" not in text, "RFC 3461 §4.3: a report without a failure returns the header"
    assert reports.after(done, due, is_sent=True).pending == ()


def test_a_mailbox_is_delivered_and_an_address_with_several_behind_it_expanded() -> None:
    spec: Map = {
        "address": b"list@example.org",
        "original": b"list@example.org",
        "notify": ["SUCCESS"],
    }
    record = mail(Recipient(number="1", spec=spec), person("2", "SUCCESS"))
    local = told("delivered", "2", success="delivered")
    done = after(record, *told("delivered", "1.1", "1.2", success="relayed"), *local)
    expanded, delivered = reports.due(done)
    assert (expanded.action, delivered.action) == (Action.EXPANDED, Action.DELIVERED)
    text = text_of(done, expanded)
    assert b"Action: expanded" in text
    assert b"Final-Recipient: rfc822; list@example.org" in text


def test_a_strangers_mail_is_never_confirmed() -> None:
    record = changed(mail(person("1", "SUCCESS")), may_queue="hold")
    assert (
        after(record, *told("delivered", "1", success="relayed")).recipients[0].state == DELIVERED
    )
    record = changed(mail(person("1", "SUCCESS")), envelope={"sender": b""})
    assert (
        after(record, *told("delivered", "1", success="relayed")).recipients[0].state == DELIVERED
    )


def test_who_wants_no_notice_of_a_delay_gets_none() -> None:
    record = mail(
        person("1"), person("2", "DELAY"), person("3", "NEVER"), person("4", "SUCCESS", "FAILURE")
    )
    assert reports.noticed(record, 499.0) == record
    late = reports.noticed(record, 500.0)
    (due,) = reports.due(late)
    assert [p.number for p in due.people] == ["1", "2"]
    assert due.action is Action.DELAYED
    text = text_of(late, due)
    assert b"Action: delayed" in text
    assert b"Will-Retry-Until:" in text
    assert b"Status: 4." in text
    quiet = reports.after(late, due, is_sent=True)
    assert reports.due(quiet) == []
    assert all(p.state == PENDING for p in quiet.recipients)
    assert reports.noticed(quiet, 9e9) == quiet, "once"


def test_a_second_notice_is_another_report() -> None:
    first = reports.with_notices(mail(person("1")), ["1"])
    (due,) = reports.due(first)
    second = reports.with_notices(reports.after(first, due, is_sent=True), ["1"])
    (again,) = reports.due(second)
    assert due.key != again.key


def test_what_failed_together_is_reported_together_whoever_looks_and_whenever() -> None:
    record = mail(person("1"), person("2"), person("3"))
    first = after(record, *told("failed", "1", "2"))
    (due,) = reports.due(first)
    later = after(changed(first, seq=9), *told("failed", "3"))
    again, other = reports.due(later)
    assert again.key == due.key, "a crash between the report and its mark makes no second one"
    assert [p.number for p in other.people] == ["3"]


def test_policy_gives_a_report_its_form() -> None:
    failed = after(mail(person("1")), *told("failed", "1"))
    (due,) = reports.due(failed)
    assert b"the body" in text_of(failed, due)
    assert b"the body" not in text_of(failed, due, Form("headers"))
    assert b"Ask the help desk." in text_of(failed, due, Form(text="Ask the help desk."))
    assert dsn_record(failed, due, SENDER, POLICY, Form("none")) is None
    assert reports.after(failed, due, is_sent=False).recipients[0].state == FAILED
    copied = dsn_record(
        failed, due, SENDER, POLICY, Form(copy=b"admin@example.org", hold="looked at")
    )
    assert copied is not None
    assert [r.spec["address"] for r in copied.recipients] == [
        b"sender@example.org",
        b"admin@example.org",
    ]
    assert copied.hold == "looked at"


def test_policy_decides_about_a_try_that_failed() -> None:
    record = mail(*(person(str(n)) for n in range(1, 6)))
    tried = after(record, *told("deferred", "1", "2", "3", "4", "5", code=451, text="busy"))
    route = wire.Route(kind="relay", host="relay.example.org")
    new = outcome.decided(
        tried,
        {
            "1": wire.Verdict(next_s=30),
            "2": wire.Verdict(gives_up=True, code=550, enhanced="5.4.7", text="too late"),
            "3": wire.Verdict(wish=wire.QueueWish(hold="look")),
            "4": wire.Verdict(route=route, sign=(wire.Sign(domain="b.example"),)),
            "5": wire.Verdict(dsn="headers", wish=wire.QueueWish(priority=-3, expire_s=100)),
        },
        NOW_S,
    )
    assert new.due_s == NOW_S, "what has expired is not tried later"
    people = {p.number: p for p in new.recipients}
    assert people["2"].state == "owed"
    assert people["2"].reply["text"] == "too late: busy"
    assert people["3"].hold == "look"
    assert people["4"].spec["pinned"] is True
    assert people["4"].spec["sign"] == [{"domain": "b.example"}]
    assert people["5"].notices == 1
    assert outcome.expiry_s(new, people["5"]) == 110.0
