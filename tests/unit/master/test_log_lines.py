import itertools

from hypothesis import given
from hypothesis import strategies as st

from columba.common.log.level import Level
from columba.master.log.lines import LINE_MAX, Splitter, parse_line, render

WIRE = b"\x01\x0242 Ready: slot=1\n\x01\x0342 Odd\nTraceback (most recent call last):\n\n\x01\x0643 Bye\n"


def test_records_and_noise() -> None:
    lines = [render(r, lambda at: f"t{at:.0f}") for r in Splitter("smtpd").feed(WIRE, 7.25)]
    assert lines == [
        "t7.250 smtpd(42): Info: Ready: slot=1",
        "t7.250 smtpd(42): Warning: Odd",
        "t7.250 smtpd: Error: Traceback (most recent call last):",
        "t7.250 smtpd(43): Panic: Bye",
    ]


@given(st.lists(st.integers(1, len(WIRE)), max_size=6))
def test_any_split_gives_the_same_records(cuts: list[int]) -> None:
    whole = Splitter("x").feed(WIRE, 1.0)
    splitter, edges = Splitter("x"), [0, *sorted(cuts), len(WIRE)]
    parts = [splitter.feed(WIRE[a:b], 1.0) for a, b in itertools.pairwise(edges)]
    assert [record for part in parts for record in part] == whole
    assert splitter.finish(1.0) == []


@given(st.binary())
def test_no_octets_forge_a_line(octets: bytes) -> None:
    record = parse_line("x", octets, 1.0)
    assert record.text.replace("\t", "").isprintable()


def test_a_line_without_end_is_cut_and_the_rest_is_kept() -> None:
    splitter = Splitter("x")
    (cut,) = splitter.feed(b"a" * (LINE_MAX + 5), 1.0)
    assert (len(cut.text), cut.level) == (LINE_MAX, Level.ERROR)
    assert [r.text for r in splitter.finish(1.0)] == ["aaaaa"]
