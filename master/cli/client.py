"""Ask a running process through its unix socket: a JSON object a line, each way; long answers come in pages."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from columba.common.errors import EX_NOPERM, EX_PROTOCOL, EX_TEMPFAIL
from columba.master.cli.output import Row

TIMEOUT_S: Final = 60.0
ANSWER_MAX: Final = 1 << 28


class AskError(Exception):
    """No answer, or a refusal; exit_code is what the tool ends with."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def ask(path: Path, command: str, **arguments: object) -> list[Row]:
    """Return the rows of an answer; raises AskError."""
    return [row for rows in ask_pages(path, command, **arguments) for row in rows]


def ask_pages(path: Path, command: str, **arguments: object) -> Iterator[list[Row]]:
    """Yield the rows of an answer as they come; raises AskError, also between pages."""
    with Talk(path) as talk:
        yield from talk.ask(command, **arguments)


class Talk:
    """Questions and answers over one connection; raises AskError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._lines: BinaryIO | None = None

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_: object) -> None:
        if self._lines is not None:
            self._lines.close()
        self._socket.close()

    def ask(self, command: str, **arguments: object) -> Iterator[list[Row]]:
        """Yield the rows of one answer, page by page."""
        request = json.dumps({**arguments, "command": command}).encode() + b"\n"
        more = True
        try:
            lines = self._connected()
            self._socket.sendall(request)
            while more:
                rows, more = _rows(lines.readline(ANSWER_MAX), self._path)
                yield rows
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise AskError(
                f"Columba is not running (no answer at {self._path})", EX_TEMPFAIL
            ) from error
        except PermissionError as error:
            raise AskError(f"{self._path}: {error.strerror}", EX_NOPERM) from error
        except OSError as error:
            raise AskError(f"{self._path}: {error}", EX_TEMPFAIL) from error

    def _connected(self) -> BinaryIO:
        if self._lines is None:
            self._socket.settimeout(TIMEOUT_S)
            self._socket.connect(str(self._path))
            self._lines = self._socket.makefile("rb")
        return self._lines


def _rows(line: bytes, path: Path) -> tuple[list[Row], bool]:
    """Return the rows of a line, and whether more lines belong to the answer."""
    try:
        answer = json.loads(line)
        if not answer["ok"]:
            raise AskError(str(answer["error"]), int(answer["exit_code"]))
        rows: list[Row] = answer["rows"]
    except (ValueError, KeyError, TypeError) as error:
        raise AskError(f"{path}: no answer that can be read", EX_PROTOCOL) from error
    return rows, bool(answer.get("more", False))
