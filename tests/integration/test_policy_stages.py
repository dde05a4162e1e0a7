"""Scripts in every stage of a running Columba: what they say is what client, mailbox and hop see."""

import base64
import contextlib
import smtplib
import ssl
from collections.abc import Iterator

import pytest

from columba.master.dev.plan import DOMAIN, PASSWORD
from tests.fakes.stack import Options, Stack, id_of, wait_log
from tests.peers.all import Peers, open_folder
from tests.peers.hop import FEATURES, Hop, Step
from tests.peers.process import wait_until

pytestmark = [pytest.mark.peer, pytest.mark.slow]
ANN, BOB, CY = (f"{name}@{DOMAIN}" for name in ("ann", "bob", "cy"))
QUEUE = "queue_retry_first = 1 secs\nmailbox Bulk {\n  special_use = \\Junk\n}\n"
SCRIPTS = {
    "connect": """require ["environment", "ihave", "variables", "vnd.columba.smtp"];
        set "seen" "connect";
        if environment "remote-ip" "127.0.0.9" { error "on purpose"; }
        if environment "vnd.columba.listener" "submissions" { delay 1; disconnect "554 5.7.1 not here"; }""",
    "helo": """require ["environment", "ihave", "variables", "vnd.columba.smtp"];
        set "seen" "${seen} helo";
        if environment "vnd.columba.helo" "fails.test" { error "on purpose"; }
        if environment "vnd.columba.helo" "bad.test" { reply "550 5.7.1 what a name"; }
        if environment "vnd.columba.helo" "named.test" {
            if environment "vnd.columba.ptr" "missing" { reply "550 5.7.1 no name"; }
            if not environment "remote-host" "client.ptr.test" { reply "550 5.7.1 another name"; }
        }""",
    "auth": """require ["environment", "ihave", "variables", "vnd.columba.smtp"];
        set "seen" "${seen} auth";
        if environment "vnd.columba.login" "bob@columba.test" { error "on purpose"; }
        if environment "vnd.columba.login" "cy@columba.test" { reply "454 4.7.0 not today"; }""",
    "mail": """require ["envelope", "ihave", "variables", "vnd.columba.envelope", "vnd.columba.smtp"];
        set "seen" "${seen} mail";
        if envelope :localpart "from" "fails" { error "on purpose"; }
        if envelope :localpart "from" "secret" { require_tls; }
        if envelope :localpart "from" "old" { set_sender "new@sender.test"; }""",
    "rcpt": """require ["envelope", "environment", "ihave", "variables", "vnd.columba.envelope", "vnd.columba.smtp"];
        set "seen" "${seen} rcpt";
        if envelope :localpart "to" "fails" { error "on purpose"; }
        if envelope :localpart "to" "closes" { disconnect "421 4.7.0 enough"; }
        if envelope :localpart "to" "alias" { set_recipient "bob@columba.test"; add_recipient "cy@columba.test"; }""",
    "data": """require ["body", "editheader", "environment", "ihave", "mime", "variables", "vnd.columba.envelope",
            "vnd.columba.header", "vnd.columba.log", "vnd.columba.queue", "vnd.columba.smtp"];
        addheader "X-Seen" "${seen} data";
        if header "subject" "fails in data" { error "on purpose"; }
        if header "subject" "add" { add_recipient "bob@columba.test"; }
        if header "subject" "hold" { queue :hold "to be looked at"; }
        if body :text :contains "needle in the hay" { replaceheader "Subject" "found";
            log "Needle" ["where=body"]; }""",
    "route": """require ["duplicate", "editheader", "enotify", "envelope", "fileinto", "ihave", "imap4flags", "mailbox",
            "redirect-deliverby", "redirect-dsn", "reject", "special-use", "vacation", "variables",
            "vnd.columba.envelope", "vnd.columba.route"];
        if header "subject" "fails in route" { error "on purpose"; }
        if envelope :domain "to" "columba.test" {
            if header "subject" "once" { if duplicate { discard; stop; } }
            if envelope :localpart "to" "bob" { addheader "X-For" "bob"; }
            if header "subject" "away" { vacation :addresses "ann@columba.test" "I am away"; }
            if header "subject" "file" { fileinto :create :flags "\\\\Seen" "Work"; }
            if header "subject" "alarm" { notify "mailto:pager@outside.test"; }
            if envelope :matches :localpart "to" "*" { route :maildir "columba.test/${1}"; }
            if header "subject" "make" { fileinto :create "Later"; fileinto :create "Bulk"; }
            if header "subject" "later" { if mailboxexists "Later" { fileinto "Later"; } }
            if header "subject" "junk" {
                if specialuse_exists "\\\\Junk" { fileinto :specialuse "\\\\Junk" "Nowhere"; }
            }
            if header "subject" "onward" {
                redirect :notify "success,failure" :ret "hdrs" :bytimerelative 2 :bymode "return" "far@outside.test";
            }
        } else {
            if mailboxexists "INBOX" { reject "there is none"; stop; }
            if envelope :localpart "to" "srs" { set_sender "srs@sender.test"; }
            route :relay "[127.0.0.1]" :port PORT :helo "own.name.test";
        }""",
    "retry": """require ["environment", "relational", "comparator-i;ascii-numeric", "vnd.columba.queue"];
        if header "subject" "give up" {
            if environment :value "ge" :comparator "i;ascii-numeric" "vnd.columba.attempt" "1" {
                queue :give_up "No longer wanted";
            }
        }""",
    "bounce": """require ["environment", "vnd.columba.queue"];
        if environment "vnd.columba.code" "550" { dsn :headers :text "The script is sorry"; }""",
}


class World:
    def __init__(self, peers: Peers) -> None:
        self.hop: Hop = peers.hop(features=(*FEATURES, "DSN"))
        route = SCRIPTS["route"].replace("PORT", str(self.hop.port))
        scripts = {**SCRIPTS, "route": route}
        names = peers.names(
            {
                "0.0.127.in-addr.arpa": "1 60 IN PTR client.ptr.test.",
                "ptr.test": "client 60 IN A 127.0.0.1",
            }
        )
        relay = f"127.0.0.1:{self.hop.port}"
        options = Options(relay=relay, scripts=scripts, more=QUEUE, dns_port=names.port)
        self.stack = peers.keep(Stack(peers.folder / "columba", options))
        self.port = self.stack.ports["smtp"]

    def send(
        self, *recipients: str, subject: str, sender: str = "me@sender.test", body: str = "hello\n"
    ) -> str:
        with smtplib.SMTP("127.0.0.1", self.port, "client.test", timeout=30) as client:
            client.ehlo()
            client.mail(sender)
            for recipient in recipients:
                code, text = client.rcpt(recipient)
                assert code == 250, text
            code, text = client.data(
                f"From: {sender}\nTo: {recipients[0]}\nSubject: {subject}\n"
                f"Message-ID: <{subject.replace(' ', '.')}@x>\nX-Odd:   kept  as it is\n\n{body}"
            )
        return f"{code} {text.decode()}"

    def mails(self, address: str, subject: str) -> list[bytes]:
        wanted = f"\nSubject: {subject}\n".encode()
        return [mail for mail in self.stack.mails(address) if wanted in mail]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with open_folder() as folder, contextlib.ExitStack() as stack:
        yield World(Peers(folder, stack))


def client_of(world: World) -> smtplib.SMTP:
    client = smtplib.SMTP("127.0.0.1", world.port, "client.test", timeout=30)
    client.ehlo()
    return client


def test_connect_may_refuse_with_its_own_words(world: World) -> None:
    smtplib.SMTP("127.0.0.1", world.stack.ports["submission"], timeout=30).close()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(smtplib.SMTPConnectError) as refused:
        smtplib.SMTP_SSL("127.0.0.1", world.stack.ports["submissions"], context=context, timeout=30)
    assert refused.value.smtp_code == 554
    assert refused.value.smtp_error == b"5.7.1 not here"


def test_every_stage_reads_what_earlier_ones_remembered(world: World) -> None:
    assert world.send(ANN, subject="remember").startswith("250")
    (mail,) = world.mails(ANN, "remember")
    assert b"\nX-Seen: connect helo mail rcpt data\n" in mail
    assert b"\nX-Odd:   kept  as it is\n" in mail


def test_helo_is_answered(world: World) -> None:
    with smtplib.SMTP("127.0.0.1", world.port, timeout=30) as client:
        assert client.ehlo("bad.test") == (550, b"5.7.1 what a name")
        assert client.ehlo("good.test")[0] == 250


def test_a_client_is_known_by_a_name_that_leads_back(world: World) -> None:
    assert world.send(ANN, subject="not asked").startswith("250")
    (mail,) = world.mails(ANN, "not asked")
    assert b"client.ptr.test" not in mail
    with smtplib.SMTP("127.0.0.1", world.port, timeout=30) as client:
        assert client.ehlo("named.test")[0] == 250
        client.sendmail("me@sender.test", [ANN], b"Subject: asked\r\n\r\nx\r\n")
    (mail,) = world.mails(ANN, "asked")
    assert b"from named.test (client.ptr.test [127.0.0.1])" in mail
    source = ("127.0.0.2", 0)
    with smtplib.SMTP("127.0.0.1", world.port, timeout=30, source_address=source) as client:
        assert client.ehlo("named.test") == (550, b"5.7.1 no name")


def test_connect_fails_with_a_temporary_greeting(world: World) -> None:
    with pytest.raises(smtplib.SMTPConnectError) as refused:
        smtplib.SMTP("127.0.0.1", world.port, timeout=30, source_address=("127.0.0.9", 0))
    assert refused.value.smtp_code == 451
    assert "connect.sieve:" in wait_log(world.stack, "/connect.sieve:")


@pytest.mark.parametrize(("login", "code"), [(ANN, 235), (BOB, 451), (CY, 454)])
def test_a_login_may_be_refused_by_policy(world: World, login: str, code: int) -> None:
    with smtplib.SMTP("127.0.0.1", world.stack.ports["submission"], timeout=30) as client:
        client.starttls()
        client.ehlo("client.test")
        token = base64.b64encode(f"\0{login}\0{PASSWORD}".encode()).decode()
        assert client.docmd("AUTH", f"PLAIN {token}")[0] == code
        assert (client.mail(login)[0] == 250) is (code == 235)


def test_a_sender_may_have_to_use_tls(world: World) -> None:
    with client_of(world) as client:
        assert client.mail("secret@sender.test") == (
            530,
            b"5.7.0 Must issue a STARTTLS command first",
        )
        client.starttls()
        client.ehlo()
        assert client.mail("secret@sender.test")[0] == 250


def test_rcpt_may_end_the_connection(world: World) -> None:
    client = client_of(world)
    client.mail("me@sender.test")
    assert client.rcpt(f"closes@{DOMAIN}") == (421, b"4.7.0 enough")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        client.noop()
        client.noop()


@pytest.mark.parametrize("stage", ["helo", "mail", "rcpt", "data", "route"])
def test_a_script_that_fails_lets_nothing_through(world: World, stage: str) -> None:
    with smtplib.SMTP("127.0.0.1", world.port, timeout=30) as client:
        replies = [
            client.ehlo("fails.test" if stage == "helo" else "client.test"),
            client.mail("fails@sender.test" if stage == "mail" else "me@sender.test"),
            client.rcpt(f"fails@{DOMAIN}" if stage == "rcpt" else CY),
        ]
        if stage in ("data", "route"):
            replies.append(client.data(f"From: a@b\nSubject: fails in {stage}\n\nx\n"))
        assert ["helo", "mail", "rcpt", "data"][[r[0] for r in replies].index(451)] in (
            stage,
            "data",
        )
    line = wait_log(world.stack, f"/{stage}.sieve:")
    assert "Script failed" in line and 'error="on purpose"' in line
    assert not [mail for mail in world.stack.mails(CY) if b"Subject: fails" in mail]


def test_a_recipient_may_give_way_to_two(world: World) -> None:
    assert world.send(f"alias@{DOMAIN}", subject="alias").startswith("250")
    assert len(world.mails(BOB, "alias")) == len(world.mails(CY, "alias")) == 1
    assert not world.mails(ANN, "alias")


def test_an_edit_for_one_is_for_one(world: World) -> None:
    assert world.send(ANN, BOB, subject="edit").startswith("250")
    (ann,), (bob,) = world.mails(ANN, "edit"), world.mails(BOB, "edit")
    assert b"\nX-For: bob\n" in bob and b"X-For" not in ann
    assert b"\nX-Odd:   kept  as it is\n" in bob


def test_data_adds_a_recipient(world: World) -> None:
    assert world.send(ANN, subject="add").startswith("250")
    assert len(world.mails(ANN, "add")) == len(world.mails(BOB, "add")) == 1


def test_a_spooled_body_is_searched(world: World) -> None:
    big = "x" * 70 + "\n"
    body = big * 2000 + "a needle in the hay\n" + big * 2000
    assert world.send(ANN, subject="big", body=body).startswith("250")
    assert len(world.mails(ANN, "found")) == 1
    assert "where=body" in wait_log(world.stack, "Needle: ")


def test_senders_are_changed_for_all_and_for_one(world: World) -> None:
    assert world.send(
        "x@outside.test", "srs@outside.test", subject="s", sender="old@sender.test"
    ).startswith("250")
    senders = {t.recipients[0]: (t.sender, t.helo) for t in world.hop.taken()}
    assert senders == {
        "x@outside.test": ("new@sender.test", "own.name.test"),
        "srs@outside.test": ("srs@sender.test", "own.name.test"),
    }


def test_what_is_held_waits_for_an_administrator(world: World) -> None:
    reply = world.send(ANN, subject="hold")
    assert reply.startswith("250 2.0.0 Queued"), reply
    assert not world.mails(ANN, "hold")
    row = next(row for row in world.stack.queue() if row["id"] == id_of(reply))
    assert "to be looked at" in str(row)
    world.stack.columbadm("queue", "release", id_of(reply))
    wait_until(lambda: len(world.mails(ANN, "hold")) == 1, "the released mail")


def test_a_duplicate_is_one_only_when_the_first_was_delivered(world: World) -> None:
    assert world.send(ANN, subject="once").startswith("250")
    assert world.send(ANN, subject="once").startswith("250")
    assert len(world.mails(ANN, "once")) == 1
    world.send(BOB, subject="once")
    assert len(world.mails(BOB, "once")) == 1


def test_a_vacation_reply_is_in_the_queue_before_the_250(world: World) -> None:
    world.hop.plain()
    assert world.send(ANN, subject="away", sender="writer@outside.test").startswith("250")
    stored = [p for p in (world.stack.plan.state / "queue").rglob("*") if p.is_file()]
    assert any(b"writer@outside.test" in path.read_bytes() for path in stored)
    wait_until(
        lambda: any(t.recipients == ["writer@outside.test"] for t in world.hop.taken()), "the reply"
    )
    reply = next(t for t in world.hop.taken() if t.recipients == ["writer@outside.test"])
    assert reply.sender == "" and b"I am away" in reply.message
    assert b"DKIM-Signature:" in reply.message
    assert world.send(ANN, subject="away", sender="writer@outside.test").startswith("250")
    wait_log(world.stack, "Sent by policy")
    assert len([line for line in world.stack.log_lines() if "action=vacation" in line]) == 1


def test_a_mail_is_filed_with_its_flags(world: World) -> None:
    assert world.send(ANN, subject="file").startswith("250")
    (path,) = (world.stack.maildir(ANN) / ".Work" / "cur").glob("*")
    assert path.name.endswith(":2,S")


def test_a_folder_is_taken_where_it_is(world: World) -> None:
    for subject in ("later", "junk", "make", "later", "junk"):
        assert world.send(CY, subject=subject).startswith("250")
    home = world.stack.maildir(CY)
    found = {
        folder: sorted(
            subject
            for path in (home / folder / "new").glob("*")
            for subject in ("later", "junk", "make")
            if f"\nSubject: {subject}\n".encode() in path.read_bytes()
        )
        for folder in ("", ".Later", ".Bulk")
    }
    assert found == {"": ["junk", "later"], ".Later": ["later", "make"], ".Bulk": ["junk", "make"]}
    assert not (home / ".Nowhere").exists()


def test_a_redirect_says_what_reports_it_wants(world: World) -> None:
    """RFC 6009: NOTIFY, RET and whom the sender wrote to, to a hop that offers DSN; past its deadline it comes back."""
    far, writer = "far@outside.test", "writer@sender.test"
    assert world.send(CY, subject="onward", sender=writer).startswith("250")
    sent = next(t for t in world.hop.taken() if t.recipients == [far])
    assert "RET=HDRS" in sent.parameters
    assert sent.wishes[far].split() == ["NOTIFY=SUCCESS,FAILURE", f"ORCPT=rfc822;{CY}"]
    world.hop.always("rcpt", Step("450 4.2.0 not now"), far)
    reply = world.send(CY, subject="onward", sender=writer, body="the body\n")
    assert reply.startswith("250 2.0.0 Queued"), reply
    wait_until(lambda: any(t.recipients == [writer] for t in world.hop.taken()), "the report", 40)
    report = next(t for t in world.hop.taken() if t.recipients == [writer])
    assert f"Original-Recipient: rfc822;{CY}".encode() in report.message.replace(b"; ", b";")
    assert b"Subject: onward" in report.message and b"the body" not in report.message


def test_a_notice_is_sent(world: World) -> None:
    assert world.send(ANN, subject="alarm").startswith("250")
    wait_until(
        lambda: any(t.recipients == ["pager@outside.test"] for t in world.hop.taken()), "the notice"
    )


def test_retry_gives_up_and_bounce_says_so(world: World) -> None:
    late, writer = "late@outside.test", "author@sender.test"
    world.hop.always("rcpt", Step("450 4.2.0 not now"), late)
    reply = world.send(late, subject="give up", sender=writer, body="the body\n")
    assert reply.startswith("250 2.0.0 Queued"), reply
    wait_until(lambda: any(t.recipients == [writer] for t in world.hop.taken()), "the report", 40)
    report = next(t for t in world.hop.taken() if t.recipients == [writer])
    assert report.sender == "" and b"The script is sorry" in report.message
    assert b"No longer wanted" in report.message
    assert b"Subject: give up" in report.message and b"the body" not in report.message
