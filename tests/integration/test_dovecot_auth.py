"""smtpd's client of the auth protocol against a real Dovecot."""

from pathlib import Path

import pytest

from columba.common.log.event import Event
from columba.common.sasl.dovecot import Challenge, Fail, Ok
from columba.common.sasl.plain import format_plain
from columba.common.sasl.scram import ScramClient
from columba.smtpd.peers.dovecot import AuthClient, Verdict
from tests.peers.all import Peers

pytestmark = pytest.mark.peer
PARAMS = {"service": "smtp", "session": "s1", "rip": "192.0.2.1", "secured": ""}
USER = "ann@dovecot.test"


async def test_dovecot_authenticates(peers: Peers) -> None:
    dovecot = peers.dovecot({USER: "secret"})
    client = AuthClient(dovecot.auth_path, Event(lambda _level, _text: None))
    try:
        _, right = await client.begin("PLAIN", PARAMS, format_plain(USER, "secret"), 20)
        assert isinstance(right, Ok) and right.user == USER
        assert {"PLAIN", "LOGIN", "SCRAM-SHA-256"} <= set(client.mechanisms)
        _, wrong = await client.begin("PLAIN", PARAMS, format_plain(USER, "no"), 20)
        assert isinstance(wrong, Fail) and wrong.code != "temp_fail"
        number, asked = await client.begin("LOGIN", PARAMS, None, 20)
        assert isinstance(asked, Challenge)
        asked = await client.go_on(number, USER.encode(), 20)
        assert isinstance(asked, Challenge)
        assert isinstance(await client.go_on(number, b"secret", 20), Ok)
    finally:
        client.close()


async def test_dovecot_takes_scram_and_says_who_may_not_come_in(peers: Peers) -> None:
    dovecot = peers.dovecot({USER: "secret"})
    add_user(dovecot.folder / "users", "off@dovecot.test:{PLAIN}secret::::::nologin reason=Gone\n")
    client = AuthClient(dovecot.auth_path, Event(lambda _level, _text: None))
    try:
        right = await scram(client, "secret")
        assert isinstance(right, Ok) and right.user == USER
        assert isinstance(await scram(client, "wrong"), Fail)
        _, off = await client.begin("PLAIN", PARAMS, format_plain("off@dovecot.test", "secret"), 20)
        assert isinstance(off, Fail) and off.code == "user_disabled"
    finally:
        client.close()


async def scram(client: AuthClient, password: str) -> Verdict:
    """Take an exchange of SCRAM-SHA-256 through to its end."""
    peer = ScramClient("SCRAM-SHA-256", USER, password, "nonce")
    number, verdict = await client.begin("SCRAM-SHA-256", PARAMS, peer.first(), 20)
    assert isinstance(verdict, Challenge)
    verdict = await client.go_on(number, peer.respond(verdict.data), 20)
    if isinstance(verdict, Challenge):
        peer.verify(verdict.data)
        verdict = await client.go_on(number, b"", 20)
    return verdict


def add_user(users: Path, line: str) -> None:
    """Write one more line into Dovecot's users."""
    with users.open("a") as file:
        file.write(line)
