"""Replies: code, enhanced code and lines; how they are written, and every text of our own.

Pure. A Reply is a Struct, because it also crosses processes inside outcomes and verdicts.
Sources: RFC 5321 §4.2 (codes), RFC 3463 and 7504 (enhanced codes), RFC 2034 (where these stand).
"""

from typing import Final

import msgspec

from columba.common import limits
from columba.common.smtp.abnf import ENHANCED


class Reply(msgspec.Struct, frozen=True):
    """One SMTP reply.

    code is 200–599. enhanced is "2.1.5", or "" where a reply has none (greeting, EHLO, 3xx) or where
    each line brings its own. lines are the text without codes and line ends, at least one.
    """

    code: int
    enhanced: str = ""
    lines: tuple[str, ...] = ("",)

    @property
    def positive(self) -> bool:
        """Tell whether the command was taken (2xx) or goes on (3xx)."""
        return self.code < 400

    @property
    def temporary(self) -> bool:
        """Tell whether the same command may succeed later (4xx)."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """Tell whether the same command will fail again (5xx)."""
        return self.code >= 500

    def status(self) -> str:
        """Return the enhanced code, of the first line if each has its own, or X.0.0 of the code's class."""
        if self.enhanced:
            return self.enhanced
        found = ENHANCED.match(self.lines[0])
        return found[0] if found else f"{self.code // 100}.0.0"

    def text(self) -> str:
        """Return the words of all lines in one line."""
        return " ".join(self.lines)

    def one_line(self, limit: int = limits.HOP_TEXT) -> str:
        """Return code, enhanced code and words as one line of printable ASCII, cut at limit octets."""
        words = (str(self.code), self.enhanced, self.text())
        return ascii_line(" ".join(word for word in words if word), limit)

    def encode(self) -> bytes:
        """Return the reply as it goes over the wire, with CRLF."""
        prefix = f"{self.enhanced} " if self.enhanced else ""
        if len(self.lines) == 1:
            return f"{self.code} {prefix}{self.lines[0]}\r\n".encode()
        last = len(self.lines) - 1
        return "".join(
            f"{self.code}{' ' if n == last else '-'}{prefix}{line}\r\n"
            for n, line in enumerate(self.lines)
        ).encode()


def reply(code: int, enhanced: str, *lines: str) -> Reply:
    """Return a reply of these lines."""
    return Reply(code, enhanced, lines)


def clean_line(text: str) -> str:
    """Return text fit for one line of a reply: control characters become blanks."""
    return "".join(c if c >= " " and c != "\x7f" else " " for c in text)


def ascii_line(text: str, limit: int = limits.HOP_TEXT) -> str:
    """Return text as one line of printable ASCII of at most `limit` octets (promises §2)."""
    if not (text.isascii() and text.isprintable()):
        escaped = text.encode("ascii", "backslashreplace").decode()
        text = "".join(c if c.isprintable() else " " for c in escaped)
    return text[:limit].rstrip()


# Every text of ours that has no argument.
OK: Final = reply(250, "2.0.0", "Ok")
SENDER_OK: Final = reply(250, "2.1.0", "Sender ok")
RECIPIENT_OK: Final = reply(250, "2.1.5", "Recipient ok")
FLUSHED: Final = reply(250, "2.0.0", "Flushed")
SEND_MESSAGE: Final = Reply(354, "", ("End data with <CR><LF>.<CR><LF>",))
PRDR_FOLLOWS: Final = Reply(353, "", ("A reply for each recipient follows",))
START_TLS: Final = reply(220, "2.0.0", "Ready to start TLS")
AUTHENTICATED: Final = reply(235, "2.7.0", "Authentication successful")
CANNOT_VERIFY: Final = reply(252, "2.5.0", "Cannot VRFY user, send some mail, I will try my best")
HELP: Final = reply(214, "2.0.0", "See RFC 5321")

UNKNOWN_COMMAND: Final = reply(500, "5.5.2", "Command not recognised")
EMPTY_COMMAND: Final = reply(500, "5.5.2", "Empty command line")
LINE_TOO_LONG: Final = reply(500, "5.5.6", "Command line too long")
BARE_NEWLINE_COMMAND: Final = reply(
    500, "5.5.2", "Bare <CR> or <LF> or a control character in a command"
)
NO_ARGUMENT: Final = reply(501, "5.5.4", "This command takes no argument")
BAD_HELO: Final = reply(501, "5.5.4", "A domain or address literal is needed")
BAD_PATH: Final = reply(501, "5.1.7", "Bad sender address syntax")
BAD_RECIPIENT: Final = reply(501, "5.1.3", "Bad recipient address syntax")
LOCAL_PART_TOO_LONG: Final = reply(501, "5.1.3", "Local part longer than 64 octets")
BAD_PARAMETER: Final = reply(501, "5.5.4", "Syntax error in a parameter")
BAD_ATTRIBUTE: Final = reply(501, "5.5.4", "Attribute not recognised")
UNKNOWN_PARAMETER: Final = reply(555, "5.5.4", "Parameter not recognised or not offered")
DOUBLE_PARAMETER: Final = reply(501, "5.5.4", "Parameter given twice")
BAD_AUTH: Final = reply(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]")
BAD_CHUNK: Final = reply(501, "5.5.4", "Syntax: BDAT size [LAST]; the size is unknown, closing")
BAD_BASE64: Final = reply(501, "5.5.2", "Cannot decode the response")
UNKNOWN_MECHANISM: Final = reply(504, "5.5.4", "Authentication mechanism not offered")
NEEDS_UTF8: Final = reply(553, "5.6.7", "This address needs the SMTPUTF8 parameter")
NOT_UTF8: Final = reply(501, "5.5.2", "Not valid UTF-8")

HELO_FIRST: Final = reply(503, "5.5.1", "Send HELO or EHLO first")
LHLO_FIRST: Final = reply(503, "5.5.1", "Send LHLO first")
WRONG_HELLO_LMTP: Final = reply(500, "5.5.1", "This is LMTP: use LHLO")
MAIL_FIRST: Final = reply(503, "5.5.1", "Send MAIL first")
NESTED_MAIL: Final = reply(503, "5.5.1", "Sender already given")
RCPT_FIRST: Final = reply(503, "5.5.1", "Send RCPT first")
NO_RECIPIENTS: Final = reply(554, "5.5.1", "No valid recipients")
IN_CHUNKS: Final = reply(503, "5.5.1", "The message has begun: go on with BDAT, or RSET")
IN_TRANSACTION: Final = reply(503, "5.5.1", "Not allowed while a mail transaction is open")
NOT_IMPLEMENTED: Final = reply(502, "5.5.1", "Command not implemented")
TLS_ACTIVE: Final = reply(503, "5.5.1", "TLS is already active")
AUTH_TWICE: Final = reply(503, "5.5.1", "Already authenticated")

TOO_MANY_RECIPIENTS: Final = reply(452, "4.5.3", "Too many recipients")
NO_RELAYING: Final = reply(550, "5.7.1", "Relaying denied")
TOO_MANY_ERRORS: Final = reply(421, "4.7.0", "Too many errors, closing")
TALKED_FIRST: Final = reply(554, "5.5.1", "Talked before the greeting, closing")
BAD_NEWLINE: Final = reply(
    550, "5.5.2", "Message contains a bare <CR> or <LF>; lines end with <CR><LF>"
)
TOO_BIG: Final = reply(552, "5.3.4", "Message size exceeds the limit")
HEADER_TOO_BIG: Final = reply(552, "5.3.4", "Message header exceeds the limit")
OUT_OF_STEP: Final = reply(554, "5.5.0", "DATA refused, and input behind it: out of step, closing")
AFTER_STARTTLS: Final = reply(554, "5.5.1", "Input after STARTTLS before the handshake, closing")

LOCAL_ERROR: Final = reply(451, "4.3.0", "Local error in processing, try again later")
FILTER_UNAVAILABLE: Final = reply(451, "4.3.2", "Mail filter not available, try again later")
MEMORY_FULL: Final = reply(452, "4.3.1", "Too many messages at a time, try again later")
SYSTEM_FULL: Final = reply(452, "4.3.1", "Insufficient system storage, try again later")
AUTH_FAILED: Final = reply(535, "5.7.8", "Authentication credentials invalid")
AUTH_TEMPORARY: Final = reply(454, "4.7.0", "Temporary authentication failure")
AUTH_CANCELLED: Final = reply(501, "5.7.0", "Authentication cancelled")
AUTH_REQUIRED: Final = reply(530, "5.7.0", "Authentication required")
NOT_YOURS: Final = reply(553, "5.7.1", "Sender address does not belong to your login")
NEVER_HELD: Final = reply(501, "5.5.4", "This mail can't be held for a later release")
HELD_TOO_LONG: Final = reply(501, "5.5.4", "The release is further ahead than was offered")
NO_SUCH_LIST: Final = reply(550, "5.1.1", "No such mailing list")
NOT_FOR_YOU: Final = reply(550, "5.7.1", "Access denied to you")
TLS_REQUIRED: Final = reply(530, "5.7.0", "Send STARTTLS first")


def greeting(hostname: str, words: str) -> Reply:
    """Return the 220 of a new connection (RFC 5321 §4.2: the first word is our name)."""
    return Reply(220, "", (f"{hostname} {words}",))


def chunk_taken(octets: int) -> Reply:
    """Return the answer to a chunk that is not the last (RFC 3030 §2)."""
    return Reply(250, "2.0.0", (f"{octets} octets received",))


def closing(hostname: str) -> Reply:
    """Return the answer to QUIT."""
    return Reply(221, "2.0.0", (f"{hostname} closing connection",))


def unavailable(hostname: str, reason: str, enhanced: str = "4.3.2") -> Reply:
    """Return a 421: we close now, for this reason (RFC 5321 §3.8)."""
    return Reply(421, enhanced, (f"{hostname} {clean_line(reason)}",))
