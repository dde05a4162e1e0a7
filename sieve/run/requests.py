"""What a run may ask the world, and what it may hear.

Pure. A request is a value; whoever drives the machine finds the answer. A later extension adds its
request and answer types to the unions.
"""

from dataclasses import dataclass

from columba.common.mailauth.result import Check


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
class DictAdd:
    """Adds to a number in a dict at once: how tries are counted. Answers: Found (the sum), Unavailable."""

    dict: str
    key: str
    amount: int
    expires_s: int


@dataclass(frozen=True, slots=True)
class DictNew:
    """Sets a value in a dict at once unless there is one. Answers: Found (what is there now), Unavailable."""

    dict: str
    key: str
    value: str
    expires_s: int


@dataclass(frozen=True, slots=True)
class Resolve:
    """Asks the DNS. type: "a", "aaaa", "mx", "txt", "ptr", "cname", "tlsa". Answers: Records, Missing, Unavailable.

    list_zone: the zone of a DNS list that is asked; that it does not answer is no error, and is logged.
    """

    name: str
    type: str
    list_zone: str = ""


@dataclass(frozen=True, slots=True)
class Callout:
    """Asks a next hop whether it takes mail from a sender for a recipient. Answers: Said, Unavailable.

    kind, host, port, path, tls: as in run/actions.RouteTo. holds: the connection is kept for the delivery.
    """

    kind: str
    host: str = ""
    port: int = 0
    path: str = ""
    tls: str = "may"
    sender: str = ""
    recipient: str = ""
    holds: bool = False


Question = DictGet | DictAdd | Resolve


@dataclass(frozen=True, slots=True)
class Several:
    """Asks several things at the same time. Answers: Each, with an answer for each of them in order."""

    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class ClientName:
    """Asks for a client's name by its PTR record. Answers: Found, its value "STATE NAME" as in wire.Client."""

    ip: str


@dataclass(frozen=True, slots=True)
class Inquire:
    """Asks for one check of a mail's origin to be made. Answers: Found; what was found, the check itself keeps.

    name: which; check: asks the DNS and for hashes of the body as it was received.
    """

    name: str
    check: Check[object]


@dataclass(frozen=True, slots=True)
class MailboxExists:
    """Asks whether mail can be stored in a mailbox (RFC 5490 §3.1). Answers: Found, Missing, Unavailable.

    home, here and below: where the user's mailboxes are, as in run/actions.RouteTo.path; "" = not known to be here.
    """

    mailbox: str
    home: str = ""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Asks for an annotation of a mailbox, of the server if that is "" (RFC 5490).

    Answers: Found, Missing, Unavailable.
    """

    mailbox: str
    annotation: str
    home: str = ""


@dataclass(frozen=True, slots=True)
class SpecialUse:
    """Asks whether a mailbox, any if it is "", has a special use (RFC 8579). Answers: Found, Missing, Unavailable."""

    use: str
    mailbox: str = ""
    home: str = ""


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


@dataclass(frozen=True, slots=True)
class Records:
    """What the DNS has, at least one; is_secure: validated by a resolver that we trust.

    MX: "10 mx.example.net"; TLSA: "3 1 1 HEX"; TXT: its strings joined; else an address or a name.
    """

    values: tuple[str, ...]
    is_secure: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """What a next hop answered about a recipient."""

    code: int
    enhanced: str = ""
    text: str = ""
    is_remembered: bool = False  # it answered so some time ago


@dataclass(frozen=True, slots=True)
class Each:
    """The answers to Several."""

    answers: "tuple[Answer, ...]"


Request = (
    Lookup
    | DictGet
    | DictAdd
    | DictNew
    | Resolve
    | Callout
    | Several
    | ClientName
    | Inquire
    | MailboxExists
    | Metadata
    | SpecialUse
)
Answer = Found | Missing | Unavailable | Records | Said | Each
