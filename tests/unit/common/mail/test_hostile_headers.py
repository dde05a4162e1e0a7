"""Headers made to cost time: the work grows with the octets, not with their square."""

import time
from collections.abc import Callable

import pytest

from columba.common.limits import ADDRESS_FIELD, HEADER_SIZE
from columba.common.mail.addresses import parse_addresses
from columba.common.mail.header import Header
from columba.common.mail.mime import parse_content_type


def cost_s(work: Callable[[], object]) -> float:
    """Return the least CPU time of three runs."""
    found = []
    for _ in range(3):
        began = time.thread_time()
        work()
        found.append(time.thread_time() - began)
    return min(found)


def test_removing_many_fields_is_linear() -> None:
    line = b"Return-Path:\r\n"
    few, many = Header(line * 2000), Header(line * (HEADER_SIZE // len(line)))
    _ = few.get("x"), many.get("x")  # the index is made once
    ratio = len(many) / len(few)
    assert cost_s(lambda: many.remove("return-path")) < 4 * ratio * cost_s(
        lambda: few.remove("return-path")
    )


@pytest.mark.parametrize("piece", ["a,", "a@", "a ", "a:;", "a."])
def test_a_field_of_marks_is_read_to_a_bound(piece: str) -> None:
    found = parse_addresses((piece * ADDRESS_FIELD)[:ADDRESS_FIELD].encode())
    assert not found.is_clean


def test_a_thousand_plain_addresses_are_read() -> None:
    text = ", ".join(f"Ann <u{n}@b.example>" for n in range(1000))
    found = parse_addresses(text.encode())
    assert found.is_clean and len(found.mailboxes) == 1000


@pytest.mark.parametrize("piece", [b"(\\", b"((", b'"\\', b'("\\', b';a="\\', b"()", b"(\\)"])
def test_a_media_type_of_marks_is_read_in_linear_time(piece: bytes) -> None:
    """One part of a mail held a process for nine seconds with 16,000 times an open comment."""
    value = b"text/plain; " + piece * (HEADER_SIZE // len(piece))
    assert cost_s(lambda: parse_content_type(value)) < 0.5


@pytest.mark.parametrize(
    "value",
    [
        b"text/plain (a) ; (b (nested) c) name=x (d",
        b'text/plain; x="(\\"" ; (;name=no) name=x',
        b"text(\\))/plain;name=x",
    ],
)
def test_comments_of_a_media_type_are_no_part_of_it(value: bytes) -> None:
    found = parse_content_type(value)
    assert (found.name, found.parameters["name"]) == ("text/plain", "x")
