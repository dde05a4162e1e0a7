"""Which command is legal when, as a table that does not know which side we are.

Pure. A command is looked up in LEGAL for the present phase; its outcome (from the class of the reply)
is looked up in NEXT. A pair that is not in NEXT leaves the phase as it is. An extension adds rows.
The transaction is reset after every end of a message, failed or not, and after RSET and a new hello.
A chunk that is refused ends the transaction too: its octets are gone (server.py eats them).
Source: RFC 5321 §4.1.4; RFC 3207 §4.2; RFC 4954 §4; RFC 3030 §2.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from columba.common.smtp import codes
from columba.common.smtp.codes import Reply
from columba.common.smtp.command import Verb


class Phase(Enum):
    """Where a session is."""

    __hash__ = object.__hash__  # as Verb's

    GREETING = "before the greeting"
    CONNECTED = "no hello yet"
    READY = "no transaction"
    MAIL = "sender taken, no recipient"
    RCPT = "at least one recipient taken"
    BODY = "message is on its way"
    PIECE = "a chunk that is not the last one is on its way"
    CHUNKS = "between two chunks"
    AUTH = "authentication exchange"
    TLS = "handshake is due"
    CLOSED = "nothing more"


class Result(Enum):
    """The class of a reply, as far as phases care."""

    __hash__ = object.__hash__  # as Verb's

    TAKEN = "2xx"
    GO_ON = "3xx"
    FAILED = "4xx or 5xx"


_HELLOS: Final = frozenset({Verb.HELO, Verb.EHLO, Verb.LHLO})
_ALWAYS: Final = frozenset({Verb.RSET, Verb.NOOP, Verb.HELP, Verb.QUIT, Verb.VRFY, Verb.EXPN})

LEGAL: Final[Mapping[Phase, frozenset[Verb]]] = {
    Phase.GREETING: frozenset(),
    Phase.CONNECTED: _ALWAYS | _HELLOS,
    Phase.READY: _ALWAYS
    | _HELLOS
    | {Verb.MAIL, Verb.STARTTLS, Verb.AUTH, Verb.XCLIENT, Verb.XFORWARD},
    Phase.MAIL: _ALWAYS | _HELLOS | {Verb.RCPT},
    Phase.RCPT: _ALWAYS | _HELLOS | {Verb.RCPT, Verb.DATA, Verb.BDAT},
    Phase.BODY: frozenset(),
    Phase.PIECE: frozenset(),
    Phase.CHUNKS: _ALWAYS | _HELLOS | {Verb.BDAT},
    Phase.AUTH: frozenset(),
    Phase.TLS: frozenset(),
    Phase.CLOSED: frozenset(),
}

_OPEN: Final = (Phase.CONNECTED, Phase.READY, Phase.MAIL, Phase.RCPT, Phase.CHUNKS)
IN_MESSAGE: Final = frozenset({Phase.BODY, Phase.PIECE, Phase.CHUNKS})

NEXT: Final[Mapping[tuple[Phase, Verb, Result], Phase]] = {
    **{(phase, verb, Result.TAKEN): Phase.READY for phase in _OPEN for verb in _HELLOS},
    **{(phase, Verb.QUIT, Result.TAKEN): Phase.CLOSED for phase in _OPEN},
    (Phase.MAIL, Verb.RSET, Result.TAKEN): Phase.READY,
    (Phase.RCPT, Verb.RSET, Result.TAKEN): Phase.READY,
    (Phase.READY, Verb.MAIL, Result.TAKEN): Phase.MAIL,
    (Phase.MAIL, Verb.RCPT, Result.TAKEN): Phase.RCPT,
    (Phase.RCPT, Verb.DATA, Result.GO_ON): Phase.BODY,
    # Every failed or finished transaction is over: MAIL and RCPT are to be said again.
    (Phase.RCPT, Verb.DATA, Result.FAILED): Phase.READY,
    (Phase.BODY, Verb.DATA, Result.TAKEN): Phase.READY,
    (Phase.BODY, Verb.DATA, Result.FAILED): Phase.READY,
    (Phase.CHUNKS, Verb.RSET, Result.TAKEN): Phase.READY,
    (Phase.MAIL, Verb.BDAT, Result.FAILED): Phase.READY,
    (Phase.RCPT, Verb.BDAT, Result.FAILED): Phase.READY,
    (Phase.PIECE, Verb.BDAT, Result.TAKEN): Phase.CHUNKS,
    (Phase.PIECE, Verb.BDAT, Result.FAILED): Phase.READY,
    (Phase.BODY, Verb.BDAT, Result.TAKEN): Phase.READY,
    (Phase.BODY, Verb.BDAT, Result.FAILED): Phase.READY,
    (Phase.READY, Verb.XCLIENT, Result.TAKEN): Phase.CONNECTED,
    (Phase.READY, Verb.STARTTLS, Result.TAKEN): Phase.TLS,
    (Phase.READY, Verb.AUTH, Result.GO_ON): Phase.AUTH,
    (Phase.AUTH, Verb.AUTH, Result.TAKEN): Phase.READY,
    (Phase.AUTH, Verb.AUTH, Result.FAILED): Phase.READY,
}

# Commands whose answer the client must have before it sends anything else: RFC 2920 §3.1, RFC 3207 §4, RFC 4954 §4.
LAST_IN_GROUP: Final = _HELLOS | {
    Verb.DATA,
    Verb.STARTTLS,
    Verb.AUTH,
    Verb.QUIT,
    Verb.NOOP,
    Verb.VRFY,
    Verb.EXPN,
}


def result_of(reply: Reply) -> Result:
    """Return the class of a reply."""
    if reply.code >= 400:
        return Result.FAILED
    return Result.GO_ON if reply.code >= 300 else Result.TAKEN


def next_phase(phase: Phase, verb: Verb, reply: Reply) -> Phase:
    """Return the phase after this reply to this command. A 421 ends the session in every phase."""
    if reply.code == 421:
        return Phase.CLOSED
    return NEXT.get((phase, verb, result_of(reply)), phase)


def out_of_order(phase: Phase, verb: Verb, lmtp: bool) -> Reply | None:
    """Return the reply to a command that is not legal now, or None if it is."""
    if verb in _HELLOS and (verb is Verb.LHLO) is not lmtp:
        # RFC 2033 §4.1: LMTP knows LHLO alone.
        return codes.WRONG_HELLO_LMTP if lmtp else codes.UNKNOWN_COMMAND
    if verb in LEGAL[phase]:
        return None
    if phase is Phase.CONNECTED:
        return codes.LHLO_FIRST if lmtp else codes.HELO_FIRST
    if phase is Phase.CHUNKS and verb in (Verb.DATA, Verb.RCPT):
        return codes.IN_CHUNKS  # RFC 3030 §2: DATA and BDAT can't be used in one transaction
    if verb is Verb.MAIL:
        return codes.NESTED_MAIL
    if verb is Verb.BDAT:
        return codes.MAIL_FIRST if phase is Phase.READY else codes.NO_RECIPIENTS
    if verb is Verb.RCPT:
        return codes.MAIL_FIRST
    if verb is Verb.DATA:
        return codes.MAIL_FIRST if phase is Phase.READY else codes.RCPT_FIRST
    return codes.IN_TRANSACTION
