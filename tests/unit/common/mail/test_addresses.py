"""Address lists, from the clean to the absurd."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from columba.common.mail.addresses import (
    Group,
    Mailbox,
    _Parser,
    parse_addresses,
    parse_mailboxes,
    quote_phrase,
)


@pytest.mark.parametrize(
    ("value", "mailboxes"),
    [
        (b"a@b.example", [("", "a@b.example")]),
        (b" a.b+c@b.example ", [("", "a.b+c@b.example")]),
        (b"<a@b.example>", [("", "a@b.example")]),
        (b"John Doe <a@b.example>", [("John Doe", "a@b.example")]),
        (b'"Doe, John" <a@b.example>', [("Doe, John", "a@b.example")]),
        (b'"Giant; \\"Big\\" Box" <a@b.example>', [('Giant; "Big" Box', "a@b.example")]),
        (b"John Q. Public <a@b.example>, b@c.example", [("John Q. Public", "a@b.example"), ("", "b@c.example")]),
        (b"a@b.example (Jane)", [("Jane", "a@b.example")]),
        (b"=?utf-8?q?J=C3=BCrgen?= <a@b.example>", [("Jürgen", "a@b.example")]),
        ("Jürgen <jürgen@grün.example>".encode(), [("Jürgen", "jürgen@grün.example")]),
        (b'"a b"@c.example', [("", '"a b"@c.example')]),
        (b'"ab"@c.example', [("", "ab@c.example")]),
        (b"a@[192.0.2.1]", [("", "a@[192.0.2.1]")]),
        (b"a@[ IPv6:2001:db8::1 ]", [("", "a@[IPv6:2001:db8::1]")]),
        (b"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", [("Pete", "pete@silly.test")]),
        (b"<@a.example,@b.example:c@d.example>", [("", "c@d.example")]),
        (b", a@b.example ,, c@d.example,", [("", "a@b.example"), ("", "c@d.example")]),
        (b"Mary <mary@x.test>,\r\n jdoe@test   . example", [("Mary", "mary@x.test"), ("", "jdoe@test.example")]),
        (b"(a(b(c)))x@y.example", [("a(b(c))", "x@y.example")]),
        (b"", []),
    ],
)  # fmt: skip
def test_clean_lists(value: bytes, mailboxes: list[tuple[str, str]]) -> None:
    found = parse_addresses(value)
    assert [(m.display, m.address) for m in found.mailboxes] == mailboxes
    assert found.is_clean


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        (b"a", []),
        (b"a@", []),
        (b"@b", []),
        (b"a b@c.example", []),
        (b"a@b@c.example", []),
        (b"x <a@b.example", []),
        (b"x <a@b.example> y", ["a@b.example"]),
        (b"a@b.example; c@d.example", ["a@b.example", "c@d.example"]),
        (b"a@b.example, (never closed c@d.example", ["a@b.example"]),
        (b'"never closed <a@b.example>', []),
        (b"Friends: a@b.example, c@d.example", ["a@b.example", "c@d.example"]),
        (b"<a@b.example> <c@d.example>", ["a@b.example"]),
    ],
)
def test_other_lists_say_so(value: bytes, addresses: list[str]) -> None:
    found = parse_addresses(value)
    assert [m.address for m in found.mailboxes] == addresses
    assert not found.is_clean


def test_a_name_with_an_at_sign_is_no_address() -> None:
    """Many write it without quotes; what counts is the address in brackets, whatever the name says."""
    found = parse_addresses(b"info@bank.example <x@evil.example>, a@b (c) d@e <f@g>")
    assert [box.address for box in found.mailboxes] == ["x@evil.example", "f@g"]
    assert found.mailboxes[0].display == "info@bank.example" and not found.is_clean


def test_groups() -> None:
    value = b"Undisclosed recipients:;, A Group(Some people):Chris <c@public.example>, joe@example.org;, x@y.example"
    found = parse_addresses(value)
    chris, joe = Mailbox("Chris", "c", "public.example"), Mailbox("", "joe", "example.org")
    assert found.entries == (
        Group("Undisclosed recipients", ()),
        Group("A Group", (chris, joe)),
        Mailbox("", "x", "y.example"),
    )
    assert found.is_clean
    assert len(found.mailboxes) == 3


words = st.text("abcXYZ019-", min_size=1, max_size=8)
mailboxes = st.builds(
    Mailbox,
    st.lists(words, max_size=3).map(" ".join),
    st.lists(words, min_size=1, max_size=3).map(".".join),
    st.lists(words, min_size=1, max_size=3).map(".".join),
)


@given(st.lists(mailboxes, max_size=5))
def test_what_is_written_is_read(boxes: list[Mailbox]) -> None:
    value = ", ".join(f"{quote_phrase(m.display)} <{m.address}>" for m in boxes).encode()
    assert parse_mailboxes(value) == tuple(boxes)
    assert parse_addresses(value).is_clean


@given(mailboxes, st.booleans())
def test_the_fast_pattern_and_the_parser_agree(box: Mailbox, in_angle: bool) -> None:
    text = f'"{box.display}" <{box.address}>' if in_angle else box.address
    assert parse_addresses(text.encode()) == _Parser(text).run()


@given(st.text('ab1.@<>,"= \r\n\t', max_size=40), st.lists(mailboxes, max_size=3))
def test_lists_are_read_the_same_by_pattern_and_parser(odd: str, boxes: list[Mailbox]) -> None:
    members = [f'"{box.display}" <{box.address}>' for box in boxes]
    for text in (", ".join([*members, odd]), ",\r\n ".join([odd, *members]), odd):
        assert parse_addresses(text.encode()) == _Parser(text.strip()).run()


@given(st.one_of(st.binary(), st.text('ab.@<>()[]:;,"\\ \r\n=?é').map(str.encode)))
def test_never_raises(value: bytes) -> None:
    found = parse_addresses(value)
    for box in found.mailboxes:
        assert box.local or '""' in box.address
        assert not set("\r\n\x00") & set(box.address)


def test_long_fields_take_linear_time() -> None:
    start = time.perf_counter()
    for evil in (b'"' + b'\\"' * 100000, b"[" + b"\\[" * 100000, b"(" * 200000, b" " * 200000 + b"x",
                 b"a " * 100000, b"a@b," * 50000, b"<" * 200000, b"\\" * 200000):  # fmt: skip
        parse_addresses(evil)
    assert time.perf_counter() - start < 4


@pytest.mark.parametrize(
    "text", ["A <a@b.>", "a@b.", "A B <a@b.c.>", "a.@b", "A <a.b.@c>", "A B  <a@b.c>"]
)
def test_what_is_nearly_usual_is_read_as_the_parser_reads_it(text: str) -> None:
    assert parse_addresses(text.encode()) == _Parser(text).run()
