"""Whole servers that send to a whole Columba: Postfix, OpenSMTPD, and clients that come through HAProxy.

Each server relays all to one Columba, which relays to one scripted hop, or delivers to Maildirs. OpenSMTPD is trusted;
Postfix comes from an address that is not: what the hop says is what it hears.
"""

import contextlib
import re
import smtplib
from collections.abc import Iterator, Sequence

import pytest

from tests.fakes.smtpd_world import insecure
from tests.fakes.stack import Options, Stack, id_of, wait_log
from tests.peers.all import Peers, open_folder
from tests.peers.haproxy import Haproxy, Way
from tests.peers.hop import FEATURES, Step, Transaction
from tests.peers.opensmtpd import OpenSmtpd
from tests.peers.postfix import Postfix
from tests.peers.process import free_port, wait_until

pytestmark = [pytest.mark.peer, pytest.mark.slow]
POSTFIX, BALANCER, STRANGER = "127.0.0.7", "127.0.0.9", "127.0.0.5"
RCPT = """require ["envelope", "environment", "vnd.columba.greylist", "vnd.columba.smtp"];
if envelope :localpart "to" "nobody" { reply "550 5.1.1 No such user here"; }
if allof (envelope :localpart "to" "grey", greylist :delay 1) { reply "450 4.7.1 Come again"; }
if allof (envelope :domain "to" "trusting.test", environment "vnd.columba.trusted" "no") {
    reply "550 5.7.1 Relaying denied";
}
"""
MORE = """
haproxy_trusted_networks = {balancer}
service smtpd {{
  inet_listener first {{
    port = {first}
    protocol = smtp
    haproxy = yes
  }}
  inet_listener second {{
    port = {second}
    protocol = smtp
    haproxy = yes
  }}
  inet_listener secure {{
    port = {secure}
    protocol = smtp
    haproxy = yes
    ssl = yes
  }}
}}
"""


class Place:
    """One hop, one Columba before it."""

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.hop = peers.hop(features=(*FEATURES, "DSN"))
        self.proxied = {name: free_port() for name in ("first", "second", "secure")}
        options = Options(
            relay=f"127.0.0.1:{self.hop.port}",
            trusted="127.0.0.1",
            scripts={"rcpt": RCPT},
            more=MORE.format(balancer=BALANCER, **self.proxied),
        )
        self.stack = peers.keep(Stack(peers.folder / "columba", options))

    @property
    def smtp(self) -> str:
        return f"127.0.0.1:{self.stack.ports['smtp']}"

    def taken(self, subject: str) -> Transaction:
        """Wait for a mail at the hop."""
        line = f"Subject: {subject}\r\n".encode()

        def found() -> list[Transaction]:
            return [one for one in self.hop.taken() if line in one.message]

        wait_until(found, f"the hop takes {subject}")
        return found()[0]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Give one Columba to all tests of this module."""
    with open_folder() as folder, contextlib.ExitStack() as held:
        yield Place(Peers(folder, held))


@pytest.fixture(scope="module")
def postfix(place: Place) -> Postfix:
    """Give a Postfix that demands verified TLS of us, retries soon, and logs each dialogue."""
    settings = {
        "smtp_tls_security_level": "verify",
        "smtp_tls_verify_cert_match": "localhost",
        "smtp_tls_CAfile": str(place.stack.plan.certificate),
        "smtp_tls_loglevel": "1",
        "smtp_bind_address": POSTFIX,
        "queue_run_delay": "1s",
        "minimal_backoff_time": "1s",
        "maximal_backoff_time": "1s",
        "debug_peer_list": "127.0.0.1",
        "debug_peer_level": "1",
    }
    return place.peers.postfix(relay=place.smtp, domain="sender.test", settings=settings)


@pytest.fixture(scope="module")
def opensmtpd(place: Place) -> OpenSmtpd:
    return place.peers.opensmtpd(place.smtp)


@pytest.fixture(scope="module")
def haproxy(place: Place) -> Haproxy:
    return place.peers.haproxy(
        Way("first", place.proxied["first"], "send-proxy", checked=True),
        Way("second", place.proxied["second"], "send-proxy-v2", checked=True),
        Way("secure", place.proxied["secure"], "send-proxy-v2"),
        source=BALANCER,
    )


def give(
    port: int,
    recipients: Sequence[str],
    subject: str,
    wishes: Sequence[str] = (),
    rcpt_wishes: Sequence[str] = (),
) -> None:
    """Give a server a mail to send."""
    text = f"From: a@sender.test\r\nSubject: {subject}\r\n\r\n.dots\r\n".encode()
    with smtplib.SMTP("127.0.0.1", port, "giver.test", 20) as client:
        client.sendmail("a@sender.test", recipients, text, wishes, rcpt_wishes)


def received(message: bytes) -> list[str]:
    """Return the Received fields, unfolded, the newest first."""
    header = re.sub(rb"\r?\n[ \t]+", b" ", message.replace(b"\r\n", b"\n").partition(b"\n\n")[0])
    return [line.decode() for line in header.split(b"\n") if line.startswith(b"Received:")]


def dialogue(postfix: Postfix, subject_of: str) -> list[str]:
    """Return what Postfix's client said (>) and heard (<) in the session with this sender's command."""
    process = next(
        line.partition("[")[2].partition("]")[0]
        for line in postfix.log().splitlines()
        if subject_of in line and "/smtp[" in line
    )
    found = re.findall(
        rf"/smtp\[{process}\]: ([<>]) 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: (.*)", postfix.log()
    )
    return [f"{way} {words}" for way, words in found]


def test_postfix_sends_with_its_wishes(place: Place, postfix: Postfix) -> None:
    give(
        postfix.port, ["b@far.test", "c@far.test"], "wishes", ["RET=HDRS", "ENVID=abc+2Bd"],
        ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;x+2By@far.test"],
    )  # fmt: skip
    mail = place.taken("wishes")
    assert (mail.sender, mail.recipients) == ("a@sender.test", ["b@far.test", "c@far.test"])
    assert {"RET=HDRS", "ENVID=abc+2Bd"} <= set(mail.parameters.split())
    for wishes in mail.wishes.values():
        assert set(wishes.split()) == {"NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;x+2By@far.test"}
    assert mail.message.endswith(b"\r\n\r\n.dots\r\n")
    ours, theirs = received(mail.message)
    assert ours.startswith(f"Received: from mail.sender.test ([{POSTFIX}]) by mail.columba.test")
    assert " with ESMTPS id " in ours and "TLSv1.3" in ours and " for <" not in ours
    assert "by mail.sender.test (Postfix)" in theirs
    assert "Verified TLS connection established" in postfix.log()
    said = dialogue(postfix, "ENVID=abc+2Bd")
    at = next(index for index, line in enumerate(said) if line.startswith("> MAIL FROM:"))
    verbs = [line.split()[1] for line in said[at : at + 4]]
    assert verbs == ["MAIL", "RCPT", "RCPT", "DATA"], said  # one flight


def test_postfix_sends_utf8(place: Place, postfix: Postfix) -> None:
    give(postfix.port, ["j\u00f6@far.test"], "gr\u00fc\u00dfe", ["SMTPUTF8", "BODY=8BITMIME"])
    mail = place.taken("gr\u00fc\u00dfe")
    assert mail.recipients == ["j\u00f6@far.test"]
    assert {"SMTPUTF8", "BODY=8BITMIME"} <= set(mail.parameters.split())
    assert "with UTF8SMTPS id" in received(mail.message)[0]
    assert "for <j\u00f6@far.test>" in received(mail.message)[0]


def test_postfix_comes_again(place: Place, postfix: Postfix) -> None:
    """Refused for now once by the hop, and one recipient by a greylist: each arrives once."""
    place.hop.once("dot", Step("451 4.3.0 not now"))
    give(postfix.port, ["grey@far.test", "h@far.test"], "again")
    wait_until(lambda: postfix.queued() == 0, "Postfix's queue is empty")
    mails = [one for one in place.hop.taken() if b"Subject: again\r\n" in one.message]
    arrived = [recipient for one in mails for recipient in one.recipients]
    assert sorted(arrived) == ["grey@far.test", "h@far.test"]
    log = postfix.log()
    assert re.search(r"to=<h@far\.test>.* dsn=4\.3\.0, status=deferred .*not now", log)
    assert re.search(r"to=<grey@far\.test>.* dsn=4\.7\.1, status=deferred .*Come again", log)
    answered = [line for line in place.stack.log_lines("Answered: ") if 'reply="451 4.3.0' in line]
    assert len(answered) == 1 and f"ip={POSTFIX}" in answered[0]  # a stranger's mail is not queued


def test_opensmtpd_delivers_here_and_beyond(place: Place, opensmtpd: OpenSmtpd) -> None:
    user = place.stack.user
    before = len(place.stack.mails())
    give(opensmtpd.port, [user, "b@far.test"], "openly")
    mail = place.taken("openly")
    assert (mail.sender, mail.recipients) == ("a@sender.test", ["b@far.test"])
    wait_until(lambda: len(place.stack.mails()) > before, "it is in the Maildir")
    for message in (mail.message, place.stack.mails()[-1]):
        ours, theirs = received(message)
        assert ours.startswith(
            "Received: from mx.opensmtpd.test ([127.0.0.1]) by mail.columba.test"
        )
        assert " with ESMTPS id " in ours and "OpenSMTPD" in theirs
    assert mail.message.endswith(b"\r\n\r\n.dots\r\n")


def test_opensmtpd_hears_of_each_recipient(place: Place, opensmtpd: OpenSmtpd) -> None:
    give(opensmtpd.port, ["nobody@far.test", "c@far.test"], "both")
    assert place.taken("both").recipients == ["c@far.test"]
    wait_until(lambda: "550 5.1.1 No such user here" in opensmtpd.log(), "it has heard 550")


@pytest.mark.parametrize("way", ["first", "second", "secure"])
@pytest.mark.parametrize(("address", "may_relay"), [(STRANGER, 550), ("127.0.0.1", 250)])
def test_clients_come_through_haproxy(
    place: Place, haproxy: Haproxy, way: str, address: str, may_relay: int
) -> None:
    subject = f"{way} {address}"
    with open_client(("127.0.0.1", haproxy.ports[way]), address, way) as client:
        assert client.mail("a@sender.test")[0] == 250
        # The balancer itself is not trusted, and nobody is for its sake.
        assert client.rcpt("x@trusting.test")[0] == may_relay
        assert client.rcpt("x@far.test")[0] == 250
        code, words = client.data(
            f"From: a@sender.test\r\nSubject: {subject}\r\n\r\nx\r\n".encode()
        )
    assert code == 250, words
    (field,) = received(place.taken(subject).message)
    kind = "ESMTP" if way == "first" else "ESMTPS"
    assert f"from client.test ([{address}]) by mail.columba.test with {kind} id" in field
    line = wait_log(place.stack, f"Answered: id={id_of(words.decode())}")
    assert f" ip={address} " in line


def open_client(where: tuple[str, int], address: str, way: str) -> smtplib.SMTP:
    """Connect from an address and say EHLO: without TLS, with STARTTLS, or with TLS from the start."""
    own, context = (address, 0), insecure()
    client: smtplib.SMTP
    if way == "secure":
        client = smtplib.SMTP_SSL(
            *where, "client.test", timeout=20, source_address=own, context=context
        )
    else:
        client = smtplib.SMTP(*where, "client.test", 20, source_address=own)
    if way == "second":
        client.starttls(context=context)
    client.ehlo()
    return client


def test_haproxy_finds_us_healthy(place: Place, haproxy: Haproxy) -> None:
    def succeeded() -> bool:
        lines = [f"Health check for server {way}/columba succeeded" for way in ("first", "second")]
        return all(line in haproxy.log() for line in lines)

    wait_until(succeeded, "both checks succeed")


def test_who_passes_the_proxy_by_is_cut_off(place: Place, haproxy: Haproxy) -> None:
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        smtplib.SMTP("127.0.0.1", place.proxied["first"], "client.test", 20)
    wait_until(lambda: "Proxy refused" in place.stack.log(), "the log says so")
