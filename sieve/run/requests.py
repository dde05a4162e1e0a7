"""What a run may ask the world, and what it may hear.

Pure. A request is a value; whoever drives the machine finds the answer. A later extension adds its
request and answer types to the unions.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lookup:
    """Asks a look-up table for the value of a key (vnd.columba.lookup). Answers: Found, Missing, Unavailable."""

    table: str
    key: str


@dataclass(frozen=True, slots=True)
class DictGet:
    """Asks for the value of a key in a dict; "" is that of our own marks. Answers: Found, Missing, Unavailable.

    What the run itself wrote is not in it: run/effects.py, written().
    """

    dict: str
    key: str


@dataclass(frozen=True, slots=True)
class ClientName:
    """Asks for the client's name by its PTR record. Answers: Found, its value "STATE NAME" as in wire.Client."""


@dataclass(frozen=True, slots=True)
class MailboxExists:
    """Asks whether mail can be stored in a mailbox (RFC 5490 §3.1). Answers: Found, Missing."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Metadata:
    """Asks for an annotation of a mailbox, of the server if that is "" (RFC 5490). Answers: Found, Missing."""

    mailbox: str
    annotation: str


@dataclass(frozen=True, slots=True)
class SpecialUse:
    """Asks whether a mailbox, any if it is "", has a special use (RFC 8579). Answers: Found, Missing."""

    use: str
    mailbox: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """It is there."""

    value: str


@dataclass(frozen=True, slots=True)
class Missing:
    """It is surely not there."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No answer: a temporary failure of the run, never "not found"."""

    text: str


Request = Lookup | DictGet | ClientName | MailboxExists | Metadata | SpecialUse
Answer = Found | Missing | Unavailable
