"""Every Struct that crosses between processes.

Pure. A request is frames: call id (8 octets), this header in MessagePack, then for a mail its header
block and its body (empty when spooled). A reply is call id, header, then one header block for each
variant. Everything is decoded with its type; unknown fields are ignored, so that a newer sender may add some.

Times: `_ns` instants are CLOCK_MONOTONIC, shared by all processes of a machine; `_s` are seconds.
A process is named "service.slot.generation". A mail's header block is all fields, each ending in CRLF,
without the empty line; its body is what follows the empty line.
"""

from typing import Final, Literal

import msgspec

from columba.common.ipc.wire_asks import CalledOut, CallOut, FolderAsk, FolderTold
from columba.common.ipc.wire_mail import (
    VERSION,
    Body,
    Client,
    Effect,
    Envelope,
    Fenced,
    Frozen,
    QueueWish,
    Recipient,
    Route,
    Sign,
)
from columba.common.ipc.wire_presence import (
    Count,
    Elsewhere,
    Penalty,
    PenaltyAdd,
    PenaltyAsk,
    Present,
    Visit,
)

__all__ = [
    "VERSION",
    "Body",
    "CallOut",
    "CalledOut",
    "Client",
    "Count",
    "Effect",
    "Elsewhere",
    "Envelope",
    "Fenced",
    "FolderAsk",
    "FolderTold",
    "Frozen",
    "Penalty",
    "PenaltyAdd",
    "PenaltyAsk",
    "Present",
    "QueueWish",
    "Recipient",
    "Route",
    "Sign",
    "Visit",
]

StepName = Literal["sieve", "route", "dkim", "delivery"]
MayQueue = Literal["yes", "hold", "no"]
Success = Literal["", "relayed", "delivered"]
OutcomeKind = Literal["delivered", "failed", "queued", "refused", "discarded", "deferred", "rework"]


class Handoff(Frozen, frozen=True, tag="handoff", kw_only=True):
    """One mail with recipients, handed to the next step, which answers Outcomes for every recipient."""

    id: str
    step: StepName
    deadline_ns: int
    envelope: Envelope
    client: Client
    recipients: tuple[Recipient, ...]
    body: Body
    may_queue: MayQueue = "no"
    origin: Literal["client", "queue"] = "client"
    kind: Literal["submitted", "received", "generated"] = "received"
    path: tuple[str, ...] = ()  # processes that wait for the answer, the first one first
    sent_ns: int = 0  # when the caller sent it
    waited_ms: float = 0.0  # spent waiting for our own processes so far
    fence: bytes = b""  # base of the fence key; b"" = no fence
    fenced: tuple[Fenced, ...] = ()
    sign: tuple[Sign, ...] = ()
    signed: tuple[str, ...] = ()  # record names of the signatures that the header block has from us
    variables: dict[str, str] = msgspec.field(default_factory=dict)
    attempt: int = 0
    not_after_boot_ns: int = 0  # CLOCK_BOOTTIME; queue runs: begin no end-of-data after it
    version: int = VERSION


class Outcome(Frozen, frozen=True, kw_only=True):
    """What became of one recipient."""

    number: str
    kind: OutcomeKind
    code: int = 250
    enhanced: str = ""  # "2.0.0"
    text: str = ""  # one line, ASCII
    address: bytes = b""
    original: bytes = b""
    folder: str = ""  # of a Maildir; one recipient's copies in several folders are told apart by it
    route: str = ""  # "mx:example.net", as destination() names it
    hop: str = ""  # "mx1.example.net[192.0.2.1]:25"
    step: str = ""  # where it was decided; deferred: where to resume
    keeper: str = ""  # the process that keeps it until Answered
    variant: int = (
        0  # deferred: 0 = the message as the caller sent it, else Outcomes.variants[n - 1]
    )
    in_doubt: bool = False
    untried: bool = False  # deferred because there was no room here: says nothing of hop or mail
    # delivered, NOTIFY=SUCCESS: the DSN that is ours to make, because the hop takes none ("relayed") or there is none
    success: Success = ""
    recipient: Recipient | None = (
        None  # deferred: what a split is, so that the queue can hand it on
    )


class Variant(Frozen, frozen=True, kw_only=True):
    """A changed message of a queue run; its header block is a frame of the reply."""

    body: Body | None = None  # None = unchanged
    sign_selectors: tuple[str, ...] = ()


class Outcomes(Frozen, frozen=True, tag="outcomes", kw_only=True):
    """The answer to a Handoff: one Outcome per recipient, or per split of it."""

    outcomes: tuple[Outcome, ...]
    variants: tuple[Variant, ...] = ()
    took_ms: dict[str, float] = msgspec.field(default_factory=dict)
    waited_ms: float = 0.0
    version: int = VERSION


class Stage(Frozen, frozen=True, tag="stage", kw_only=True):
    """Asks sieve-filter for the verdict of one stage: of a session's, or the queue's retry and bounce.

    The queue's calls have the header block in the frame behind this one, and say in `facts` what happened:
    attempt, age, code, enhanced, text, hop, next (seconds), expires (seconds). Scripts read them as the
    environment's items vnd.columba.NAME.
    """

    stage: Literal["connect", "helo", "auth", "mail", "rcpt", "retry", "bounce"]
    deadline_ns: int
    client: Client
    id: str = ""
    sender: bytes = b""
    recipient: bytes = b""
    recipients: int = 0  # accepted so far
    variables: dict[str, str] = msgspec.field(default_factory=dict)
    original: bytes = b""  # of the recipient, when it was another
    number: str = ""  # of the recipient, when it has one
    facts: dict[str, str] = msgspec.field(default_factory=dict)
    version: int = VERSION


class Verdict(Frozen, frozen=True, tag="verdict", kw_only=True):
    """The answer to a Stage.

    What is not set is left as it is. mail, rcpt: sender, recipients, effects, wish. retry: wish, next_s, gives_up,
    route, sign, dsn ("none": no notice of delay, else: one now). bounce: dsn, dsn_text, dsn_copy, hold in wish. A
    failed script of retry or bounce is action "reply" with 451: the queue goes on as if there were none.
    """

    action: Literal["accept", "reply", "disconnect"] = "accept"
    code: int = 250
    enhanced: str = ""
    text: str = ""
    delay_ms: int = 0
    variables: dict[str, str] = msgspec.field(default_factory=dict)
    group: str = (
        ""  # rcpt, untrusted clients: recipients of one group have one result (promises §2)
    )
    sender: bytes | None = None  # the envelope sender from now on
    recipients: tuple[bytes, ...] | None = None  # rcpt: instead of the one that was asked about
    effects: tuple[Effect, ...] = ()  # to be handed on with the recipient
    wish: QueueWish | None = None
    name: str | None = None  # of the client by its PTR record, when a script looked it up
    ptr: Literal["", "confirmed", "unconfirmed", "missing", "unknown"] = ""
    next_s: int | None = None  # retry: until the next try
    gives_up: bool = False  # retry: the recipient fails now, with code, enhanced, text
    route: Route | None = None  # retry: from now on; the route stage is not run again
    sign: tuple[Sign, ...] = ()  # retry: with another route, who signs from now on; () = as before
    dsn: Literal["", "none", "headers", "full"] = ""
    dsn_text: str = ""
    dsn_copy: bytes = b""
    version: int = VERSION


class Cancel(Frozen, frozen=True, tag="cancel", kw_only=True):
    """Ends a call of the same caller: begin nothing more. Has no reply of its own."""

    call: bytes


class Intake(Frozen, frozen=True, tag="intake", kw_only=True):
    """Asks the queue to become responsible for the recipients of the handoff; step = where to resume."""

    handoff: Handoff
    due_in_s: float = 0.0
    in_doubt: bool = False
    hold: str = ""  # a reason, or "" = not held
    replies: tuple[Outcome, ...] = ()  # the last answer, per recipient
    by: str = ""  # who asks, in all its Intakes and Disowns alike
    version: int = VERSION


class Stored(Frozen, frozen=True, tag="stored", kw_only=True):
    """Durable: the queue is responsible."""

    keeper: str = ""


class NotStored(Frozen, frozen=True, tag="not_stored", kw_only=True):
    """Nothing was stored: the caller stays responsible."""

    text: str = ""


class Disown(Frozen, frozen=True, tag="disown", kw_only=True):
    """An Intake whose result its caller does not know must have no effect (promises §1).

    It undoes the caller's own alone: what another asked to be stored stays.
    """

    id: str
    numbers: tuple[str, ...]
    by: str = ""


class Settle(Frozen, frozen=True, tag="settle", kw_only=True):
    """Outcomes that could not go the usual way, late or because a process of the path died."""

    id: str
    outcomes: tuple[Outcome, ...]
    fence: bytes = b""


class Bounce(Frozen, frozen=True, tag="bounce", kw_only=True):
    """Asks the queue for the DSNs about a mail that the chain finished, before its client hears 250.

    failed: of a mail that is accepted for others. delivered: those whose sender asked for a report of success.
    """

    handoff: Handoff
    failed: tuple[Outcome, ...] = ()
    delivered: tuple[Outcome, ...] = ()
    version: int = VERSION


class FenceAsk(Frozen, frozen=True, tag="fence_ask", kw_only=True):
    """Asks which of these original recipients a mail with this key was already delivered to."""

    base: bytes
    originals: tuple[bytes, ...]


class FenceTold(Frozen, frozen=True, tag="fence_told", kw_only=True):
    """The answer to FenceAsk: only originals that are known."""

    fenced: tuple[Fenced, ...] = ()


class FencePut(Frozen, frozen=True, tag="fence_put", kw_only=True):
    """Asks for durable fence records: (original, final) pairs."""

    base: bytes
    id: str
    pairs: tuple[tuple[bytes, bytes], ...]
    in_doubt: bool = False


class FenceDrop(Frozen, frozen=True, tag="fence_drop", kw_only=True):
    """The client was told 250 through these records; or these (original, final) pairs are in doubt no more."""

    base: bytes
    originals: tuple[bytes, ...] = ()
    doubts: tuple[tuple[bytes, bytes], ...] = ()


class Answered(Frozen, frozen=True, tag="answered", kw_only=True):
    """Clients were told what became of these mails: forget them. Has no reply."""

    ids: tuple[str, ...]


class Withheld(Frozen, frozen=True, tag="withheld", kw_only=True):
    """The client was not told, or heard 4xx, although recipients were accepted: write the fence, then answer."""

    id: str


class Done(Frozen, frozen=True, tag="done", kw_only=True):
    """The answer to requests that have nothing else to say."""


class Busy(Frozen, frozen=True, tag="busy", kw_only=True):
    """No room; nothing was begun."""


class Expired(Frozen, frozen=True, tag="expired", kw_only=True):
    """The deadline was past before the step began; nothing was begun."""


class Crashed(Frozen, frozen=True, tag="crashed", kw_only=True):
    """The step met an unforeseen error; it is unknown what was done."""

    text: str = ""


Request = (
    Handoff
    | Stage
    | Cancel
    | Intake
    | Disown
    | Settle
    | Bounce
    | FenceAsk
    | FencePut
    | FenceDrop
    | Answered
    | Withheld
    | CallOut
    | FolderAsk
    | Present
    | PenaltyAsk
    | PenaltyAdd
)
Reply = (
    Outcomes
    | Verdict
    | Stored
    | NotStored
    | FenceTold
    | Elsewhere
    | Penalty
    | CalledOut
    | FolderTold
    | Done
    | Busy
    | Expired
    | Crashed
)


class Slot(Frozen, frozen=True, kw_only=True):
    """One line of the directory. available = how many more calls it takes; note = the service's own figure."""

    service: str
    slot: int
    pid: int
    generation: int
    state: Literal["starting", "ready", "retiring", "dead"]
    available: int = 0
    note: int = 0

    @property
    def name(self) -> str:
        """Return "service.slot.generation"."""
        return f"{self.service}.{self.slot}.{self.generation}"


class Directory(Frozen, frozen=True, kw_only=True):
    """The whole directory; number grows with every change. The dead stay listed for a minute."""

    number: int
    slots: tuple[Slot, ...]
    version: int = VERSION


ENCODER: Final = msgspec.msgpack.Encoder()
REQUESTS: Final = msgspec.msgpack.Decoder(Request)
REPLIES: Final = msgspec.msgpack.Decoder(Reply)
DIRECTORIES: Final = msgspec.msgpack.Decoder(Directory)
