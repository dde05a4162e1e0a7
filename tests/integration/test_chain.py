"""Mail through the whole of Columba to real next hops: what the client hears is what happened."""

import contextlib
import smtplib
import ssl
import time
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from tests.fakes.stack import Options, Stack, id_of, wait_log
from tests.peers.all import Peers, open_folder
from tests.peers.hop import Hop, Step
from tests.peers.opendkim import verify
from tests.peers.process import wait_until
from tests.peers.swaks import swaks

pytestmark = [pytest.mark.peer, pytest.mark.slow]
OUTSIDE = "to@outside.test"


def start(peers: Peers, options: Options) -> Stack:
    return peers.keep(Stack(peers.folder / "columba", options))


class Relaying:
    """A server that relays to a hop."""

    def __init__(self, peers: Peers, trusted: str) -> None:
        self.hop = peers.hop()
        more = "auth_failure_delay = 100 msecs\n"
        options = Options(relay=f"127.0.0.1:{self.hop.port}", trusted=trusted, more=more)
        self.stack = start(peers, options)

    def clean(self) -> None:
        """Leave nothing to the next test: no steps, no transactions, no queued mail."""
        self.hop.plain()
        if self.stack.queue():
            self.stack.columbadm("queue", "delete", "-A", "--yes")
        self.stack.wait_queue(0)
        self.hop.transactions.clear()


@pytest.fixture(scope="module")
def one_trusting() -> Iterator[Relaying]:
    with open_folder() as folder, contextlib.ExitStack() as stack:
        yield Relaying(Peers(folder, stack), "127.0.0.0/8")


@pytest.fixture(scope="module")
def one_strict() -> Iterator[Relaying]:
    with open_folder() as folder, contextlib.ExitStack() as stack:
        yield Relaying(Peers(folder, stack), "")


@pytest.fixture
def trusting(one_trusting: Relaying) -> Iterator[tuple[Stack, Hop]]:
    """Give a server that trusts us, and the hop that it relays to."""
    yield one_trusting.stack, one_trusting.hop
    one_trusting.clean()


@pytest.fixture
def strict(one_strict: Relaying) -> Iterator[tuple[Stack, Hop]]:
    """Give a server that trusts nobody, and the hop that it relays to."""
    yield one_strict.stack, one_strict.hop
    one_strict.clean()


def test_250_comes_after_the_hop_has_said_250(trusting: tuple[Stack, Hop]) -> None:
    stack, hop = trusting
    hop.once("dot", Step("250 2.0.0 kept as 4711", delay_s=1.0))
    began = time.monotonic()
    talk = swaks(stack.ports["smtp"], recipients=OUTSIDE)
    assert talk.status == 0, talk.transcript
    assert time.monotonic() - began >= 1.0
    (taken,) = hop.taken()
    assert taken.recipients == [OUTSIDE]
    assert "4711" in talk.final
    assert stack.queue() == []
    line = wait_log(stack, id_of(talk.final))
    assert id_of(talk.final) in line


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
def test_a_refusal_of_the_hop_reaches_the_client(trusting: tuple[Stack, Hop], stage: str) -> None:
    stack, hop = trusting
    hop.always(stage, Step("550 5.7.1 not this one"))
    talk = swaks(stack.ports["smtp"], recipients=OUTSIDE)
    assert talk.final.startswith("550 5.7.1"), talk.transcript
    assert "not this one" in talk.final
    assert not hop.taken()
    assert stack.queue() == []


def test_a_temporary_failure_is_queued_and_delivered_later(trusting: tuple[Stack, Hop]) -> None:
    stack, hop = trusting
    hop.once("rcpt", Step("450 4.2.0 come back"))
    talk = swaks(stack.ports["smtp"], recipients=OUTSIDE)
    assert talk.status == 0, talk.transcript
    assert "ueued" in talk.final
    stack.wait_queue(1)
    assert not hop.taken()
    stack.columbadm("queue", "flush")
    (taken,) = hop.wait_taken(1)
    assert taken.recipients == [OUTSIDE]
    stack.wait_queue(0)


def test_a_stranger_cannot_relay_and_hears_4xx_for_a_4xx(peers: Peers) -> None:
    hop = peers.hop()
    route = f'require "vnd.columba.route";\nroute :relay "[127.0.0.1]" :port {hop.port};\n'
    stack = start(peers, Options(trusted="", scripts={"route": route}))
    refused = swaks(stack.ports["smtp"], recipients=OUTSIDE)
    assert "550 5.7.1" in refused.transcript
    hop.once("rcpt", Step("450 4.2.0 come back"))
    later = swaks(stack.ports["smtp"], recipients=stack.user)
    assert later.final.startswith("4"), later.transcript
    assert stack.queue() == []
    assert swaks(stack.ports["smtp"], recipients=stack.user).status == 0
    assert len(hop.taken()) == 1


def test_local_mail_is_in_the_maildir_before_250(strict: tuple[Stack, Hop]) -> None:
    stack, _ = strict
    talk = swaks(stack.ports["smtp"], recipients=stack.user)
    assert talk.status == 0, talk.transcript
    (mail,) = stack.mails()
    assert mail.startswith(b"Return-Path: <from@sender.test>")
    assert b"Received: from " in mail
    unknown = swaks(stack.ports["smtp"], recipients="nobody@columba.test")
    assert "550 5.1.1" in unknown.transcript


@pytest.mark.parametrize("port", ["submission", "submissions"])
def test_submission_wants_a_password_and_signs(
    strict: tuple[Stack, Hop], peers: Peers, port: str
) -> None:
    stack, hop = strict
    context = ssl.create_default_context(cafile=str(stack.plan.certificate))
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "me@sender.test", OUTSIDE, "signed"
    mail.set_content("Grüße\r\n" * 10)
    number = stack.ports[port]
    with (
        smtplib.SMTP_SSL("localhost", number, context=context, timeout=30)
        if port == "submissions"
        else smtplib.SMTP("localhost", number, timeout=30)
    ) as client:
        if port == "submission":
            client.starttls(context=context)
        with pytest.raises(smtplib.SMTPException):
            client.send_message(mail)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(stack.user, "wrong")
        client.login(stack.user, stack.password)
        assert client.send_message(mail) == {}
    (taken,) = hop.taken()
    record = stack.columbadm("dkim", "dns", "sender.test").stdout
    verdict = verify(peers.folder, taken.message, {"dev._domainkey.sender.test": txt_of(record)})
    assert verdict.passed, verdict.text


def test_two_recipients_two_ends(trusting: tuple[Stack, Hop]) -> None:
    stack, hop = trusting
    hop.always("rcpt", Step("550 5.1.1 unknown"), "bad@outside.test")
    talk = swaks(stack.ports["smtp"], recipients="good@outside.test,bad@outside.test")
    assert talk.status == 0, talk.transcript
    assert talk.final.startswith("250")
    taken = hop.wait_taken(2)
    bounce = next(one for one in taken if one.sender == "")
    assert bounce.recipients == ["from@sender.test"]
    assert b"bad@outside.test" in bounce.message


def test_a_hop_that_closes_after_the_dot_leaves_no_second_copy_soon(
    trusting: tuple[Stack, Hop],
) -> None:
    stack, hop = trusting
    hop.once("dot", Step(close=True))
    talk = swaks(stack.ports["smtp"], recipients=OUTSIDE)
    assert talk.status == 0, talk.transcript
    stack.wait_queue(1)
    assert len(hop.wait_dots(1)) == 1


def test_relay_to_a_real_postfix_and_a_real_dovecot(peers: Peers) -> None:
    postfix = peers.postfix()
    dovecot = peers.dovecot({"ann@box.test": "secret"})
    route = f"""require ["envelope", "vnd.columba.route"];
if envelope :domain "to" "box.test" {{
    route :lmtp "{dovecot.lmtp_path}";
}} else {{
    route :relay "[127.0.0.1]" :port {postfix.port};
}}
"""
    stack = start(peers, Options(scripts={"route": route}))
    talk = swaks(stack.ports["smtp"], recipients="ann@box.test,any@postfix.test")
    assert talk.status == 0, talk.transcript
    assert len(dovecot.mails("ann@box.test")) == 1
    wait_until(postfix.mails, "the mail in Postfix's Maildir")


def test_mail_hosts_are_found_in_the_dns(peers: Peers) -> None:
    hop = peers.hop()
    zone = "@ MX 10 mx\nmx A 127.0.0.1\n"
    names = peers.names({"outside.test": zone, "null.test": "@ MX 0 .\n"})
    options = Options(dns_port=names.port, more=f"smtp_port = {hop.port}\n")
    stack = start(peers, options)
    assert swaks(stack.ports["smtp"], recipients=OUTSIDE).status == 0
    assert hop.taken()[0].recipients == [OUTSIDE]
    null = swaks(stack.ports["smtp"], recipients="x@null.test")
    assert null.final.startswith("5"), null.transcript
    unknown = swaks(stack.ports["smtp"], recipients="x@no-such.outside.test")
    assert unknown.final.startswith("5"), unknown.transcript


def txt_of(record: str) -> str:
    """Return the text of a TXT record in master file form."""
    quoted = record.split('"')[1::2]
    return "".join(quoted)
