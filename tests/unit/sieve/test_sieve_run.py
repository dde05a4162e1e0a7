"""Running scripts: actions, conflicts, limits, look-ups, errors."""

import pytest

from columba.sieve.engine import Failed, Finished
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.run.actions import Discard, FileInto, Keep, Redirect, Reject, Reply, RouteTo
from tests.fakes.sieve import (
    actions_of,
    compiled,
    envelope_of,
    failure_of,
    is_true,
    outcome_of,
    run_text,
)


@pytest.mark.parametrize(
    ("text", "actions", "keeps"),
    [
        ("", (), True),
        ("stop; keep;", (), True),
        ("keep;", (Keep(),), False),
        ("discard;", (Discard(),), False),
        ('redirect "A@B.example";', (Redirect("A@B.example"),), False),
        (
            'require "copy"; redirect :copy "\\"A, B\\" <a@b.example>";',
            (Redirect("a@b.example", is_copy=True),),
            True,
        ),
        ('redirect "a@b.example, c@d.example";', (), None),
        ('redirect "<@r.example:a@b.example>";', (), None),
        ('redirect "a@b..example";', (), None),
        ('require "fileinto"; fileinto "x"; fileinto "x";', (FileInto("x"),), False),
        ('require "fileinto"; fileinto "inbox"; keep;', (Keep(),), False),
        (
            'require ["fileinto", "copy"]; fileinto :copy "x";',
            (FileInto("x", is_copy=True),),
            True,
        ),
        ('require "reject"; reject "no";', (Reject("no"),), False),
        ('require "ereject"; ereject "no";', (Reject("no", is_extended=True),), False),
    ],
)
def test_actions(text: str, actions: tuple[object, ...], keeps: bool | None) -> None:
    if keeps is None:
        with pytest.raises(AssertionError, match="invalid"):
            compiled(text)
        return
    finished = run_text(text)
    assert finished.actions == actions
    assert finished.keeps is keeps


@pytest.mark.parametrize("other", ["keep;", 'fileinto "x";', 'redirect "a@b.example";', ""])
@pytest.mark.parametrize("is_first", [True, False])
def test_reject_stands_alone(other: str, is_first: bool) -> None:
    reject = 'reject "no";'
    other = other or reject
    body = f"{reject}\n{other}" if is_first else f"{other}\n{reject}"
    assert "conflicts" in failure_of(f'require ["reject", "fileinto"];\n{body}')


def test_limits_end_the_script_with_an_error() -> None:
    many = "".join(f'fileinto "f{i}";' for i in range(33))
    assert failure_of(f'require "fileinto"; {many}') == (
        "total number of actions exceeds policy limit"
    )
    many = "".join(f'redirect "u{i}@b.example";' for i in range(5))
    assert failure_of(many) == "number of redirect actions exceeds policy limit"
    same = 'redirect "u@b.example";' * 40
    assert actions_of(same) == (Redirect("u@b.example"),)


def test_time_is_limited() -> None:
    text = failure_of("keep;" * 1000, Limits(cpu_ms=1), step_ns=100_000)
    assert text == "execution exceeded the CPU time limit"


def test_an_error_has_its_place() -> None:
    script = compiled('require "ihave";\nif true {\n  error "so it is";\n}')
    outcome = outcome_of(script)
    assert isinstance(outcome, Failed)
    assert str(outcome.error.position) == "test:3:3"
    assert outcome.error.text == "so it is"


LOOKUP = """require ["vnd.columba.lookup", "variables", "vnd.columba.smtp"];
if not allof (lookup :as "user" "users" ["${who}", "*"], not false) {
  reply "550 5.1.1 No such user";
}
set "seen" "${user}";
"""


def test_a_lookup_is_asked_key_by_key() -> None:
    script = compiled(LOOKUP, Stage.RCPT)
    tables = {"users": {"*": "everyone"}}
    outcome = outcome_of(script, tables=tables, variables={"who": "ann"})
    assert isinstance(outcome, Finished)
    assert outcome.variables == {"who": "ann", "user": "everyone", "seen": "everyone"}
    assert outcome.refusal is None


def test_a_reply_ends_the_script() -> None:
    outcome = outcome_of(compiled(LOOKUP, Stage.RCPT), tables={"users": {}})
    assert isinstance(outcome, Finished)
    assert outcome.refusal == Reply(550, "5.1.1", ("No such user",))
    assert "seen" not in outcome.variables


def test_a_table_that_does_not_answer_is_an_error_not_a_no() -> None:
    outcome = outcome_of(compiled(LOOKUP, Stage.RCPT), tables={"users": None})
    assert isinstance(outcome, Failed)
    assert "does not answer" in outcome.error.text
    assert outcome.error.position.line == 2


def test_requests_are_limited() -> None:
    script = compiled('require "vnd.columba.lookup"; if lookup "t" ["a", "b", "c"] { stop; }')
    outcome = outcome_of(script, tables={"t": {}}, limits=Limits(requests=2))
    assert isinstance(outcome, Failed)


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ('reply "550 5.7.1 Not today";', Reply(550, "5.7.1", ("Not today",))),
        ('reply "450 Later";', Reply(450, "4.7.1", ("Later",))),
        ('reply "421";', Reply(421, "4.7.1", ("Refused by policy",))),
        ('tempfail "Busy\nor so";', Reply(451, "4.7.1", ("Busy", "or so"))),
        ('reply "550 é\x01";', Reply(550, "5.7.1", ("??",))),
    ],
)
def test_replies(text: str, reply: Reply) -> None:
    script = compiled(f'require "vnd.columba.smtp"; {text}', Stage.RCPT)
    outcome = outcome_of(script)
    assert isinstance(outcome, Finished)
    assert outcome.refusal == reply


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("route :mx;", RouteTo("mx")),
        ('route :mx :domain "x.example";', RouteTo("mx", host="x.example")),
        ('route :relay "h.example" :port 25;', RouteTo("relay", host="h.example", port=25)),
        ('route :lmtp "/run/lmtp";', RouteTo("lmtp", path="/run/lmtp")),
        ('route :lmtp "[::1]" :port 24;', RouteTo("lmtp", host="[::1]", port=24)),
        ('route :maildir "b.example/team";', RouteTo("maildir", path="b.example/team")),
        ("route :discard; route :mx;", RouteTo("mx")),
        (
            'route :mx :tls "verify" :source "192.0.2.1" :helo "m.example" :sign "B.example";',
            RouteTo("mx", tls="verify", source="192.0.2.1", helo="m.example", sign="b.example"),
        ),
    ],
)
def test_routes(text: str, route: RouteTo) -> None:
    outcome = outcome_of(compiled(f'require "vnd.columba.route"; {text}', Stage.ROUTE))
    assert isinstance(outcome, Finished)
    assert outcome.route == route
    assert outcome.keeps


@pytest.mark.parametrize(
    "target", ["../etc", "a/../../b", "/abs", "", "a//b", "a/", ".", "a/..", "a\n"]
)
def test_a_maildir_never_leads_out_of_its_root(target: str) -> None:
    text = 'require ["vnd.columba.route", "variables"]; route :maildir "${t}";'
    outcome = outcome_of(compiled(text, Stage.ROUTE), variables={"t": target})
    assert isinstance(outcome, Failed)


@pytest.mark.parametrize(
    ("test", "require", "expected"),
    [
        ('header "subject" "[OPS] disk full"', (), True),
        ('header :comparator "i;octet" "subject" "[OPS] disk full"', (), False),
        ('header :contains "subject" "disk"', (), True),
        ('header :matches "subject" "[*] disk*"', (), True),
        ('header :matches "subject" "[???] d?sk full"', (), True),
        ('header "x-none" ""', (), False),
        ('address :localpart "to" "bob"', (), True),
        ('address :domain ["from", "to"] "C.example"', (), True),
        ('address :detail "to" "red"', ("subaddress",), True),
        ('address :user "to" "team"', ("subaddress",), True),
        ('address :detail "from" ""', ("subaddress",), False),
        ('address :count "eq" "to" "2"', ("relational",), True),
        ('envelope "from" "bounce@a.example"', ("envelope",), True),
        ('envelope :domain "to" "b.example"', ("envelope",), True),
        ('exists ["from", "to"]', (), True),
        ('exists ["from", "date"]', (), False),
        ("size :over 10", (), True),
        ("size :under 1K", (), True),
        ('string "a" "A"', ("variables",), True),
        (
            'string :value "gt" :comparator "i;ascii-numeric" "10" "9"',
            ("variables", "relational", "comparator-i;ascii-numeric"),
            True,
        ),
        (
            'string :value "gt" :comparator "i;octet" "10" "9"',
            ("variables", "relational"),
            False,
        ),
        ('string :count "eq" ["a", "", "b"] "2"', ("variables", "relational"), True),
        ('string "${hex: 41 42}${unicode:e9}" "ABé"', ("variables", "encoded-character"), True),
        ('environment "name" "x"', ("environment",), False),
    ],
)
def test_tests(test: str, require: tuple[str, ...], expected: bool) -> None:
    assert is_true(test, *require) is expected


def test_the_null_sender_is_one_empty_value_and_an_unreadable_recipient_is_none() -> None:
    text = 'require ["envelope", "fileinto"]; if envelope :contains "{}" "" {{ fileinto "yes"; }}'
    envelope = envelope_of("<>", "<a@b@c>")
    assert run_text(text.format("from"), envelope=envelope).actions
    assert not run_text(text.format("to"), envelope=envelope).actions


def test_match_variables_and_modifiers() -> None:
    text = r"""require "variables";
    if header :matches "subject" "[*] *" {
        set :upper "Tag" "${1}";
        set :quotewildcard "q" "*a\\?";
        set :length "n" "${2}";
        set :lowerfirst :upper "m" "${0}xY";
        set "none" "<${3}${nothing}${9x}>";
    }"""
    assert run_text(text).variables == {
        "tag": "OPS",
        "q": "\\*a\\\\\\?",
        "n": "9",
        "m": "[OPS] DISK FULLXY",
        "none": "<${9x}>",
    }


def test_variables_are_cut_at_a_character() -> None:
    limits = Limits(variable_bytes=5)
    script = compiled('require "variables"; set "a" "aaaaé"; set :quotewildcard "b" "a***";')
    outcome = outcome_of(script, limits=limits)
    assert isinstance(outcome, Finished)
    assert outcome.variables == {"a": "aaaa", "b": "a\\*\\*"}
