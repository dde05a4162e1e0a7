"""Read replies as a client does.

Pure. Lines go in, a Reply comes out when its last line is there; what is no reply raises
RemoteProtocolError. An enhanced code that all lines share is taken off them; else the lines stay as sent.
Sources: RFC 5321 §4.2.1, RFC 2034 §4.
"""

from columba.common import limits
from columba.common.errors import RemoteProtocolError
from columba.common.smtp.abnf import ENHANCED, REPLY_LINE
from columba.common.smtp.codes import Reply


class ReplyParser:
    """Collects the lines of one reply after the other."""

    __slots__ = ("_code", "_lines", "_max_lines")

    def __init__(self, max_lines: int = limits.REPLY_LINES) -> None:
        self._code, self._max_lines = 0, max_lines
        self._lines: list[str] = []

    def feed(self, line: bytes) -> Reply | None:
        """Take one line without its line end; return the reply if this was its last line."""
        found = REPLY_LINE.fullmatch(line)
        if found is None:
            raise RemoteProtocolError(f"not a reply: {line[:80]!r}")
        code = int(found[1])
        if self._lines and code != self._code:
            raise RemoteProtocolError(f"reply changes its code from {self._code} to {code}")
        if len(self._lines) >= self._max_lines:
            raise RemoteProtocolError("reply has too many lines")
        self._code = code
        self._lines.append((found[3] or b"").decode("utf-8", "replace"))
        if found[2] == b"-":
            return None
        lines, self._lines = self._lines, []
        return make_reply(code, lines)


def make_reply(code: int, lines: list[str]) -> Reply:
    """Return the reply of these lines; an enhanced code that all lines share is taken off them."""
    found = ENHANCED.match(lines[0])
    if found is None or int(found[1]) != code // 100:
        return Reply(code, "", tuple(lines))
    enhanced = found[0]
    if not all(line == enhanced or line.startswith(enhanced + " ") for line in lines):
        return Reply(code, "", tuple(lines))
    return Reply(code, enhanced, tuple(line[len(enhanced) + 1 :] for line in lines))
