"""A test for each row of the table of answers."""

from typing import get_args

import pytest

from columba.common.ipc.wire import Outcome, OutcomeKind
from columba.common.smtp import codes
from columba.common.smtp.codes import Reply, reply
from columba.smtpd.answer import Duty, answer, answer_each, named, soften

ID = "01JD0000000000000000000000"


def delivered(number: str, text: str = "Ok: queued as ABC") -> Outcome:
    return Outcome(number=number, kind="delivered", code=250, enhanced="2.0.0", text=text)


def failed(
    number: str, code: int = 550, enhanced: str = "5.1.1", text: str = "No such user"
) -> Outcome:
    address = f"u{number}@d.example".encode()
    return Outcome(
        number=number, kind="failed", code=code, enhanced=enhanced, text=text, address=address
    )


def queued(number: str) -> Outcome:
    return Outcome(number=number, kind="queued")


def discarded(number: str) -> Outcome:
    return Outcome(number=number, kind="discarded")


def refused(
    number: str, code: int = 451, enhanced: str = "4.4.1", text: str = "No route"
) -> Outcome:
    return Outcome(number=number, kind="refused", code=code, enhanced=enhanced, text=text)


def test_all_refused_is_the_reason_of_the_first() -> None:
    found = answer(ID, ["1", "2"], [refused("1"), refused("2", 452, "4.2.2", "full")])
    assert (found.reply, found.duty) == (reply(451, "4.4.1", "No route"), Duty.NONE)


@pytest.mark.parametrize("other", [delivered("2"), queued("2"), discarded("2")])
def test_some_refused_withholds_the_accepted(other: Outcome) -> None:
    found = answer(ID, ["1", "2"], [refused("1"), other])
    assert (found.reply.code, found.duty) == (451, Duty.WITHHOLD)


def test_refused_and_failed_is_4xx() -> None:
    found = answer(ID, ["1", "2"], [failed("1"), refused("2")])
    assert (found.reply.code, found.duty) == (451, Duty.NONE)


def test_refused_and_failed_and_accepted_is_4xx() -> None:
    found = answer(ID, ["1", "2", "3"], [failed("1"), refused("2"), delivered("3")])
    assert (found.reply.code, found.duty) == (451, Duty.WITHHOLD)


@pytest.mark.parametrize("code", [421, 250, 550])
def test_a_refusal_never_closes_and_is_never_final(code: int) -> None:
    assert answer(ID, ["1"], [refused("1", code, "5.1.1")]).reply == reply(451, "4.3.0", "No route")


def test_one_failed() -> None:
    found = answer(ID, ["1"], [failed("1", 552, "5.2.2", "Mailbox full")])
    assert (found.reply, found.duty) == (reply(552, "5.2.2", "Mailbox full"), Duty.NONE)


def test_all_failed_with_the_same_code() -> None:
    found = answer(ID, ["1", "2"], [failed("1", 554), failed("2", 554, "5.7.1", "Policy")])
    lines = ("5.1.1 <u1@d.example> No such user", "5.7.1 <u2@d.example> Policy")
    assert found.reply == Reply(554, "", lines)


def test_all_failed_with_different_codes() -> None:
    found = answer(ID, ["1", "2"], [failed("1", 554), failed("2", 552, "5.2.2")])
    assert found.reply.code == 550 and found.duty is Duty.NONE


def test_all_delivered() -> None:
    found = answer(ID, ["1", "2"], [delivered("1"), delivered("2", "other")])
    assert found.reply == reply(250, "2.0.0", f"Ok {ID}: Ok: queued as ABC")
    assert found.duty is Duty.NONE


@pytest.mark.parametrize("other", [delivered("1"), discarded("1"), queued("1")])
def test_any_queued_says_so(other: Outcome) -> None:
    found = answer(ID, ["1", "2"], [other, queued("2")])
    assert (found.reply, found.duty) == (reply(250, "2.0.0", f"Queued as {ID}"), Duty.NONE)


def test_all_discarded() -> None:
    assert answer(ID, ["1"], [discarded("1")]).reply == reply(250, "2.0.0", f"Ok {ID}")


@pytest.mark.parametrize("other", [delivered("2"), queued("2"), discarded("2")])
def test_some_failed_needs_a_bounce_first(other: Outcome) -> None:
    found = answer(ID, ["1", "2"], [failed("1"), other])
    assert (found.reply.code, found.duty) == (250, Duty.BOUNCE)


def test_a_recipient_without_outcome_is_refused() -> None:
    assert answer(ID, ["1", "2"], [delivered("1")]).duty is Duty.WITHHOLD
    assert answer(ID, ["1"], []).reply.code == 451
    assert answer(ID, ["1"], [delivered("11")]).reply.code == 451
    assert answer(ID, [], []).reply.code == 451


@pytest.mark.parametrize("kind", [k for k in get_args(OutcomeKind) if k in ("deferred", "rework")])
def test_what_only_queue_runs_know_is_refused(kind: OutcomeKind) -> None:
    assert answer(ID, ["1"], [Outcome(number="1", kind=kind)]).reply.code == 451


def test_splits_count_for_their_parent() -> None:
    assert answer(ID, ["1"], [delivered("1.1"), delivered("1.2")]).reply.code == 250
    assert answer(ID, ["1"], [delivered("1.1"), failed("1.2")]).duty is Duty.BOUNCE


def test_lmtp_answers_each() -> None:
    found = answer_each(ID, ["1", "2", "3"], [failed("2"), delivered("1"), refused("3")])
    assert [a.reply.code for a in found] == [250, 550, 451]
    assert {a.duty for a in found} == {Duty.NONE}


def test_hop_words_are_one_clean_line() -> None:
    found = answer(ID, ["1"], [failed("1", text="a\r\n250 ok\té" + "x" * 1000)])
    line = found.reply.encode().decode()
    assert line.count("\r\n") == 1 and line.isascii() and len(line) < 420


def test_soften() -> None:
    assert soften(reply(550, "5.1.1", "x")) == reply(450, "4.1.1", "x")
    assert soften(Reply(554, "", ("5.7.1 a", "5.1.1 b"))).lines == ("4.7.1 a", "4.1.1 b")
    assert soften(reply(250, "2.0.0", "x")).code == 250


def test_a_refusal_names_the_message() -> None:
    assert named(reply(550, "5.1.1", "a", "b"), ID) == reply(550, "5.1.1", "a", f"b ({ID})")
    assert named(codes.PRDR_FOLLOWS, ID) is codes.PRDR_FOLLOWS
