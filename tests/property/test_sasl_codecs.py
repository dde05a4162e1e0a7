"""Whatever a client says in an exchange, the codecs of SASL take it or raise RemoteProtocolError."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from columba.common.errors import RemoteProtocolError
from columba.common.sasl.oauth import BearerMessage, parse_bearer
from columba.common.sasl.plain import PlainMessage, format_plain, parse_plain
from columba.common.sasl.scram import ScramClient, ScramServer, derive
from tests.fakes.auth import format_bearer

NAME = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)
WORDS = st.sampled_from(
    [b"n,,", b"y,,", b"p=tls-exporter,,", b"a=x,", b"n=user,", b"r=nonce", b"c=biws,", b",p=", b"AA==", b"\x01",
     b"auth=Bearer x", b"user=a", b"\0"]
)  # fmt: skip
SAID = st.lists(WORDS | st.binary(max_size=8), max_size=8).map(b"".join)
KEYS = derive("sha256", "x", b"salt", 4096)


@given(SAID, SAID)
def test_no_message_breaks_a_codec(first: bytes, final: bytes) -> None:
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"):
        server = ScramServer(mechanism, {"tls-exporter": b"x"}, "m")
        with contextlib.suppress(RemoteProtocolError):
            server.first(first)
            server.challenge(KEYS)
            server.final(final)
    with contextlib.suppress(RemoteProtocolError):
        parse_plain(first)
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        with contextlib.suppress(RemoteProtocolError):
            parse_bearer(mechanism, first)


@settings(max_examples=20)
@given(NAME, NAME, NAME)
def test_right_passwords_pass_and_wrong_ones_do_not(user: str, password: str, authzid: str) -> None:
    client = ScramClient("SCRAM-SHA-1", user, password, "n", authzid=authzid)
    server = ScramServer("SCRAM-SHA-1", {}, "m")
    assert server.first(client.first()) == (user, authzid)
    client.verify(
        server.final(client.respond(server.challenge(derive("sha1", password, b"s", 4096))))
    )


@given(NAME, NAME)
def test_what_is_written_reads_back(user: str, password: str) -> None:
    assert parse_plain(format_plain(user, password)) == PlainMessage("", user, password.encode())
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        assert parse_bearer(mechanism, format_bearer(mechanism, user, password)) == BearerMessage(
            user, password
        )
