"""SCRAM against the examples of its RFCs, and both sides of ours against each other."""

import base64

import pytest

from columba.common.errors import RemoteProtocolError
from columba.common.sasl.prep import saslprep
from columba.common.sasl.scram import HASHES, ScramClient, ScramError, ScramServer, derive

# RFC 5802 §5 and RFC 7677 §3: user "user", password "pencil".
EXAMPLES = {
    "SCRAM-SHA-1": (
        "fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92",
        "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    "SCRAM-SHA-256": (
        "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "W22ZaJ0SNY7soEsUEjb6gQ==",
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}  # fmt: skip
BINDINGS = {"tls-exporter": b"e" * 32, "tls-server-end-point": b"c" * 32}


@pytest.mark.parametrize("mechanism", EXAMPLES)
def test_the_examples_of_the_rfcs(mechanism: str) -> None:
    mine, theirs, salt, proof, signature = EXAMPLES[mechanism]
    client = ScramClient(mechanism, "user", "pencil", mine)
    server = ScramServer(mechanism, {}, theirs)
    assert client.first() == f"n,,n=user,r={mine}".encode()
    assert server.first(client.first()) == ("user", "")
    keys = derive(server.hash_name, "pencil", base64.b64decode(salt), 4096)
    challenge = server.challenge(keys)
    assert challenge == f"r={mine}{theirs},s={salt},i=4096".encode()
    final = client.respond(challenge)
    assert final == f"c=biws,r={mine}{theirs},p={proof}".encode()
    assert server.final(final) == f"v={signature}".encode()
    client.verify(server.final(final))


def meet(client: ScramClient, server: ScramServer, password: str = "secret") -> None:
    """Take both through the exchange; raises ScramError where one refuses."""
    server.first(client.first())
    keys = derive(server.hash_name, password, b"salt", 4096)
    client.verify(server.final(client.respond(server.challenge(keys))))


@pytest.mark.parametrize("mechanism", HASHES)
@pytest.mark.parametrize("kind", BINDINGS)
def test_bound_channels(mechanism: str, kind: str) -> None:
    plus = mechanism + "-PLUS"
    client = ScramClient(plus, "a,b=c", "secret", "n", binding=(kind, BINDINGS[kind]), authzid="x")
    server = ScramServer(plus, BINDINGS, "m")
    assert server.first(client.first()) == ("a,b=c", "x")
    keys = derive(server.hash_name, "secret", b"salt", 4096)
    client.verify(server.final(client.respond(server.challenge(keys))))


@pytest.mark.parametrize(
    ("client", "server", "code"),
    [
        (ScramClient("SCRAM-SHA-256-PLUS", "a", "secret", "n", binding=("tls-exporter", b"other")),
         ScramServer("SCRAM-SHA-256-PLUS", BINDINGS, "m"), "channel-bindings-dont-match"),
        (ScramClient("SCRAM-SHA-256-PLUS", "a", "secret", "n", binding=("tls-unique", b"u")),
         ScramServer("SCRAM-SHA-256-PLUS", BINDINGS, "m"), "unsupported-channel-binding-type"),
        (ScramClient("SCRAM-SHA-256", "a", "secret", "n", could_bind=True),
         ScramServer("SCRAM-SHA-256", BINDINGS, "m"), "server-does-support-channel-binding"),
        (ScramClient("SCRAM-SHA-256-PLUS", "a", "secret", "n", binding=("tls-exporter", b"e" * 32)),
         ScramServer("SCRAM-SHA-256", BINDINGS, "m"), "channel-binding-not-supported"),
        (ScramClient("SCRAM-SHA-256", "a", "secret", "n"),
         ScramServer("SCRAM-SHA-256-PLUS", BINDINGS, "m"), "channel-bindings-dont-match"),
        (ScramClient("SCRAM-SHA-256", "a", "wrong", "n"),
         ScramServer("SCRAM-SHA-256", {}, "m"), "invalid-proof"),
    ],
)  # fmt: skip
def test_who_is_refused(client: ScramClient, server: ScramServer, code: str) -> None:
    with pytest.raises(ScramError) as caught:
        meet(client, server)
    assert caught.value.code == code


def test_a_client_that_could_bind_where_nothing_is_offered() -> None:
    client = ScramClient("SCRAM-SHA-256", "a", "secret", "n", could_bind=True)
    meet(client, ScramServer("SCRAM-SHA-256", {}, "m"))


@pytest.mark.parametrize(
    "message",
    [b"", b"n,,", b"n,,n=,r=x", b"n,,n=a", b"n,,m=x,n=a,r=x", b"x,,n=a,r=x", b"n,b,n=a,r=x", b"n,,r=x,n=a",
     b"n,,n=a=2D,r=x", b"n,,n=a,r=", b"n,,n=a\xff,r=x", b"n,,n=a,r=\xc3\xa9", b"n,,n=" + b"a" * 5000 + b",r=x"],
)  # fmt: skip
def test_malformed_client_first(message: bytes) -> None:
    with pytest.raises(ScramError):
        ScramServer("SCRAM-SHA-256", {}, "m").first(message)


@pytest.mark.parametrize(
    "message", [b"", b"c=biws", b"c=biws,r=nm", b"c=!,r=nm,p=AA==", b"c=biws,r=other,p=AA==", b"c=biws,r=nm,p=AA=="]
)  # fmt: skip
def test_malformed_client_final(message: bytes) -> None:
    server = ScramServer("SCRAM-SHA-256", {}, "m")
    server.first(b"n,,n=a,r=n")
    server.challenge(derive("sha256", "x", b"s", 4096))
    with pytest.raises(ScramError):
        server.final(message)


@pytest.mark.parametrize(
    "challenge",
    [b"", b"r=nm,s=AA==", b"r=other,s=AA==,i=4096", b"r=n,s=AA==,i=4096", b"r=nm,s=!,i=4096", b"r=nm,s=AA==,i=1",
     b"r=nm,s=AA==,i=99999999", b"r=nm,s=AA==,i=x"],
)  # fmt: skip
def test_a_client_takes_no_bad_challenge(challenge: bytes) -> None:
    with pytest.raises(ScramError):
        ScramClient("SCRAM-SHA-256", "a", "secret", "n").respond(challenge)


@pytest.mark.parametrize("final", [b"e=invalid-proof", b"v=AAAA", b"", b"x"])
def test_a_client_believes_no_server_without_proof(final: bytes) -> None:
    client = ScramClient("SCRAM-SHA-256", "a", "secret", "n")
    client.respond(b"r=nm,s=AA==,i=4096")
    with pytest.raises(ScramError):
        client.verify(final)


# RFC 4013 §3.
@pytest.mark.parametrize(
    ("text", "prepared"),
    [("I\xadX", "IX"), ("user", "user"), ("USER", "USER"), ("\xaa", "a"), ("\u2168", "IX")],
)
def test_saslprep(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize("text", ["\x07", "\u0627\x31", "a\u0627", "\u0221"])
def test_saslprep_refuses(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        saslprep(text)
