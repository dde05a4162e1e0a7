"""The directory pipe: tables in pieces, garbage between them, old ones."""

from columba.master.anvil.tables import LINE_MAX, Tables


def line(number: int) -> bytes:
    slots = b'{"service":"a","slot":0,"pid":1,"generation":2,"state":"ready"}'
    return b'{"number":%d,"slots":[%s]}\n' % (number, slots)


def test_a_table_comes_byte_by_byte() -> None:
    tables = Tables()
    told = [tables.feed(bytes([octet])) for octet in line(7)]
    assert told == [False] * (len(told) - 1) + [True]
    assert tables.newest.number == 7
    assert tables.newest.slots[0].name == "a.0.2"


def test_garbage_is_counted_and_the_table_stays() -> None:
    tables = Tables()
    assert tables.feed(line(1) + b'{"number":\n[[[\n' + line(2))
    assert tables.newest.number == 2
    assert tables.malformed == 2


def test_an_older_table_is_ignored() -> None:
    tables = Tables()
    tables.feed(line(5))
    assert not tables.feed(line(4))
    assert tables.newest.number == 5


def test_a_line_without_end_is_dropped() -> None:
    tables = Tables()
    tables.feed(b"x" * (LINE_MAX + 1))
    assert tables.malformed == 1
    assert tables.feed(line(1))
