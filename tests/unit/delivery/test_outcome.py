"""What replies mean: the table of promises §2."""

import pytest

from columba.common.dns.mx import MxProblem, loop_of
from columba.common.ipc import wire
from columba.common.smtp.codes import Reply, ascii_line
from columba.delivery.job import Result
from columba.delivery.outcome import Detail, Stage, Verdict, decide, lost, of_problem
from columba.delivery.report import outcome_of

HOP = "mx.test[192.0.2.1]:25"
HOST_STAGES = [Stage.CONNECT, Stage.GREETING, Stage.HELLO, Stage.STARTTLS]
MAIL_STAGES = [Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.END]


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("code", [421, 450, 451, 452, 500, 503, 521, 530, 535, 550, 552, 554, 556])
def test_failed_only_from_a_5xx_to_mail_rcpt_data_and_its_end(stage: Stage, code: int) -> None:
    decision = decide(stage, Reply(code, "", ("words",)), HOP)
    too_many = stage is Stage.RCPT and code == 552
    final = stage in MAIL_STAGES and code >= 500 and code not in (503, 530) and not too_many
    assert (decision.verdict is Verdict.FAILED) is final
    assert (decision.why.code == code) if final else (400 <= decision.why.code < 500)
    assert decision.why.code != 421
    assert decision.why.enhanced.startswith("5." if final else "4.")
    assert decision.next_host is (stage in HOST_STAGES or (code == 421 and stage is not Stage.END))
    assert decision.alert is (
        stage not in HOST_STAGES
        and code != 421
        and (code in (503, 530) or (stage is Stage.AUTH and code >= 500))
    )


def test_only_a_2xx_to_the_end_is_delivered() -> None:
    taken = decide(Stage.END, Reply(250, "2.0.0", ("Ok: queued as 4X",)), HOP)
    assert taken.verdict is Verdict.DELIVERED
    assert (taken.why.code, taken.why.enhanced) == (250, "2.0.0")
    assert taken.why.text == f"Ok: queued as 4X ({HOP})"
    for stage in (Stage.MAIL, Stage.RCPT, Stage.DATA):
        assert decide(stage, Reply(250), HOP).verdict is Verdict.TEMPORARY


def test_the_hops_words_and_enhanced_code_are_kept() -> None:
    decision = decide(Stage.RCPT, Reply(550, "5.1.1", ("No such user", "sorry")), HOP)
    assert decision.why.enhanced == "5.1.1"
    assert decision.why.text == f"{HOP} said: 550 5.1.1 No such user sorry (in reply to RCPT)"


def test_a_failure_that_is_not_final_changes_its_class() -> None:
    decision = decide(Stage.MAIL, Reply(530, "5.7.0", ("Authentication required",)), HOP)
    assert (decision.why.code, decision.why.enhanced) == (451, "4.7.0")


def test_too_many_recipients_is_temporary_but_a_full_mailbox_is_not() -> None:
    assert decide(Stage.RCPT, Reply(552, "5.5.3"), HOP).verdict is Verdict.TEMPORARY
    assert decide(Stage.RCPT, Reply(552, "5.2.2"), HOP).verdict is Verdict.FAILED


def test_our_own_words_hide_what_is_inside() -> None:
    secret = Reply(550, "5.1.1", ("no such user at inner-7.lan",))
    for decision in (
        decide(Stage.RCPT, secret, HOP),
        decide(Stage.END, Reply(250, "2.0.0", ("taken by inner-7.lan",)), HOP),
        lost(Stage.CONNECT, "inner-7.lan is silent", HOP),
    ):
        recipient = wire.Recipient(number="1", address=b"a@x.test")
        told = outcome_of(recipient, Result(decision, HOP), "delivery.0.1", Detail.OWN)
        assert "inner" not in told.text and "mx.test" not in told.text + told.hop
        assert told.text and told.code == decision.why.code
        plain = outcome_of(recipient, Result(decision, HOP), "delivery.0.1", Detail.HOP)
        assert (plain.text, plain.hop) == (decision.why.text, HOP)


@pytest.mark.parametrize("route", [None, wire.Route(kind="lmtp", path="/x")])
def test_a_report_of_success_is_ours_where_the_hop_makes_none(route: wire.Route | None) -> None:
    taken = decide(Stage.END, Reply(250), HOP)
    asked = wire.Recipient(number="1", address=b"a@x.test", notify=("SUCCESS",), route=route)
    unasked = wire.Recipient(number="1", address=b"a@x.test", notify=("FAILURE",), route=route)

    def success(who: wire.Recipient, result: Result) -> str:
        return outcome_of(who, result, "", Detail.HOP).success

    assert success(asked, Result(taken, HOP)) == ("delivered" if route else "relayed")
    assert success(asked, Result(taken, HOP, passes_dsn=True)) == ""
    assert success(unasked, Result(taken, HOP)) == ""
    assert success(asked, Result(decide(Stage.END, Reply(550), HOP))) == ""


@pytest.mark.parametrize("code", [421, 450, 550])
@pytest.mark.parametrize("stage", list(Stage))
def test_what_says_that_a_destination_is_under_pressure(stage: Stage, code: int) -> None:
    decision = decide(stage, Reply(code), HOP)
    if decision.verdict is Verdict.FAILED or (stage is Stage.RCPT and code != 421):
        assert not decision.is_pressed  # a 4xx to RCPT is about one recipient
    elif stage is not Stage.AUTH or code != 550:
        assert decision.is_pressed
    assert lost(stage, "reset", HOP).is_pressed


def test_texts_are_one_short_line_of_ascii() -> None:
    reply = Reply(550, "5.0.0", ("grüße\r\n250 injected", "x" * 1000))
    text = decide(Stage.END, reply, HOP).why.text
    assert len(text) <= 400 and text.isascii() and text.isprintable()
    assert text.endswith("(in reply to end of data)")
    assert ascii_line("a\tb\0c") == "a b c"


@pytest.mark.parametrize("stage", list(Stage))
def test_a_lost_connection_is_temporary_and_ends_the_search_after_the_end_of_data(
    stage: Stage,
) -> None:
    decision = lost(stage, "reset", HOP)
    assert decision.verdict is Verdict.TEMPORARY
    assert decision.next_host is (stage is not Stage.END)


def test_what_the_dns_says_for_certain_is_final() -> None:
    assert of_problem(MxProblem(True, 556, "5.1.10", "null MX")).verdict is Verdict.FAILED
    loop = of_problem(loop_of("x.test"))
    assert (loop.verdict, loop.why.enhanced, loop.alert) == (Verdict.FAILED, "5.4.6", True)
