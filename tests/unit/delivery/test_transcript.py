"""What was said is kept for the last mails, and told line by line."""

import pytest

from columba.common.errors import RefusedError
from columba.delivery.control import Control
from columba.delivery.health import Health
from columba.delivery.target import Endpoint
from columba.delivery.transcript import LINES_MAX, OVERHEAD, Heard, Shelf, Transcript, told
from columba.delivery.window import Bounds, Windows
from tests.fakes.delivering import seconds


def heard(text: bytes, at_ns: int = 0) -> Heard:
    return Heard("mx.test", ((at_ns, "S", text),))


def test_a_transcript_is_taken_once_and_bounded() -> None:
    transcript = Transcript()
    for number in range(LINES_MAX + 5):
        transcript.note(number, "C", b"NOOP\r\n")
    assert len(transcript.take()) == LINES_MAX and transcript.take() == ()


def test_the_oldest_mails_make_room() -> None:
    shelf = Shelf(3 * (2 * OVERHEAD + 100))
    for name in "abc":
        shelf.put(name, heard(b"x" * 100))
    shelf.put("a", heard(b"x" * 100))  # spoken of again: the newest
    assert [len(shelf.of(name)) for name in "abc"] == [2, 0, 1]
    shelf.put("d", heard(b"x" * 5000))  # greater than all the room
    shelf.put("e", Heard("mx.test", ()))
    assert shelf.of("d") == shelf.of("e") == () and len(shelf.of("a")) == 2
    nothing = Shelf(0)
    nothing.put("a", heard(b""))
    assert nothing.of("a") == ()


def test_each_line_has_its_time() -> None:
    said = heard(b"250-mx\r\n250 gr\xfc\xdfe\r\n", at_ns=5_000_000_000)
    rows = told([said], wall_ns=100_000_000_000, now_ns=7_000_000_000)
    assert rows == [
        {"at": 98.0, "hop": "mx.test", "text": "S: 250-mx"},
        {"at": 98.0, "hop": "mx.test", "text": "S: 250 gr\\xfc\\xdfe"},
    ]


async def test_an_administrator_asks() -> None:
    shelf, windows, health = Shelf(10_000), Windows(Bounds(9, first=4)), Health(30)
    shelf.put("01M", heard(b"220 mx\r\n"))
    assert await windows.of("mx:x.test").enter(seconds(1))
    health.failed(Endpoint("mx", "192.0.2.1", 25), 2_000_000_000, seconds(0))
    control = Control(shelf, windows, health)
    (row,) = await control.ask("transcript", {"id": "01M"})
    assert (row["hop"], row["text"]) == ("mx.test", "S: 220 mx")
    assert await control.ask("transcript", {}) == []
    assert await control.ask("destinations", {}) == [
        {"destination": "mx:x.test", "active": 1, "waiting": 0, "room": 4}
    ]
    (row,) = await control.ask("down", {})
    assert (row["address"], row["port"]) == ("192.0.2.1", 25)
    with pytest.raises(RefusedError):
        await control.ask("what", {})
