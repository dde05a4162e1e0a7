"""Cut what comes out of a stderr pipe into records, and render them.

Pure. A record is `\\x01`, a level octet, the PID, a space, text, LF (common/log/event.py writes it); a line of any
other form is the noise of a library, or a traceback, and is logged as an error, so that it is never lost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from columba.common.log.level import Level

LINE_MAX: Final = 8192
MARK: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log. pid is 0 for noise, whose process is not known."""

    service: str
    level: Level
    pid: int
    text: str
    at_s: float

    @property
    def prefix(self) -> str:
        """Return `service(pid): `."""
        return f"{self.service}({self.pid}): " if self.pid else f"{self.service}: "


class Splitter:
    """What has come from one pipe, and is not a whole line yet."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._rest = b""

    def feed(self, data: bytes, at_s: float) -> list[Record]:
        """Return the records that data completes. A line without an end is cut at LINE_MAX."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > LINE_MAX:
            lines.append(self._rest[:LINE_MAX])
            self._rest = self._rest[LINE_MAX:]
        return [parse_line(self._service, line, at_s) for line in lines if line.strip()]

    def finish(self, at_s: float) -> list[Record]:
        """Return what is left as a record."""
        rest, self._rest = self._rest, b""
        return [parse_line(self._service, rest, at_s)] if rest.strip() else []


def parse_line(service: str, line: bytes, at_s: float) -> Record:
    """Return the record of a line without its end."""
    if line[:1] == MARK and len(line) > 2:
        pid, space, text = line[2:].partition(b" ")
        level = line[1] - 1
        if space and pid.isdigit() and len(pid) < 11 and 0 <= level <= Level.PANIC:
            return Record(service, Level(level), int(pid), clean(text), at_s)
    return Record(service, Level.ERROR, 0, clean(line), at_s)


def clean(text: bytes) -> str:
    """Return text in which no control character can forge a line or move a cursor."""
    decoded = text.decode(errors="backslashreplace")
    if decoded.isprintable():
        return decoded
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in decoded)


def render(record: Record, stamp_of: Callable[[float], str]) -> str:
    """Return `Nov 22 07:06:30.123 service(pid): Info: text`; stamp_of gives the part before the dot."""
    milliseconds = int(record.at_s * 1000) % 1000
    level = record.level.name.capitalize()
    return f"{stamp_of(record.at_s)}.{milliseconds:03d} {record.prefix}{level}: {record.text}"
