"""Events: what happened, with typed fields that children inherit.

Logging is sending: the same event feeds the log and the metrics. A message is static text, what varies
stands in fields; bodies, passwords and AUTH lines never do. Each line goes to stderr in the form of
Dovecot's log protocol (byte 1, level, pid, space, text, LF), which the log service reads; a line
without the first byte is noise of a library and is logged as an error. Fields whose value is None are left out.
"""

import os
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from columba.common.log.level import Level

Value = str | int | float | bool | None
Sink = Callable[[Level, str], None]
_PLAIN: Final = re.compile(r'[^\x00-\x20"=]+')  # needs no quotes
TRACE_PLACES: Final = 8
LINE_MAX: Final = 4000  # octets: below PIPE_BUF, so that lines of two processes never mix


class Event:
    """One node: a sink, inherited fields, a floor below which nothing is written."""

    __slots__ = ("_fields", "_floor", "_sink")

    def __init__(
        self, sink: Sink, fields: dict[str, Value] | None = None, floor: Level = Level.INFO
    ) -> None:
        self._sink, self._fields, self._floor = sink, fields or {}, floor

    def child(self, **fields: Value) -> "Event":
        """Return an event that carries these fields as well."""
        return Event(self._sink, {**self._fields, **fields}, self._floor)

    def debug(self, message: str, **fields: Value) -> None:
        """Say what only a developer wants to know."""
        if self._floor <= Level.DEBUG:
            self._write(Level.DEBUG, message, fields)

    def info(self, message: str, **fields: Value) -> None:
        """Say what happened."""
        self._write(Level.INFO, message, fields)

    def warning(self, message: str, **fields: Value) -> None:
        """Say what an administrator should look at some day."""
        self._write(Level.WARNING, message, fields)

    def error(self, message: str, **fields: Value) -> None:
        """Say what an administrator must look at."""
        self._write(Level.ERROR, message, fields)

    def crashed(self, message: str, error: BaseException, **fields: Value) -> None:
        """Say what an unforeseen error ended, and the way that the error came: the mistake is ours."""
        found: dict[str, Value] = {**fields, "error": repr(error), "trace": trace_of(error)}
        self._write(Level.ERROR, message, found)

    def fatal(self, message: str, **fields: Value) -> None:
        """Say why this process ends."""
        self._write(Level.FATAL, message, fields)

    def _write(self, level: Level, message: str, fields: dict[str, Value]) -> None:
        pairs = [f"{k}={_show(v)}" for k, v in {**self._fields, **fields}.items() if v is not None]
        self._sink(level, f"{message}: {' '.join(pairs)}" if pairs else message)


def stderr_sink(level: Level, text: str) -> None:
    """Write one record to stderr as the log service reads it; a full pipe blocks, none is lost."""
    clean = text.replace("\n", "\\n").replace("\r", "\\r").encode(errors="replace")[:LINE_MAX]
    record = b"\x01" + bytes([level + 1]) + b"%d %b\n" % (os.getpid(), clean)
    while record:
        try:
            record = record[os.write(2, record) :]
        except BlockingIOError:
            os.set_blocking(2, True)
        except OSError:
            return


def trace_of(error: BaseException) -> str:
    """Return the last places that an error came through, as one line."""
    places = list(traceback.walk_tb(error.__traceback__))[-TRACE_PLACES:]  # reads no source files
    return " > ".join(
        f"{Path(f.f_code.co_filename).name}:{n}:{f.f_code.co_name}" for f, n in places
    )


def _show(value: Value) -> str:
    if value is True or value is False:
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
