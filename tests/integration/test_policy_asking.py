"""Words that ask, in a running Columba: next hops, dicts, a real name server; and what lasts of them."""

import contextlib
import smtplib
import time
from collections.abc import Iterator

import pytest

from columba.common.mail.header import split_message
from columba.common.mailauth.canonical import hash_body
from columba.delivery.signer.keys import KeyType, generate
from columba.delivery.signer.sign import signature_field
from columba.master.dev.plan import DOMAIN
from tests.fakes.stack import Options, Stack, wait_log
from tests.peers.all import Peers, open_folder
from tests.peers.hop import Hop, Step
from tests.peers.names import Names
from tests.peers.process import wait_until

pytestmark = [pytest.mark.peer, pytest.mark.slow]
ANN = f"ann@{DOMAIN}"
ZONE = """
listed IN A 192.0.2.66
1.0.0.127.bl IN A 127.0.0.2
1.0.0.127.bl IN TXT "loopback is listed"
_25._tcp.listed IN TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
mail IN MX 10 listed
"""
RCPT = """require ["envelope", "variables", "vnd.columba.callout", "vnd.columba.dict", "vnd.columba.dns",
    "vnd.columba.dnsbl", "vnd.columba.envelope", "vnd.columba.greylist", "vnd.columba.ratelimit",
    "vnd.columba.smtp", "vnd.columba.srs"];
if envelope :matches "from" "*" { set "from" "${1}"; }
if envelope :matches :localpart "to" "*" { set "to" "${1}"; }
if string "${to}" "listed" {
    if dnsbl :as "by" :text "why" ["bl.asking.test=127.0.0.2", "dead.elsewhere.test"] {
        reply "554 5.7.1 ${by}: ${why}"; } }
if string "${to}" "dns" {
    if dns :as "mx" :matches "mx" "mail.asking.test" "10 *" {
        if dns :as "tlsa" "tlsa" "_25._tcp.${1}" { reply "550 5.7.1 ${mx} ${tlsa}"; } } }
if string "${to}" "broken" { if dns "a" "a.refused.test" { stop; } }
if string :matches "${to}" "hop*" {
    if not callout :as "said" :relay "[127.0.0.1]" :port PORT { reply "550 5.1.1 ${said}"; } }
if string :matches "${to}" "hold*" {
    if not callout :hold :relay "[127.0.0.1]" :port PORT { reply "550 5.1.1 no"; } }
if string :matches "${to}" "grey*" {
    if greylist :delay 2 :window 60 { tempfail "come again"; } }
if string "${to}" "limited" {
    if ratelimit "${from}" "2/1h" { reply "450 4.7.1 too much"; } }
if string "${to}" "tried" {
    if ratelimit :tries "${from}" "2/1h" { reply "450 4.7.1 too often"; } reply "550 5.7.1 never"; }
if string "${to}" "count" { dict_increment "default" "counted"; }
if string "${to}" "counted" {
    if dict_get :as "n" "default" "counted" { reply "550 5.7.1 counted ${n}"; } reply "550 5.7.1 none"; }
if string :matches "${to}" "SRS0=*" {
    if srs_reverse :as "back" "${to}@columba.test" { reply "550 5.7.1 ${back}"; } reply "550 5.1.1 forged"; }
if string "${to}" "srs" {
    if srs_forward :as "made" "${from}" "columba.test" { reply "550 5.7.1 ${made}"; } }
"""
# The client is 127.0.0.1.
AUTH_ZONE = """
@ IN TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc IN TXT "v=DMARC1; p=reject"
out IN TXT "v=spf1 a:host.auth.test -all"
host IN A 127.0.0.1
_dmarc.soft IN TXT "v=DMARC1; p=quarantine"
KEY
"""
HARD_ZONE = """
@ IN TXT "v=spf1 mx -all"
@ IN MX 10 mx
mx IN A 192.0.2.7
"""
ROUTE = """require ["envelope", "variables", "vnd.columba.route"];
if envelope :matches :localpart "to" ["hop*", "hold*"] { route :relay "[127.0.0.1]" :port PORT; stop; }
route :maildir "columba.test/ann";
"""


class World:
    def __init__(self, peers: Peers) -> None:
        self.hop: Hop = peers.hop()
        self.key = generate("auth.test", "sel", KeyType.ED25519)
        zone = AUTH_ZONE.replace("KEY", f'sel._domainkey IN TXT "{self.key.txt_record()}"')
        zones = {"asking.test": ZONE, "auth.test": zone, "hard.test": HARD_ZONE}
        self.names = peers.keep(Names(peers.folder, zones))
        port = str(self.hop.port)
        scripts = {
            "rcpt": RCPT.replace("PORT", port),
            "route": ROUTE.replace("PORT", port),
        }
        secret = peers.folder / "srs"
        secret.write_text("a secret of this test\n")
        secret.chmod(0o644)
        options = Options(
            scripts=scripts, trusted="192.0.2.0/24", dns_port=self.names.port,
            more=f"srs_secret_file = {secret}\n",
        )  # fmt: skip
        self.stack = peers.keep(Stack(peers.folder / "columba", options))
        self.sent = 0
        # On a busy machine a worker's socket is there before smtpd has heard of it.
        wait_until(lambda: not self.rcpt("nobody").startswith("451"), "sieve-filter's first answer")

    @contextlib.contextmanager
    def client(self) -> Iterator[smtplib.SMTP]:
        with smtplib.SMTP(
            "127.0.0.1", self.stack.ports["smtp"], "client.test", timeout=60
        ) as client:
            client.ehlo()
            yield client

    def authored(
        self, author: str, sender: str, body: str = "hello\r\n", signs: bool = False
    ) -> str:
        """Send a mail with this From and return the answer; the subject is unique."""
        self.sent += 1
        text = f"From: {author}\r\nSubject: n{self.sent}\r\n\r\n{body}".encode()
        if signs:
            header, _ = split_message(text)
            digest = hash_body("relaxed", [body.encode()])
            text = signature_field(header, digest, self.key, time.time()) + text
        with self.client() as client:
            client.mail(sender)
            client.rcpt(f"authored@{DOMAIN}")
            code, said = client.data(text)
            return f"{code} {said.decode()}"

    def last(self) -> bytes:
        """Return the mail that authored sent last, as it was delivered."""
        subject = b"\nSubject: n%d\n" % self.sent
        (mail,) = [m for m in self.stack.mails(ANN) if subject in m.replace(b"\r\n", b"\n")]
        return mail

    def rcpt(self, to: str, sender: str = "me@far.test") -> str:
        with self.client() as client:
            client.mail(sender)
            code, text = client.rcpt(f"{to}@{DOMAIN}")
            return f"{code} {text.decode()}"

    def send(self, *to: str, sender: str = "me@far.test") -> str:
        with self.client() as client:
            client.mail(sender)
            for each in to:
                code, text = client.rcpt(f"{each}@{DOMAIN}")
                if code != 250:
                    return f"{code} {text.decode()}"
            code, text = client.data(
                f"From: {sender}\nSubject: x\nMessage-ID: <{to}{sender}>\n\nhello\n"
            )
            return f"{code} {text.decode()}"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with open_folder() as folder, contextlib.ExitStack() as stack:
        yield World(Peers(folder, stack))


def test_a_list_and_its_reason(world: World) -> None:
    assert world.rcpt("listed") == "554 5.7.1 bl.asking.test=127.0.0.2: loopback is listed"
    wait_log(world.stack, "zone=dead.elsewhere.test")


def test_records_of_a_real_name_server(world: World) -> None:
    tlsa = "3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
    assert world.rcpt("dns") == f"550 5.7.1 10 listed.asking.test {tlsa}"


def test_no_answer_is_451_and_a_line(world: World) -> None:
    assert world.rcpt("broken").startswith("451")
    wait_log(world.stack, "a.refused.test A, does not answer")


def test_a_hop_that_refuses_is_heard_at_rcpt(world: World) -> None:
    world.hop.always("rcpt", Step("550 5.1.1 nobody of that name"), f"hop-none@{DOMAIN}")
    world.hop.always("rcpt", Step("451 4.2.0 later"), f"hop-later@{DOMAIN}")
    said = world.rcpt("hop-none")
    assert said.startswith("550 5.1.1")
    assert "nobody of that name" in said
    assert world.rcpt("hop-later").startswith("451")
    asked = len(world.hop.transactions)
    assert world.rcpt("hop-none") == said
    assert len(world.hop.transactions) == asked, "the refusal is remembered"
    assert world.rcpt("hop-later").startswith("451")
    assert len(world.hop.transactions) == asked + 1, "nothing is remembered of a 4xx"


def test_with_hold_the_mail_takes_the_same_connection(world: World) -> None:
    connections = world.hop.connections
    assert world.send("hold-1").startswith("250")
    mail = world.hop.taken()[-1]
    assert mail.recipients == [f"hold-1@{DOMAIN}"]
    assert world.hop.connections <= connections + 1
    about = [one for one in world.hop.transactions if f"hold-1@{DOMAIN}" in one.recipients]
    assert len(about) == 2
    assert about[0].connection == about[1].connection


def test_recipients_that_the_hop_confirmed_stand_together(world: World) -> None:
    assert world.send("hold-2", "hold-3").startswith("250")
    assert world.hop.taken()[-1].recipients == [f"hold-2@{DOMAIN}", f"hold-3@{DOMAIN}"]


def test_who_comes_again_passes_and_is_remembered(world: World) -> None:
    assert world.send("grey", sender="new@far.test").startswith("451 4.7.1 come again")
    assert world.send("grey", sender="new@far.test").startswith("451")
    wait_until(lambda: world.rcpt("grey", "new@far.test").startswith("250"), "he may pass", 10)
    assert world.send("grey", sender="new@far.test").startswith("250")
    assert world.send("grey", sender="new@far.test").startswith("250")
    assert world.send("grey", sender="other@far.test").startswith("451")


def test_what_passes_counts_once_for_each_mail(world: World) -> None:
    for _ in range(3):
        assert world.rcpt("limited", "slow@far.test").startswith("250"), "no mail, no count"
    for n in range(2):
        assert world.send("limited", sender="slow@far.test").startswith("250"), n
    assert world.send("limited", sender="slow@far.test").startswith("450 4.7.1 too much")


def test_tries_count_at_once(world: World) -> None:
    assert [world.rcpt("tried", "fast@far.test")[:3] for _ in range(4)] == [
        "550",
        "550",
        "450",
        "450",
    ]


def test_a_counter_grows_with_accepted_mail_alone(world: World) -> None:
    assert world.rcpt("counted") == "550 5.7.1 none"
    assert world.rcpt("count").startswith("250")
    assert world.rcpt("counted") == "550 5.7.1 none"
    assert world.send("count").startswith("250")
    assert world.rcpt("counted") == "550 5.7.1 counted 1"


def test_senders_are_rewritten_and_found_again(world: World) -> None:
    made = world.rcpt("srs").removeprefix("550 5.7.1 ")
    assert made.startswith("SRS0=")
    assert world.rcpt(made.partition("@")[0]) == "550 5.7.1 me@far.test"
    assert world.rcpt("SRS0=AAAA=AA=far.test=me") == "550 5.1.1 forged"


MARK = b"X-Columba-Auth: "


def test_a_forged_author_is_refused_if_his_domain_asks_for_it(world: World) -> None:
    said = world.authored("boss@auth.test", "x@hard.test")
    assert said.startswith("550 5.7.26 The owner of the domain in From asks to refuse such mail"), (
        said
    )
    assert "policy.dmarc=reject header.from=auth.test" in said
    said = world.authored("boss@auth.test", "boss@auth.test")
    assert said.startswith("550 5.7.26"), "SPF fails"


def test_what_spf_or_dkim_proves_passes(world: World) -> None:
    assert world.authored("boss@auth.test", "bounce@out.auth.test").startswith("250"), "SPF passes"
    assert MARK not in world.last()
    assert world.authored("boss@auth.test", "x@hard.test", signs=True).startswith("250")
    assert b"X-Spam" not in world.last()
    big = "A line of text,  with \t blanks \r\n" * 3000
    assert world.authored("boss@auth.test", "x@hard.test", big, signs=True).startswith("250")
    refused = world.authored("boss@auth.test", "x@hard.test", big[:-2] + "x\r\n")
    assert refused.startswith("550 5.7.26")


def test_quarantine_and_a_hard_fail_alone_are_marks(world: World) -> None:
    assert world.authored("boss@soft.auth.test", "x@hard.test").startswith("250")
    assert b"X-Spam: Yes" in world.last()
    assert MARK + b"dmarc=fail policy.dmarc=quarantine header.from=soft.auth.test" in world.last()
    assert world.authored("me@hard.test", "me@hard.test").startswith("250")
    assert MARK + b"spf=fail smtp.mailfrom=hard.test" in world.last()
    assert b"X-Spam" not in world.last()


def test_a_name_server_that_refuses_to_answer_lets_mail_in(world: World) -> None:
    assert world.authored("me@nobody.served.test", "me@nobody.served.test").startswith("250")
    assert MARK not in world.last()
