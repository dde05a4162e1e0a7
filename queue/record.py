"""The record of one queued message: what `env/<owner>/<name>` holds.

Pure: a document in MessagePack, written and read with msgpack itself. Fields that this version does not know
are kept and written again, at the top and in each recipient, so that an older node preserves what a newer one
wrote. The mail's own facts (envelope, client, recipient) are kept as the maps that the wire's structs become.

Per-recipient state only goes forward (from PENDING to one of the final states; DISOWNED stands before it), so
that two copies of a record can always be merged: `merge` is commutative, associative and idempotent. All times
are wall clock, in seconds.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from columba.queue.document import Map, RecordError, build, flat, pack, unpack

VERSION: Final = 1
RECORD_LIMIT: Final = 4 << 20
INLINE_LIMIT: Final = 64 * 1024  # a body up to this rides inside its record

DISOWNED: Final = "disowned"  # its intake was taken back; a new one makes it pending
PENDING: Final = "pending"
OWED: Final = "owed"  # failed for good, and the DSN is not yet durable
CONFIRMING: Final = "confirming"  # delivered, and the DSN that was asked for is not yet durable
MOVED: Final = "moved"  # lives on in the record named by `child`
DELETED: Final = "deleted"  # by an administrator
FAILED: Final = "failed"  # for good, and no DSN was due
BOUNCED: Final = "bounced"  # for good, and the DSN is durable
DISCARDED: Final = "discarded"
DELIVERED: Final = "delivered"
_OPEN: Final = frozenset({PENDING, OWED, CONFIRMING})
_ORDER: Final = (
    DISOWNED,
    PENDING,
    OWED,
    MOVED,
    DELETED,
    FAILED,
    BOUNCED,
    DISCARDED,
    CONFIRMING,
    DELIVERED,
)
_RANK: Final = {state: rank for rank, state in enumerate(_ORDER)}


class Recipient(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One recipient: `spec` is the wire's Recipient, `reply` the last Outcome about it."""

    number: str
    spec: Map = {}
    state: str = PENDING
    reply: Map = {}
    at_s: float = 0.0  # of the reply
    child: str = ""
    doubt_s: float = 0.0  # a hop may still answer for it until then: no try before; 0 = no doubt
    hold: str = ""  # why it waits for an administrator
    hold_n: int = 0  # counts changes of hold, so that the latest wins a merge
    batch: int = 0  # seq of the record when it became final: what is reported together
    notices: int = 0  # notices of delay that are due, or made
    noticed: int = 0  # those of them that are durable
    extra: Map = {}

    @property
    def final(self) -> bool:
        """Tell whether nothing is left to do here for this recipient."""
        return self.state not in _OPEN


class Claim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An attempt that was begun, and by whom; the default means none is open."""

    attempt: int = 0
    owner: str = ""
    epoch: int = 0
    at_s: float = 0.0


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message, or one part of it after a split. A record with finished_s is a tombstone."""

    v: int = VERSION
    id: str
    name: str  # the id, or "id.number" of a part
    seq: int = 0  # grows by one with every write
    nonce: str = ""  # of the last write
    created_s: float = 0.0
    expires_s: float = 0.0
    due_s: float = 0.0
    release_s: float = 0.0  # not tried before, whatever else is said (RFC 4865)
    notice_s: float = 0.0  # when the sender is told that it takes long; 0 = not
    priority: int = 0  # -9 to 9
    attempts: int = 0
    deaths: int = 0  # workers that died in a call with this message
    claim: Claim = Claim()
    hold: str = ""
    hold_n: int = 0
    finished_s: float = 0.0
    step: str = "sieve"
    kind: str = "received"
    may_queue: str = "no"
    envelope: Map = {}
    client: Map = {}
    variables: dict[str, str] = {}
    sign: list[Map] = []
    selectors: list[str] = []  # of the signatures that the header block has from us
    fence: bytes = b""
    fenced: list[Map] = []
    header: bytes = b""
    body: bytes = b""
    double: bool = False  # a report to the postmaster about a DSN: nothing is reported about it
    by: list[str] = []  # the callers whose intakes this is
    disowned_by: list[str] = []  # callers that took theirs back
    body_key: str = ""  # object that holds the body instead
    body_size: int = 0
    recipients: tuple[Recipient, ...] = ()
    extra: Map = {}

    @property
    def pending(self) -> tuple[Recipient, ...]:
        """Return the recipients that the queue still has to do something for, held ones too."""
        return tuple(r for r in self.recipients if not r.final)

    @property
    def active(self) -> tuple[Recipient, ...]:
        """Return the recipients that are to be tried, now or when their doubt is over."""
        if self.hold:
            return ()
        return tuple(r for r in self.recipients if r.state == PENDING and not r.hold)

    @property
    def owed(self) -> tuple[Recipient, ...]:
        """Return the recipients whose failure is still to be reported."""
        return tuple(r for r in self.recipients if r.state == OWED)

    @property
    def confirming(self) -> tuple[Recipient, ...]:
        """Return the recipients whose delivery is still to be reported."""
        return tuple(r for r in self.recipients if r.state == CONFIRMING)

    @property
    def unnoticed(self) -> tuple[Recipient, ...]:
        """Return the recipients about whose delay the sender is to be told now."""
        return tuple(r for r in self.active if r.notices > r.noticed)

    @property
    def is_tombstone(self) -> bool:
        """Tell whether this only remembers what became of the message."""
        return self.finished_s > 0


def encode(record: Record) -> bytes:
    """Return the document."""
    tree = flat(record)
    tree["recipients"] = [flat(recipient) for recipient in record.recipients]
    return pack(tree)


def decode(data: bytes) -> Record:
    """Return the record; RecordError when data is none."""
    tree = unpack(data, RECORD_LIMIT)
    people = tree.pop("recipients", [])
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise RecordError("record: no list of recipients")
    record = build(tree, Record)
    return changed(record, recipients=tuple(build(person, Recipient) for person in people))


def changed(record: Record, **fields: object) -> Record:
    """Return the record with other values in these fields."""
    return msgspec.structs.replace(record, **fields)


def with_recipients(record: Record, people: Iterable[Recipient]) -> Record:
    """Return the record with these recipients in place of those of the same number, new ones added."""
    new = {person.number: person for person in people}
    kept = tuple(new.pop(old.number, old) for old in record.recipients)
    return changed(record, recipients=kept + tuple(new.values()))


def written(record: Record, nonce: str) -> Record:
    """Return the record as its next write has it."""
    return changed(record, seq=record.seq + 1, nonce=nonce)


def tombstone(record: Record, now_s: float) -> Record:
    """Return what stays of a finished record: who got what, no mail and no private facts of the client."""
    people = tuple(msgspec.structs.replace(r, reply={}) for r in record.recipients)
    return Record(
        id=record.id,
        name=record.name,
        seq=record.seq,
        created_s=record.created_s,
        finished_s=now_s,
        attempts=record.attempts,
        by=record.by,
        disowned_by=record.disowned_by,
        body_key=record.body_key,
        recipients=people,
        extra=record.extra,
    )


def merge(one: Record, other: Record) -> Record:
    """Return what two copies of one record know together.

    The later write (seq) gives all that belongs to the whole message; each recipient has the furthest
    state of both.
    """
    newer, older = (one, other) if _age(one) >= _age(other) else (other, one)
    people = {person.number: person for person in older.recipients}
    for person in newer.recipients:
        known = people.get(person.number)
        people[person.number] = person if known is None else _merged(person, known)
    ordered = tuple(people[number] for number in sorted(people, key=_by_number))
    hold_n, hold = max((one.hold_n, one.hold), (other.hold_n, other.hold))
    return changed(
        newer,
        recipients=ordered,
        attempts=max(one.attempts, other.attempts),
        deaths=max(one.deaths, other.deaths),
        by=sorted({*one.by, *other.by}),
        disowned_by=sorted({*one.disowned_by, *other.disowned_by}),
        hold=hold,
        hold_n=hold_n,
    )


def _merged(one: Recipient, other: Recipient) -> Recipient:
    further = max(one, other, key=_progress)
    hold_n, hold = max((one.hold_n, one.hold), (other.hold_n, other.hold))
    return msgspec.structs.replace(
        further,
        hold=hold,
        hold_n=hold_n,
        notices=max(one.notices, other.notices),
        noticed=max(one.noticed, other.noticed),
    )


def _progress(person: Recipient) -> tuple[int, float, bytes]:
    bare = msgspec.structs.replace(person, hold="", hold_n=0, notices=0, noticed=0)
    return _RANK.get(person.state, len(_RANK)), person.at_s, pack(flat(bare))


def _age(record: Record) -> tuple[int, bool, bytes]:
    bare = changed(
        record, recipients=(), hold="", hold_n=0, attempts=0, deaths=0, by=[], disowned_by=[]
    )
    return record.seq, record.is_tombstone, pack(flat(bare))


def _by_number(number: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in number.split("."))
