"""Extensions: what only the tester can do is refused elsewhere; no message makes them raise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from columba.sieve.engine import (
    CompileErrors,
    Failed,
    Finished,
    Inputs,
    Machine,
    Script,
    begin,
    compile_script,
)
from columba.sieve.ext.registry import language
from columba.sieve.lang.limits import Limits
from columba.sieve.lang.stage import Stage
from columba.sieve.run.actions import Notify, Vacation
from columba.sieve.run.envelope import Envelope, Path
from columba.sieve.run.message import message_of
from columba.sieve.run.notify import notice_of
from columba.sieve.run.vacation import reply_to
from tests.fakes.sieve import compiled, errors_of

PIECES = (
    b"From: a@example.com\r\n", b"Subject: ", b"Date: Sun, 01 Mar 2026 00:15:07 +0100\r\n",
    b"Date: 1 Jan 0001 00:00:00 +2359\r\n", b"Received: x; 31 Dec 9999 23:59:59 -2359\r\n",
    b"Content-Type: multipart/mixed; boundary=c\r\n", b"\r\n--c\r\n", b"\r\n--c--\r\n", b"\r\n",
    b"Content-Type: message/rfc822\r\n", b"Content-Type: text/html; charset=utf-7\r\n", b"<p>&#x110000;",
    b"Content-Transfer-Encoding: base64\r\n", b"=?utf-8?q?=FF?=", b"\xff\xfe", b"\x00", b"Message-ID: <a@b>\r\n",
    b"Content-Type: image/png; name*0*=utf-8''%FF\r\n", b"References: <\xff> <a>\r\n",
)  # fmt: skip
message_bytes = st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=14).map(b"".join)

LIMITED = sorted(
    name
    for name, known in language().extensions.items()
    if known.stages != frozenset(Stage) and not known.reserved
)
RESERVED = sorted(name for name, known in language().extensions.items() if known.reserved)


@pytest.mark.parametrize("name", LIMITED)
def test_what_has_no_meaning_at_a_stage_is_refused_there(name: str) -> None:
    text = f'require "{name}";'.encode()
    known = language().extensions[name].stages
    assert isinstance(compile_script(text, "a", Stage.DELIVERY), Script)
    for stage in Stage:
        compiled = compile_script(text, "a", stage)
        if stage in known:
            assert isinstance(compiled, Script)
        else:
            assert isinstance(compiled, CompileErrors)
            wanted = f"the capability '{name}' can't be used in the {stage.value} stage"
            assert compiled.errors[0].text == wanted


def test_ihave_tells_the_same() -> None:
    text = (
        b'require ["ihave", "reject"]; if ihave "special-use" { body "x"; } else { reject "no"; }'
    )
    assert isinstance(compile_script(text, "a", Stage.DATA), Script)


def test_what_the_tester_does_the_server_does_in_the_route_stage() -> None:
    for name, known in language().extensions.items():
        assert known.reserved or known.stages & {Stage.DATA, Stage.ROUTE, Stage.BOUNCE}, name


@pytest.mark.parametrize("name", RESERVED)
def test_a_reserved_name_says_so_at_every_stage(name: str) -> None:
    for stage in Stage:
        errors = compile_script(f'require "{name}";'.encode(), "a", stage)
        assert isinstance(errors, CompileErrors)
        assert f"the capability '{name}' is reserved" in errors.errors[0].text
        script = f'require "ihave"; if ihave "{name}" {{ error "there"; }}'.encode()
        assert isinstance(compile_script(script, "a", stage), Script)


# Every test and every edit that looks into a message.
LOOKS = b"""
require ["body", "date", "index", "mime", "foreverypart", "extracttext", "variables", "regex", "editheader",
  "replace", "enclose", "imap4flags", "spamtestplus", "vacation", "enotify", "environment", "relational"];
if body :raw :matches "*a*" { setflag "x"; }
if body :text :regex "a(b|c)" { addflag "y"; }
if body :content ["", "multipart", "message/rfc822"] :contains "a" { removeflag "z"; }
if date :index 1 :matches "date" "iso8601" "*" { keep; }
if date :zone "+2359" "received" "julian" "1" { keep; }
if spamtest :percent "1" { keep; }
if header :mime :anychild :param ["charset", "name"] "content-type" "x" { keep; }
if address :mime :anychild :domain "from" "x" { keep; }
foreverypart {
  if header :mime :matches :contenttype "content-type" "*" { set "a" "${1}"; }
  extracttext :first 10 :upper "text";
  if header :mime :type "content-type" "image" { replace "gone"; }
}
addheader "X-A" "${text}${a}";
deleteheader :matches "subject" "*";
if body :text :contains "x" { enclose :subject "${a}" "text ${text}"; }
vacation "${text}";
notify :message "${a}" "mailto:a@example.com";
"""
LOOKING = compile_script(LOOKS, "looks", Stage.DELIVERY)


@given(header=message_bytes, body=message_bytes)
@settings(max_examples=300, deadline=None)
def test_any_message_can_be_looked_at(header: bytes, body: bytes) -> None:
    assert isinstance(LOOKING, Script), LOOKING.render()
    message = message_of(header + b"\r\n\r\n" + body)
    inputs = Inputs(
        clock=lambda: 0,
        message=message,
        envelope=Envelope(Path("ann", "example.com"), (Path("me", "example.org"),)),
        limits=Limits(
            options={
                "sieve_spamtest_status_header": "Subject: ([0-9.-]+)",
                "sieve_spamtest_score_max_value": "10",
                "sieve_vacation_check_recipient": "no",
            }
        ),
    )
    machine = Machine(LOOKING, inputs)
    outcome = machine.step()
    assert isinstance(outcome, Finished | Failed)
    seen = machine.run.message
    assert seen.size == len(seen.header.raw) + 2 * seen.has_body + len(seen.read_body())
    if isinstance(outcome, Finished):
        for action in outcome.actions:
            if isinstance(action, Vacation):
                reply_to(machine.run, message, action, "host", "id")
            if isinstance(action, Notify):
                notice_of(machine.run, message, action, "p@example.com", "host", "id")


def test_the_login_has_a_capability_of_its_own() -> None:
    script = compiled('require "envelope-auth"; if envelope "auth" "Ann" { discard; }', Stage.ROUTE)
    for login, keeps in (("ann", False), ("bob", True), ("", True)):
        ended = begin(script, Inputs(clock=lambda: 0, envelope=Envelope(login=login))).step()
        assert isinstance(ended, Finished) and ended.keeps is keeps


@pytest.mark.parametrize("part", ["auth", "envid", "notify"])
def test_what_is_no_address_of_the_envelope_has_no_address_parts(part: str) -> None:
    """RFC 6009 §2, and the login, which may look like anything."""
    text = f'require ["envelope", "envelope-dsn"]; if envelope :domain "{part}" "x" {{ keep; }}'
    assert errors_of(text) == (f"the address part :domain goes with no '{part}' of the envelope",)
    assert isinstance(compile_script(text.replace(":domain", "").encode(), "a", Stage.DATA), Script)
