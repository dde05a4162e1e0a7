"""Rules that only the whole shows: what leaves is signed, one copy through many aliases, a client that leaves."""

import contextlib
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dkim
import pytest

from tests.fakes.sending import Sending
from tests.fakes.stack import Options, Stack, wait_log
from tests.peers.all import Peers, open_folder
from tests.peers.hop import Hop, Step, Transaction
from tests.peers.process import wait_until

pytestmark = [pytest.mark.peer, pytest.mark.slow]
ROOT = Path(__file__).resolve().parent.parent.parent
OUTSIDE = "to@outside.test"
ALIASES = """away@columba.test far@outside.test
one@columba.test same@outside.test
two@columba.test same@outside.test
team@columba.test x@outside.test, y@outside.test
"""
ME, KEEPER = "me@sender.test", "keeper@outside.test"


class Place:
    """A hop, a Columba that trusts its clients, and one that knows none of them."""

    def __init__(self, peers: Peers) -> None:
        self.hop: Hop = peers.hop()
        aliases = peers.folder / "aliases"
        aliases.write_text(ALIASES)
        relay = f"127.0.0.1:{self.hop.port}"
        more = f"lookup aliases {{\n  url = file:{aliases}\n}}\n"
        keeper = f"{more}postmaster_address = {KEEPER}\n"
        self.trusted = peers.keep(Stack(peers.folder / "t", Options(relay=relay, more=keeper)))
        self.strange = peers.keep(
            Stack(peers.folder / "u", Options(relay=relay, more=more, trusted=""))
        )


def signer(stack: Stack, message: bytes) -> str:
    """Return the domain whose signature dkimpy finds good, "" if there is none."""
    found = re.search(rb"^DKIM-Signature:.*?\bd=([^;\s]+)", message, re.M | re.S)
    if found is None:
        return ""
    record = stack.columbadm("dkim", "dns", found[1].decode()).stdout
    key = "".join(record.split('"')[1::2]).encode()
    return found[1].decode() if dkim.verify(message, dnsfunc=lambda *_, **__: key) else ""


@pytest.fixture(scope="module")
def shared() -> Iterator[Place]:
    with open_folder() as folder, contextlib.ExitStack() as stack:
        yield Place(Peers(folder, stack))


@pytest.fixture
def place(shared: Place) -> Place:
    shared.hop.plain()
    shared.hop.transactions.clear()
    return shared


def taken(place: Place, count: int = 1) -> list[Transaction]:
    """Wait for so many mails at the hop, and a little longer for one too many."""
    place.hop.wait_taken(count)
    time.sleep(0.5)
    return place.hop.taken()


def test_what_users_send_is_signed_for_its_author(place: Place) -> None:
    assert Sending(place.trusted.ports["smtp"], [OUTSIDE], "own").wait().code == 250
    (mail,) = taken(place)
    assert signer(place.trusted, mail.message) == "sender.test"


def test_what_an_alias_forwards_is_signed_by_our_own_domain(place: Place) -> None:
    sending = Sending(place.strange.ports["smtp"], ["away@columba.test"], "forwarded").wait()
    assert sending.code == 250, sending.text
    (mail,) = taken(place)
    assert mail.recipients == ["far@outside.test"]
    assert signer(place.strange, mail.message) == "columba.test"


def test_a_report_is_signed_and_says_that_no_human_wrote_it(place: Place) -> None:
    place.hop.always("rcpt", Step("550 5.1.1 unknown"), "bad@outside.test")
    recipients = ["good@outside.test", "bad@outside.test"]
    assert Sending(place.trusted.ports["smtp"], recipients, "half").wait().code == 250
    (report,) = (mail for mail in taken(place, 2) if not mail.sender)
    assert report.recipients == ["me@sender.test"]
    assert signer(place.trusted, report.message) == "columba.test"
    assert b"\r\nAuto-Submitted: auto-replied\r\n" in report.message


def asks(place: Place, subject: str, wishes: str, *recipients: tuple[str, str]) -> None:
    """Send a mail with parameters of MAIL, and of each RCPT."""
    with smtplib.SMTP("127.0.0.1", place.trusted.ports["smtp"], timeout=30) as client:
        client.ehlo()
        assert client.mail(ME, [wishes] if wishes else [])[0] == 250
        for address, asked in recipients:
            assert client.rcpt(address, [asked] if asked else [])[0] == 250
        text = f"From: {ME}\r\nSubject: {subject}\r\nMessage-ID: <{subject}@x>\r\n\r\nthe body\r\n"
        assert client.data(text)[0] == 250


def reports(place: Place, count: int = 1) -> list[Transaction]:
    """Wait for so many reports at the hop, and a little longer for one too many."""

    def seen() -> list[Transaction]:
        return [mail for mail in place.hop.taken() if not mail.sender]

    wait_until(lambda: len(seen()) >= count, f"{count} reports")
    time.sleep(0.5)
    assert len(seen()) == count
    return seen()


def test_an_alias_with_several_is_reported_as_expanded(place: Place) -> None:
    asks(place, "team", "", ("team@columba.test", "NOTIFY=SUCCESS"))
    (report,) = reports(place)
    assert b"Action: expanded" in report.message
    assert b"Final-Recipient: rfc822; team@columba.test" in report.message
    assert {r for mail in place.hop.taken() if mail.sender for r in mail.recipients} == {
        "x@outside.test",
        "y@outside.test",
    }


@pytest.mark.parametrize(("ret", "has_body"), [("FULL", True), ("HDRS", False)])
def test_the_whole_mail_or_its_header_goes_back_as_asked(
    place: Place, ret: str, has_body: bool
) -> None:
    place.hop.always("rcpt", Step("550 5.1.1 unknown"), "bad@outside.test")
    asks(
        place,
        f"ret-{ret}",
        f"RET={ret} ENVID=B42",
        (OUTSIDE, "NOTIFY=SUCCESS,FAILURE"),
        ("bad@outside.test", "ORCPT=rfc822;first@x.test"),
        ("bad@outside.test".replace("bad", "quiet"), "NOTIFY=NEVER"),
    )
    both = reports(place, 2)
    (failed,) = (mail.message for mail in both if b"Action: failed" in mail.message)
    (relayed,) = (mail.message for mail in both if b"Action: relayed" in mail.message)
    assert (b"\r\nthe body\r\n" in failed) is has_body
    assert (b"text/rfc822-headers" in failed) is not has_body
    assert b"Original-Recipient: rfc822; first@x.test" in failed
    for each in (failed, relayed):
        assert f"Subject: ret-{ret}".encode() in each and b"Original-Envelope-Id: B" in each
        assert b"quiet@outside.test" not in each
    assert b"\r\nthe body\r\n" not in relayed


def test_a_report_that_fails_goes_to_the_postmaster_and_from_there_nowhere(place: Place) -> None:
    for address in ("bad@outside.test", ME):
        place.hop.always("rcpt", Step("550 5.1.1 unknown"), address)
    asks(place, "double", "", (OUTSIDE, ""), ("bad@outside.test", ""))
    (report,) = reports(place)
    assert report.recipients == [KEEPER]
    place.trusted.wait_queue(0)
    place.hop.transactions.clear()
    place.hop.always("rcpt", Step("550 5.1.1 unknown"), KEEPER)
    asks(place, "nowhere", "", (OUTSIDE, ""), ("bad@outside.test", ""))
    wait_until(lambda: len(place.hop.transactions) >= 3, "a report to the postmaster")
    place.trusted.wait_queue(0)
    time.sleep(0.5)
    assert len(place.hop.transactions) == 3 and reports(place, 0) == []


def test_one_recipient_through_two_aliases_gets_one_copy(place: Place) -> None:
    recipients = ["one@columba.test", "two@columba.test", "same@outside.test"]
    sending = Sending(place.trusted.ports["smtp"], recipients, "same").wait()
    assert sending.code == 250, sending.text
    (mail,) = taken(place)
    assert mail.recipients == ["same@outside.test"]
    assert place.trusted.queue() == []


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
def test_a_client_that_leaves_before_the_hop_has_the_mail_may_come_again(
    place: Place, stage: str
) -> None:
    gate = threading.Event()
    place.hop.once(stage, Step(gate=gate))
    leave = f"Subject: left\r\n\r\nno id, so that no fence knows it ({stage})\r\n.\r\n"
    address = "127.0.0.1", place.trusted.ports["smtp"]
    with socket.create_connection(address, 10) as client, client.makefile("rb") as file:
        for line in ("", "HELO x", "MAIL FROM:<me@sender.test>", f"RCPT TO:<{OUTSIDE}>", "DATA"):
            client.sendall(f"{line}\r\n".encode() if line else b"")
            assert file.readline()[:1] in b"23"
        client.sendall(b"From: me@sender.test\r\n" + leave.encode())
        wait_until(lambda: bool(place.hop.transactions), "the hop sees MAIL")
        time.sleep(0.2)
    time.sleep(0.5)
    gate.set()
    time.sleep(1.0)
    assert place.hop.taken() == []
    assert place.trusted.queue() == []
    assert Sending(place.trusted.ports["smtp"], [OUTSIDE], f"again-{stage}").wait().code == 250
    assert len(taken(place)) == 1


def test_mail_of_the_null_sender_is_never_queued(place: Place) -> None:
    place.hop.once("rcpt", Step("450 4.2.0 later"))
    sending = Sending(place.trusted.ports["smtp"], [OUTSIDE], "null", sender="").wait()
    assert sending.code == 450, sending.text
    assert place.trusted.queue() == []


def test_a_bare_postmaster_reaches_somebody(place: Place) -> None:
    assert Sending(place.strange.ports["smtp"], ["Postmaster"], "help").wait().code == 250
    mails = list((place.strange.plan.mail / "postmaster" / "new").glob("*"))
    assert len(mails) == 1


def test_a_spooled_body_is_gone_after_the_answer(place: Place) -> None:
    gate = threading.Event()
    place.hop.once("dot", Step(gate=gate))
    spool = place.trusted.plan.state / "spool"
    body = "\r\n".join(["x" * 70] * 4000)
    sending = Sending(place.trusted.ports["smtp"], [OUTSIDE], "big", body=body)
    place.hop.wait_dots(1)
    names = [path.name for path in spool.iterdir()]
    gate.set()
    assert sending.wait().code == 250
    assert len(names) == 1 and "@smtpd." in names[0]
    assert list(spool.iterdir()) == []
    (mail,) = taken(place)
    assert signer(place.trusted, mail.message) == "sender.test"


def test_fail2ban_finds_who_guesses_passwords(place: Place) -> None:
    stack = place.strange
    context = ssl.create_default_context(cafile=str(stack.plan.certificate))
    port = stack.ports["submissions"]
    with (
        smtplib.SMTP_SSL("localhost", port, context=context, timeout=30) as client,
        pytest.raises(smtplib.SMTPAuthenticationError),
    ):
        client.login(stack.user, "wrong")
    line = wait_log(stack, "Login failed:")
    text = (ROOT / "etc" / "fail2ban" / "columba.conf").read_text()
    patterns = re.findall(r"^(?:failregex =|  +)\s*(\^.*)$", text, re.M)
    found = [re.search(each.replace("<HOST>", r"(?P<host>\S+)"), line) for each in patterns]
    hosts = [match["host"] for match in found if match]
    assert hosts in (["127.0.0.1"], ["::1"]), line
    good = wait_log(stack, "Answered:")
    assert not any(re.search(each.replace("<HOST>", r"(?P<host>\S+)"), good) for each in patterns)


def test_a_process_born_later_runs_the_accepted_script(place: Place) -> None:
    stack = place.trusted
    script = stack.plan.script("rcpt")
    accepted = script.read_text()
    script.write_text("require [ # half edited")
    try:
        stack.kill("sieve")
        wait_until(lambda: is_taken(stack, "born-later"), "the next sieve-filter takes mail", 20)
        assert stack.columbadm("reload", check=False).returncode == 78
    finally:
        script.write_text(accepted)


def is_taken(stack: Stack, subject: str) -> bool:
    return Sending(stack.ports["smtp"], [OUTSIDE], subject).wait().code == 250
