"""Trace fields and loops."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from columba.common.mail.header import Header
from columba.common.mail.received import (
    Hop,
    is_looping,
    passages,
    protocol,
    received,
)
from tests.fakes.headers import is_well_formed

HOP = Hop("client.example", "rdns.example", "192.0.2.1", "mx.example.org", "01ABC", 0.0)


def test_a_plain_hop() -> None:
    assert received(HOP) == (
        b"Received: from client.example (rdns.example [192.0.2.1])\r\n"
        b"\tby mx.example.org with ESMTP id 01ABC;\r\n\tThu, 1 Jan 1970 00:00:00 +0000\r\n"
    )


def test_tls_login_and_recipient() -> None:
    hop = dataclasses.replace(
        HOP, name="", address="2001:db8::1", tls_version="TLSv1.3", tls_cipher="TLS_AES_256_GCM_SHA384",
        is_authenticated=True, recipient="a@b.example",
    )  # fmt: skip
    assert received(hop) == (
        b"Received: from client.example ([IPv6:2001:db8::1])\r\n\tby mx.example.org with ESMTPSA id 01ABC\r\n"
        b"\ttls TLS_AES_256_GCM_SHA384 (TLSv1.3)\r\n\tfor <a@b.example>;\r\n"
        b"\tThu, 1 Jan 1970 00:00:00 +0000\r\n"
    )
    old = dataclasses.replace(hop, tls_version="TLSv1.2", tls_cipher="ECDHE-RSA-AES128-SHA")
    assert b"\r\n\t(TLSv1.2 ECDHE-RSA-AES128-SHA)\r\n" in received(old)


def test_the_words_after_with() -> None:
    change = dataclasses.replace
    assert protocol(change(HOP, is_esmtp=False)) == "SMTP"
    assert protocol(HOP) == "ESMTP"
    assert protocol(change(HOP, tls_version="TLSv1.3")) == "ESMTPS"
    assert protocol(change(HOP, is_authenticated=True)) == "ESMTPA"
    assert protocol(change(HOP, is_utf8=True)) == "UTF8SMTP"
    assert (
        protocol(change(HOP, is_utf8=True, tls_version="x", is_authenticated=True)) == "UTF8SMTPSA"
    )
    assert protocol(change(HOP, is_lmtp=True, tls_version="x")) == "LMTPS"
    assert protocol(change(HOP, is_lmtp=True, is_utf8=True)) == "UTF8LMTP"


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_no_name_of_a_client_adds_anything(helo: str, name: str, recipient: str) -> None:
    hop = dataclasses.replace(HOP, helo=helo, name=name, recipient=recipient)
    header = Header(received(hop))
    assert len(header) == 1
    assert is_well_formed(header)
    value = header.fields[0].unfolded
    assert value.count(b";") == value.count(b"(") == value.count(b")") == 1
    assert passages(header, "mx.example.org") == 1


def test_loops() -> None:
    ours = received(HOP)
    other = received(dataclasses.replace(HOP, by="other.example"))
    assert not is_looping(Header(ours * 10), "mx.example.org")
    assert is_looping(Header(ours * 11), "MX.example.org")
    assert not is_looping(Header(other * 100), "mx.example.org")
    assert is_looping(Header(other * 101), "mx.example.org")
    assert passages(Header(b"Received: (by mx.example.org) x\r\n"), "mx.example.org") == 0
