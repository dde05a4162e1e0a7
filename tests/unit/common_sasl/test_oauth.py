"""Bearer messages."""

import json

import pytest

from columba.common.errors import RemoteProtocolError
from columba.common.sasl.oauth import BearerMessage, parse_bearer, refusal
from tests.fakes.auth import format_bearer


def test_the_examples_of_their_sources() -> None:
    # RFC 7628 §4.1, and Google's page on XOAUTH2.
    said = b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3==\x01\x01"
    assert parse_bearer("OAUTHBEARER", said) == BearerMessage(
        "user@example.com", "vF9dft4qmTc2Nvb3=="
    )
    said = b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2\x01\x01"
    assert parse_bearer("XOAUTH2", said) == BearerMessage(
        "someuser@example.com", "ya29.vF9dft4qmTc2"
    )


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_what_is_written_reads_back(mechanism: str) -> None:
    message = format_bearer(mechanism, "a@b.example", "t0ken")
    assert parse_bearer(mechanism, message) == BearerMessage("a@b.example", "t0ken")
    assert json.loads(refusal(mechanism))["status"]


@pytest.mark.parametrize(
    "message",
    [b"", b"\x01", b"user=a", b"user=a\x01\x01", b"user=a\x01auth=Basic x\x01\x01", b"user=\x01auth=Bearer x\x01\x01",
     b"n,a=a,\x01auth=Bearer x", b"n,,\x01auth=Bearer x\x01\x01", b"p=x,a=a,\x01auth=Bearer x\x01\x01",
     b"user=\xff\x01auth=Bearer x\x01\x01", b"n,a=a,\x01auth=Bearer \x01\x01", b"x" * 9000],
)  # fmt: skip
@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_malformed(mechanism: str, message: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_bearer(mechanism, message)
