"""The peers themselves: each one starts, does its work, and ends."""

import re
import smtplib
import socket
import ssl
import subprocess
import threading
import time

import dns.message
import dns.query
import dns.rcode
import pytest

from tests.peers.all import Peers
from tests.peers.hop import Step
from tests.peers.opendkim import verify
from tests.peers.process import Program, answers, require, run, wait_until
from tests.peers.sink import smtp_source
from tests.peers.swaks import swaks

MAIL = "Subject: hello\r\nFrom: <a@a.test>\r\n\r\nline\r\n.dot\r\n"


def send(port: int, *recipients: str) -> dict[str, tuple[int, bytes]]:
    with smtplib.SMTP("127.0.0.1", port, "client.test", 30) as client:
        return client.sendmail("a@a.test", list(recipients), MAIL)


@pytest.mark.peer
def test_sink_keeps_what_source_sends(peers: Peers) -> None:
    sink = peers.sink()
    smtp_source(sink.port, messages=3, sessions=2, size_bytes=2000)
    wait_until(lambda: sink.count() == 3, "three mails")
    mails = sink.mails()
    assert [mail.sender for mail in mails] == ["from@sender.test"] * 3
    assert mails[0].recipients == ("to@sink.test",)
    assert mails[0].headers.startswith(b"From: <from@sender.test>")
    assert mails[0].message.endswith(b"\n")


@pytest.mark.peer
@pytest.mark.parametrize(("option", "code"), [("refuse", 550), ("defer", 451)])
def test_sink_refuses_where_it_is_told(peers: Peers, option: str, code: int) -> None:
    refuse, defer = ("RCPT", "") if option == "refuse" else ("", "RCPT")
    sink = peers.sink(
        refuse=refuse, defer=defer, hard_reply="550 5.1.1 no", soft_reply="451 4.3.0 later"
    )
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        send(sink.port, "b@b.test")
    assert caught.value.recipients["b@b.test"][0] == code


@pytest.mark.peer
def test_sink_speaks_lmtp(peers: Peers) -> None:
    sink = peers.sink(lmtp=True)
    with smtplib.LMTP("127.0.0.1", sink.port, timeout=10) as client:
        assert client.sendmail("a@a.test", ["b@b.test"], MAIL) == {}
    wait_until(lambda: sink.count() == 1, "the mail")


@pytest.mark.peer
def test_sink_closes_and_delays(peers: Peers) -> None:
    closing = peers.sink(close=".")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(closing.port, "b@b.test")
    slow = peers.sink(delay="DATA:1")
    began = time.monotonic()
    send(slow.port, "b@b.test")
    assert time.monotonic() - began >= 1


def test_hop_plays_its_script(peers: Peers) -> None:
    hop = peers.hop()
    hop.once("dot", Step("451 4.2.0 later"))
    hop.always("rcpt", Step("550 5.1.1 no"), "bad@b.test")
    with pytest.raises(smtplib.SMTPDataError) as caught:
        send(hop.port, "b@b.test")
    assert caught.value.smtp_code == 451
    assert send(hop.port, "b@b.test", "bad@b.test") == {"bad@b.test": (550, b"5.1.1 no")}
    (taken,) = hop.taken()
    assert taken.recipients == ["b@b.test"]
    assert taken.message.endswith(b"line\r\n.dot\r\n")
    assert 0 < taken.dot_s <= taken.replied_s
    assert len(hop.transactions) == 2


def test_hop_closes_after_the_dot_and_waits_at_a_gate(peers: Peers) -> None:
    hop = peers.hop()
    hop.once("dot", Step(close=True))
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(hop.port, "b@b.test")
    assert not hop.taken()
    gate = threading.Event()
    hop.once("dot", Step(gate=gate))
    client = threading.Thread(target=send, args=(hop.port, "b@b.test"))
    client.start()
    hop.wait_dots(2)
    assert not hop.taken()
    gate.set()
    hop.wait_taken(1)
    client.join(10)


def test_hop_speaks_lmtp_on_a_path(peers: Peers) -> None:
    path = str(peers.folder / "hop")
    hop = peers.hop(lmtp=True, path=path)
    hop.once("dot", Step("552 5.2.2 full"), "full@b.test")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(path)
        stream = client.makefile("rb")
        words = "LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<ok@b.test>\r\nRCPT TO:<full@b.test>\r\nDATA\r\n"
        client.sendall(words.encode())
        lines = [stream.readline() for _ in range(1 + 6 + 3 + 1)]
        assert lines[-1].startswith(b"354")
        client.sendall(b"Subject: x\r\n\r\n.\r\n")
        assert [stream.readline()[:3] for _ in range(2)] == [b"250", b"552"]
        stream.close()


@pytest.mark.peer
def test_hop_offers_tls(peers: Peers) -> None:
    require("openssl")
    key, cert = peers.folder / "key.pem", peers.folder / "cert.pem"
    argv = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=hop.test"
    subprocess.run(
        [*argv.split(), "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(cert, key)
    hop = peers.hop(tls=server)
    talk = swaks(hop.port, "--tls")
    assert talk.status == 0, talk.transcript
    assert talk.final == "250 2.0.0 taken"
    assert hop.taken()[0].tls


@pytest.mark.peer
def test_postfix_relays(peers: Peers) -> None:
    sink = peers.sink()
    postfix = peers.postfix(relay=f"127.0.0.1:{sink.port}")
    talk = swaks(postfix.port)
    assert talk.status == 0, talk.transcript
    wait_until(lambda: sink.count() == 1, "the mail at the sink")
    assert b"by mail.postfix.test" in sink.mails()[0].message
    wait_until(lambda: postfix.queued() == 0, "an empty queue")
    assert "status=sent" in postfix.log()


@pytest.mark.peer
def test_postfix_delivers_and_refuses(peers: Peers) -> None:
    postfix = peers.postfix()
    assert swaks(postfix.port, recipients="anyone@postfix.test").status == 0
    wait_until(postfix.mails, "a mail in the Maildir")
    assert swaks(postfix.port, recipients="x@elsewhere.test").status != 0


@pytest.mark.peer
def test_dovecot_takes_lmtp_and_answers_auth(peers: Peers) -> None:
    dovecot = peers.dovecot({"ann@box.test": "secret"})
    for client in (
        smtplib.LMTP("127.0.0.1", dovecot.lmtp_port, timeout=20),
        smtplib.LMTP(dovecot.lmtp_path, timeout=20),
    ):
        with client:
            refused = client.sendmail("a@a.test", ["ann@box.test", "no@box.test"], MAIL)
            assert refused["no@box.test"][0] == 550
    assert len(dovecot.mails("ann@box.test")) == 2
    with socket.socket(socket.AF_UNIX) as auth:
        auth.settimeout(5)
        auth.connect(dovecot.auth_path)
        hello = b""
        while b"DONE\n" not in hello:
            hello += auth.recv(4096)
        assert b"MECH\tPLAIN" in hello


@pytest.mark.peer
def test_names_are_served(peers: Peers) -> None:
    zone = "@ MX 10 mx1\n@ MX 20 mx2\nmx1 A 127.0.0.1\nmx2 AAAA ::1\n"
    names = peers.names({"example.test": zone, "null.test": "@ MX 0 .\n"})

    def ask(name: str, kind: str) -> dns.message.Message:
        query = dns.message.make_query(name, kind)
        return dns.query.udp(query, "127.0.0.1", timeout=5, port=names.port)

    assert {rdata.to_text() for rdata in ask("example.test", "MX").answer[0]} == {
        "10 mx1.example.test.",
        "20 mx2.example.test.",
    }
    assert ask("null.test", "MX").answer[0][0].to_text() == "0 ."
    assert ask("nobody.example.test", "A").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.peer
def test_opendkim_signs_and_judges(peers: Peers) -> None:
    sink = peers.sink()
    require("openssl", "opendkim")
    key = peers.folder / "dkim.pem"
    run(["openssl", "genrsa", "-out", str(key), "2048"])
    public = run(["openssl", "rsa", "-in", str(key), "-pubout", "-outform", "PEM"]).stdout
    encoded = "".join(re.findall(r"^[A-Za-z0-9+/=]+$", public, re.MULTILINE))
    milter = peers.signing_milter("sender.test", "s1", key)
    postfix = peers.postfix(
        relay=f"127.0.0.1:{sink.port}", settings=milter.postfix_settings, domain="sender.test"
    )
    assert swaks(postfix.port).status == 0
    wait_until(lambda: sink.count() == 1, "the mail at the sink")
    mail = sink.mails()[0].message.replace(b"\n", b"\r\n")
    records = {"s1._domainkey.sender.test": f"v=DKIM1; k=rsa; p={encoded}"}
    verdict = verify(peers.folder, mail, records)
    assert verdict.passed, verdict.text
    assert not verify(peers.folder, mail + b"more\r\n", records).passed


def test_a_program_that_ends_early_says_why(peers: Peers) -> None:
    program = peers.keep(Program(["sh", "-c", "echo no luck; exit 3"], peers.folder, "early"))
    with pytest.raises(RuntimeError, match=r"(?s)ended with 3.*no luck"):
        program.wait_ready(lambda: False)


def test_stop_ends_the_whole_group(peers: Peers) -> None:
    program = Program(["sh", "-c", "sleep 60 & echo $!; wait"], peers.folder, "group")
    wait_until(lambda: program.output().strip(), "the child's number")
    program.stop()
    child = program.output().strip()
    wait_until(lambda: _is_gone(child), "the child's end")
    assert not answers(("127.0.0.1", 1))


def _is_gone(pid: str) -> bool:
    """Tell whether a process ended (a zombie that nobody reaped counts as ended)."""
    try:
        with open(f"/proc/{pid}/stat") as status:
            return status.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
