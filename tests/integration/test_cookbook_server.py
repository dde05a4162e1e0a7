"""Recipes of docs/sieve/cookbook.md in a running Columba: the text of the page decides what clients and hops see."""

import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from columba.master.dev.plan import DOMAIN, PASSWORD
from columba.sieve.lang.stage import Stage
from tests.fakes.certificate import self_signed
from tests.fakes.cookbook import PAGE, recipes, with_lines
from tests.fakes.stack import Options, Stack
from tests.peers.all import Peers, open_folder
from tests.peers.hop import Hop, Step
from tests.peers.process import wait_until

pytestmark = [pytest.mark.peer, pytest.mark.slow]
ANN, BOB, CY, ARCHIVE = (f"{name}@{DOMAIN}" for name in ("ann", "bob", "cy", "archive"))
SMART = "smtp.provider.example"
# What a site puts in the place of the page's examples: its own domain, ports of this test, a shorter wait.
STAFF = f"staff@{DOMAIN}"
OWN = {
    "archive@example.org": ARCHIVE,
    "staff@example.org": STAFF,
    "staff-bounces@example.org": f"staff-bounces@{DOMAIN}",
    '"example.org"': f'"{DOMAIN}"',
    ":delay 120": ":delay 1",
}
RCPT = ("Backup MX", "Catch-all", "Greylisting")
ROUTE = (
    "Mailing list",
    "Forwarding with SRS",
    "Vacation",
    "Plus-addressing into folders",
    "Backup MX",
    "Transport map",
    "Catch-all",
    "Relay that depends on the sender",
    "Smart host with a login",
)
ADDRESS = "IN A 127.0.0.1"
ZONES = {
    "provider.example": f"smtp {ADDRESS}",
    "one.example": f"@ {ADDRESS}",
    "partner.example": f"mx {ADDRESS}",
    "friend.example": f"primary {ADDRESS}",
}


def lines(title: str, stage: Stage) -> str:
    """Return the lines of a recipe for a stage, as the page has them."""
    (text,) = (
        recipe.text
        for recipe in recipes(PAGE.read_text())
        if (recipe.title, recipe.stage) == (title, stage)
    )
    return text


def script(stage: Stage, *titles: str, **more: str) -> str:
    """Return the shipped script with the lines of these recipes."""
    text = with_lines(stage, *(lines(title, stage) for title in titles))
    for example, own in {**OWN, **more}.items():
        text = text.replace(example, own)
    return text


class World:
    def __init__(self, peers: Peers) -> None:
        cert, key = self_signed(peers.folder, SMART, "one.example")
        cert.chmod(0o644)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(cert, key)
        self.smart: Hop = peers.hop(tls=tls, logins={"me": "secret", "one": "other"})
        self.hop: Hop = peers.hop()
        names = peers.names(ZONES)
        scripts = {
            "rcpt": script(Stage.RCPT, *RCPT),
            "data": script(Stage.DATA, "BCC archive"),
            "route": script(Stage.ROUTE, *ROUTE, **{":port 587": f":port {self.smart.port}"}),
        }
        options = Options(
            scripts=scripts, trusted="192.0.2.0/24", dns_port=names.port,
            users=(ANN, BOB, CY, ARCHIVE, STAFF), more=self._settings(peers.folder, cert),
        )  # fmt: skip
        self.stack = peers.keep(Stack(peers.folder / "columba", options))

    def _settings(self, folder: Path, cert: Path) -> str:
        smart, hop = self.smart.port, self.hop.port
        files = {
            "smart_hosts": f"{SMART}:{smart} me:secret\none.example:{smart} one:other\n",
            "sender_relays": f"{CY} one.example:{smart}\n",
            "transports": f"partner.example relay:mx.partner.example:{hop}\nnoreply@{DOMAIN} discard\n",
            "backup_domains": f"friend.example primary.friend.example:{hop}\n",
            "catch_all": "all.test all.test/everything\n",
            "away": f"{BOB} Back on Monday.\n",
            "aliases": f"out@{DOMAIN} carl@far.example\n",
        }
        settings = (
            f"ssl_client_ca_file = {cert}\nqueue_unverified = yes\nqueue_retry_first = 1 secs\n"
        )
        settings += f"lookup local_domains {{\n  url = inline:{DOMAIN}=,all.test=\n}}\n"
        (folder / "staff").write_text(f"{ANN}\n{CY}\nc@far.example\nd@far.example\ne@far.example\n")
        (folder / "secret").write_text("a secret of this test\n")
        settings += f"srs_secret_file = {folder}/secret\nsieve_max_redirects = 200\n"
        settings += "sieve_list staff {\n  name = tag:example.org,2026:staff\n"
        settings += f"  file = {folder}/staff\n}}\n"
        for name, text in files.items():
            (folder / name).write_text(text)
            settings += f"lookup {name} {{\n  url = file:{folder}/{name}\n}}\n"
        return settings

    def submit(self, to: str, subject: str, sender: str = ANN) -> str:
        """Send a mail as a user who is logged in; return the answer to it or to RCPT."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        port = self.stack.ports["submission"]
        with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=60) as client:
            client.starttls(context=context)
            client.login(sender, PASSWORD)
            return said(client, sender, to, subject)

    def send(self, to: str, subject: str, sender: str = "s@far.example") -> str:
        """Send a mail as a stranger."""
        with smtplib.SMTP(
            "127.0.0.1", self.stack.ports["smtp"], "client.test", timeout=60
        ) as client:
            client.ehlo()
            return said(client, sender, to, subject)

    def subjects(self, address: str) -> list[str]:
        """Return the subjects of the new mails in a mailbox."""
        return [
            line.removeprefix("Subject: ")
            for mail in self.stack.mails(address)
            for line in mail.decode().splitlines()
            if line.startswith("Subject: ")
        ]


def said(client: smtplib.SMTP, sender: str, to: str, subject: str) -> str:
    client.mail(sender)
    code, text = client.rcpt(to)
    if code == 250:
        code, text = client.data(
            f"From: {sender}\nTo: {to}\nSubject: {subject}\nMessage-ID: <{subject}@x>\n\nhello\n"
        )
    return f"{code} {text.decode()}"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with open_folder() as folder, contextlib.ExitStack() as stack:
        yield World(Peers(folder, stack))


def test_the_smart_host_is_logged_in_to_over_verified_tls(world: World) -> None:
    assert world.submit("x@far.example", "smart").startswith("250")
    mail = world.smart.taken()[-1]
    assert (mail.login, mail.tls, mail.recipients) == ("me", True, ["x@far.example"])


def test_another_sender_has_another_relay_and_login(world: World) -> None:
    assert world.submit("x@far.example", "sender", CY).startswith("250")
    mail = world.smart.taken()[-1]
    assert (mail.login, mail.sender, mail.tls) == ("one", CY, True)


def test_a_transport_map_sends_and_discards(world: World) -> None:
    assert world.submit("joe@partner.example", "transport").startswith("250")
    assert world.hop.taken()[-1].recipients == ["joe@partner.example"]


def test_a_catch_all_takes_what_nobody_has(world: World) -> None:
    assert world.submit("whoever@all.test", "caught").startswith("250")
    assert world.submit(f"whoever@{DOMAIN}", "nobody").startswith("550 5.1.1")
    assert world.subjects("everything@all.test") == ["caught"]


def test_the_archive_has_a_copy(world: World) -> None:
    assert world.submit(CY, "archived").startswith("250")
    assert world.subjects(CY) == ["archived"]
    assert "archived" in world.subjects(ARCHIVE)


def test_who_is_away_answers_once(world: World) -> None:
    for number in range(2):
        assert world.submit(BOB, f"away{number}").startswith("250")
    wait_until(lambda: "I am away" in world.subjects(ANN), "the answer", 20)
    assert world.submit(BOB, "away2").startswith("250")
    assert world.subjects(BOB) == ["away0", "away1", "away2"]
    assert world.subjects(ANN).count("I am away") == 1


def test_a_backup_asks_the_primary_and_keeps_mail_for_it(world: World) -> None:
    world.hop.always("rcpt", Step("550 5.1.1 nobody"), "gone@friend.example")
    assert world.send("gone@friend.example", "gone").startswith("550 5.1.1")
    assert world.send("joe@friend.example", "now").startswith("250")
    assert world.hop.taken()[-1].recipients == ["joe@friend.example"]
    world.hop.once("dot", Step("451 4.3.0 not now"))
    assert world.send("joe@friend.example", "later").startswith("250")
    taken = len(world.hop.taken())
    world.stack.columbadm("queue", "flush")
    assert b"Subject: later" in world.hop.wait_taken(taken + 1)[-1].message


def test_who_is_greylisted_comes_again(world: World) -> None:
    assert world.send(ANN, "grey").startswith("451 4.7.1 Greylisted")
    wait_until(lambda: world.send(ANN, "grey").startswith("250"), "a stranger may pass", 15)
    assert world.send(ANN, "white").startswith("250")
    assert {"grey", "white"} <= set(world.subjects(ANN))


def test_a_detail_is_a_folder(world: World) -> None:
    assert world.submit(f"ann+Shops@{DOMAIN}", "folder").startswith("250")
    (mail,) = (world.stack.maildir(ANN) / ".shops" / "new").glob("*")
    assert b"Subject: folder" in mail.read_bytes()
    assert "folder" not in world.subjects(ANN)


def test_a_list_sends_to_its_members_in_its_own_name(world: World) -> None:
    assert world.submit(STAFF, "no member", BOB).startswith("250"), "the archive has its copy"
    wait_until(lambda: b"5.7.2" in b"".join(world.stack.mails(BOB)), "a report", 20)
    assert world.submit(STAFF, "list").startswith("250")
    assert "list" in world.subjects(CY)
    (mail,) = (one for one in world.smart.taken() if "c@far.example" in one.recipients)
    assert mail.sender == f"staff-bounces@{DOMAIN}"
    assert mail.recipients == ["c@far.example", "d@far.example", "e@far.example"]
    assert b"\nList-Id: <staff.example.org>" in mail.message


def test_what_an_alias_sends_on_has_a_sender_of_ours(world: World) -> None:
    out = f"out@{DOMAIN}"
    wait_until(lambda: world.send(out, "on").startswith("250"), "a stranger may pass", 15)
    mail = world.smart.taken()[-1]
    assert mail.recipients == ["carl@far.example"]
    assert mail.sender.startswith("SRS0=")
    assert mail.sender.endswith(f"=far.example=s@{DOMAIN}")
