"""What a line of the log says of an error that nobody foresaw."""

from columba.common.log.event import LINE_MAX, Event


def fail(depth: int) -> None:
    if depth:
        fail(depth - 1)
    raise ValueError("a = b")


def test_a_crash_is_one_line_with_the_last_places_that_it_came_through() -> None:
    lines: list[str] = []
    try:
        fail(50)
    except ValueError as error:
        Event(lambda _level, text: lines.append(text)).crashed("It broke", error, id="01M")
    (line,) = lines
    assert line.startswith('It broke: id=01M error="ValueError(\'a = b\')" trace="')
    assert line.count("test_event.py:") == 8 and "fail" in line and len(line) < LINE_MAX
