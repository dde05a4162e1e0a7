"""smtpd's client of the auth protocol against a real Dovecot."""

import pytest

from columba.common.log.event import Event
from columba.common.sasl.dovecot import Challenge, Fail, Ok
from columba.common.sasl.plain import format_plain
from columba.smtpd.peers.dovecot import AuthClient
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
