"""From what a stage's script decides to the verdict: what smtpd and the queue are told."""

import time

import pytest

from columba.common.ipc import wire
from columba.sieve.engine import Finished, Script, begin, compile_script
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.verdict import verdict
from columba.sieve.view import stage_inputs
from tests.fakes.sieve import errors_of

CLIENT = wire.Client(ip="192.0.2.9", errors=3, refused=2, pregreet=True, tls="TLSv1.3")


def judged(stage: Stage, text: str, **changed: object) -> wire.Verdict:
    asked = {"recipient": b"x@b.example", "sender": b"s@far.example", "client": CLIENT, **changed}
    call = wire.Stage(stage=stage.value, deadline_ns=0, **asked)  # type: ignore[arg-type]
    require = '"vnd.columba.smtp", "vnd.columba.log", "environment", "relational"'
    if stage in (Stage.RETRY, Stage.BOUNCE):
        require = '"vnd.columba.queue", "environment"'
    if stage is Stage.RETRY:
        require += ', "vnd.columba.route"'
    if stage in (Stage.MAIL, Stage.RCPT):
        require += ', "vnd.columba.envelope", "variables"'
    if stage is Stage.RCPT:
        require += ', "vnd.columba.queue"'
    script = compile_script(f"require [{require}]; {text}".encode(), "test", stage)
    assert isinstance(script, Script), script.render()
    inputs = stage_inputs(call, time.monotonic_ns, Limits(), "mx.example", 1e9, b"Subject: x\r\n")
    finished = begin(script, inputs).step()
    assert isinstance(finished, Finished), finished
    return verdict(call, finished)


def test_a_plain_script_accepts() -> None:
    assert judged(Stage.CONNECT, "") == wire.Verdict()


def test_delays_add_up_and_come_with_a_refusal() -> None:
    assert judged(Stage.HELO, "delay 2; delay 3;").delay_ms == 5000
    said = judged(Stage.HELO, 'delay 2; reply "550 no";')
    assert (said.action, said.code, said.delay_ms) == ("reply", 550, 2000)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("disconnect;", ("disconnect", 421, "4.7.0", "Closing")),
        ('disconnect "554 5.7.1 go away";', ("disconnect", 554, "5.7.1", "go away")),
        ('reply "421 4.7.0 later";', ("disconnect", 421, "4.7.0", "later")),
        ('tempfail "later";', ("reply", 451, "4.7.1", "later")),
    ],
)
def test_the_ways_to_refuse(text: str, wanted: tuple[str, int, str, str]) -> None:
    said = judged(Stage.CONNECT, text)
    assert (said.action, said.code, said.enhanced, said.text) == wanted


def test_tls_is_demanded_of_those_who_have_none() -> None:
    assert judged(Stage.MAIL, "require_tls;").action == "accept"
    said = judged(Stage.MAIL, "require_tls;", client=wire.Client())
    assert (said.action, said.code, said.enhanced) == ("reply", 530, "5.7.0")


def test_facts_of_the_session_are_known() -> None:
    text = """if allof (environment "vnd.columba.errors" "3", environment "vnd.columba.refused" "2",
        environment "vnd.columba.pregreet" "yes", environment "vnd.columba.messages" "0") { reply "550 known"; }"""
    assert judged(Stage.HELO, text).code == 550


def test_mail_changes_the_sender() -> None:
    assert judged(Stage.MAIL, "").sender is None
    assert judged(Stage.MAIL, 'set_sender "n@b"; set_sender "m@b";').sender == b"m@b"
    assert judged(Stage.MAIL, 'set_sender "";').sender == b""


def test_rcpt_puts_others_in_the_place_of_the_recipient() -> None:
    assert judged(Stage.RCPT, "").recipients is None
    assert judged(Stage.RCPT, 'set_recipient "X@b.example";').recipients == (b"X@b.example",)
    said = judged(Stage.RCPT, 'add_recipient ["y@c", "z@c", "y@c"];')
    assert said.recipients == (b"x@b.example", b"y@c", b"z@c")


def test_rcpt_knows_the_original_recipient() -> None:
    text = 'if original_recipient :localpart "was" { reply "550 known"; }'
    assert judged(Stage.RCPT, text, original=b"was@b.example").code == 550
    assert judged(Stage.RCPT, text).action == "accept"


def test_rcpt_wishes_go_to_the_queue() -> None:
    said = judged(Stage.RCPT, 'queue :hold "look" :priority "-9"; queue :expire "1 week";')
    assert said.wish == wire.QueueWish(hold="look", priority=-9, expire_s=604_800)


def test_retry_decides_about_the_next_try() -> None:
    facts = {"attempt": "3", "age": "90", "code": "450", "route": "mx:x", "secret": "x"}
    text = """if allof (environment "vnd.columba.attempt" "3", environment "vnd.columba.code" "450",
        environment "vnd.columba.route" "mx:x", header "subject" "x") {
            queue :retry ["10m", "1h"] :priority "2";
            route :relay "b.example" :port 26 :sign "a.example"; }"""
    said = judged(Stage.RETRY, text, facts=facts)
    assert (said.next_s, said.gives_up) == (600, False)
    assert said.route == wire.Route(kind="relay", host="b.example", port=26)
    assert said.sign == (wire.Sign(domain="a.example"),)
    assert said.wish == wire.QueueWish(priority=2, retry_s=(600, 3600))


def test_retry_gives_up_with_its_words() -> None:
    said = judged(Stage.RETRY, 'queue :give_up "no longer";')
    assert (said.action, said.gives_up, said.code, said.text) == ("accept", True, 550, "no longer")


def test_bounce_forms_the_report() -> None:
    said = judged(Stage.BOUNCE, 'dsn :headers :text "So sorry" :copy "p@b.example";')
    assert (said.dsn, said.dsn_text, said.dsn_copy) == ("headers", "So sorry", b"p@b.example")
    assert judged(Stage.BOUNCE, "dsn :none;").dsn == "none"
    assert judged(Stage.BOUNCE, "").dsn == ""


@pytest.mark.parametrize(
    ("stage", "command"),
    [
        (Stage.CONNECT, "require_tls;"),
        (Stage.DATA, "delay 3;"),
        (Stage.ROUTE, "disconnect;"),
        (Stage.RETRY, 'reply "550 no";'),
    ],
)
def test_each_stage_has_its_own_words(stage: Stage, command: str) -> None:
    word = command.split(maxsplit=1)[0].rstrip(";")
    (text,) = errors_of(f'require "vnd.columba.smtp";\n{command}', stage)
    assert f"the {word} command can't be used in the {stage.value} stage" in text
