"""Ask a running process through its unix socket: a JSON object a line, each way."""

import json
import socket
from pathlib import Path
from typing import Final

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
    request = json.dumps({**arguments, "command": command}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(TIMEOUT_S)
            client.connect(str(path))
            client.sendall(request)
            line = client.makefile("rb").readline(ANSWER_MAX)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise AskError(f"Columba is not running (no answer at {path})", EX_TEMPFAIL) from error
    except PermissionError as error:
        raise AskError(f"{path}: {error.strerror}", EX_NOPERM) from error
    except OSError as error:
        raise AskError(f"{path}: {error}", EX_TEMPFAIL) from error
    return _rows(line, path)


def _rows(line: bytes, path: Path) -> list[Row]:
    try:
        answer = json.loads(line)
        if not answer["ok"]:
            raise AskError(str(answer["error"]), int(answer["exit_code"]))
        rows: list[Row] = answer["rows"]
    except (ValueError, KeyError, TypeError) as error:
        raise AskError(f"{path}: no answer that can be read", EX_PROTOCOL) from error
    return rows
