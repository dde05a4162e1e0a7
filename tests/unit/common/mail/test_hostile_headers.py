"""Headers made to cost time: the work grows with the octets, not with their square."""

import time
from collections.abc import Callable

import pytest

from columba.common.limits import ADDRESS_FIELD, HEADER_SIZE
from columba.common.mail.addresses import parse_addresses
from columba.common.mail.header import Header


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
