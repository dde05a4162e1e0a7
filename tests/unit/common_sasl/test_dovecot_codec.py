"""Dovecot's authentication protocol: both sides understand each other, however lines are split."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from columba.common.errors import RemoteProtocolError
from columba.common.sasl import dovecot
from columba.common.sasl.dovecot import (
    AuthCancel,
    AuthRequest,
    AuthResponse,
    Challenge,
    ClientMessages,
    Fail,
    Offer,
    Ok,
    ServerMessages,
    UserFound,
    UserRequest,
    UserUnknown,
)
from columba.common.sasl.plain import PlainMessage, format_plain, parse_plain

HELLO = dovecot.client_hello(17)
SERVER_HELLO = dovecot.server_hello({"PLAIN": ("plaintext",), "X": ("private",)}, 1, 2, "0" * 32)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_server_understands_client(size: int) -> None:
    text = (
        HELLO
        + dovecot.auth_request(1, "plain", {"service": "smtp", "secured": ""}, b"\0u\0p\tq")
        + dovecot.continuation(1, b"x")
        + dovecot.cancel(1)
        + dovecot.user_request(2, "a\tb", "smtp")
    )
    reader = ClientMessages()
    found = [m for at in range(0, len(text), size) for m in reader.feed(text[at : at + size])]
    assert found == [
        AuthRequest(1, "PLAIN", {"service": "smtp", "secured": ""}, b"\0u\0p\tq"),
        AuthResponse(1, b"x"),
        AuthCancel(1),
        UserRequest(2, "a\tb"),
    ]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_client_understands_server(size: int) -> None:
    text = (
        SERVER_HELLO
        + dovecot.ok(1, "u@x", {"a": "b"})
        + dovecot.fail(2, "u", "temp_fail", "come\nagain")
        + dovecot.fail(3)
        + dovecot.continuation(4, b"go")
        + dovecot.user_found(5, "u", {"home": "/h"})
        + dovecot.user_unknown(6)
    )
    reader = ServerMessages()
    found = [m for at in range(0, len(text), size) for m in reader.feed(text[at : at + size])]
    assert found == [
        Offer(("PLAIN",)),
        Ok(1, "u@x", {"a": "b"}),
        Fail(2, "temp_fail", "come\nagain"),
        Fail(3, "", ""),
        Challenge(4, b"go"),
        UserFound(5, "u", {"home": "/h"}),
        UserUnknown(6),
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"AUTH\t1\tPLAIN\tservice=smtp\n",
        b"VERSION\t2\t0\n",
        HELLO + b"AUTH\tx\tPLAIN\tservice=smtp\n",
        HELLO + b"AUTH\t1\tPLAIN\n",
        HELLO + b"AUTH\t1\tPLAIN\tservice=smtp\tresp=!\n",
        HELLO + b"FOO\t1\n",
        HELLO + b"CONT\n",
        b"x" * 20000,
    ],
)
def test_a_bad_client_is_an_error(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        ClientMessages().feed(text)


@given(st.binary())
@settings(deadline=None)
def test_escape_reads_back(field: bytes) -> None:
    escaped = dovecot.escape(field)
    assert dovecot.unescape(escaped) == field
    assert not set(escaped) & set(b"\t\n\r\0")


@given(
    st.lists(
        st.binary(max_size=8)
        | st.sampled_from([b"\t", b"\n", b"OK", b"FAIL", b"1", b"CONT", HELLO])
    )
)
@settings(deadline=None)
def test_any_bytes_give_messages_or_an_error(parts: list[bytes]) -> None:
    for reader in (ClientMessages(), ServerMessages()):
        try:
            for part in (HELLO, *parts):
                reader.feed(part)
        except RemoteProtocolError as problem:
            assert str(problem)


def test_plain() -> None:
    assert parse_plain(format_plain("ü", "p", "z")) == PlainMessage("z", "ü", b"p")
    for bad in (
        b"",
        b"a\0b",
        b"\0\0p",
        b"\0u\0",
        b"\0u\0p\0x",
        b"\0\xff\0p",
        b"\0u\0" + b"x" * 300,
    ):
        with pytest.raises(RemoteProtocolError):
            parse_plain(bad)
