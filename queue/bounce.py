"""Tell a sender that mail could not be delivered: exactly once, never to nobody, never about a DSN.

The DSN is mail: a record of its own, stored with If-None-Match under an id that depends on the message, the
recipients and the kind alone, so that whoever makes it after a crash makes the same one. It resumes at the route
step and is signed like everything else. What becomes of a DSN that can't be delivered goes to the local
postmaster, and from there nowhere. (RFC 3461 §6, RFC 3464, promises §2.3)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from columba.common.errors import ConditionError
from columba.common.idforms import derived_id
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.common.mail.dsn import Action, Fate, Report, write_dsn
from columba.common.mail.header import Header
from columba.queue import message
from columba.queue.record import Recipient, Record
from columba.queue.retry import RetryPolicy
from columba.queue.shelf import Shelf, Shelved, key_of

FAILED: Final = "failed"
DOUBLE: Final = "double"
HOLD_SOFT: Final = "soft_bounce"
_FATES: Final = 100  # that one report names in full


@dataclass(frozen=True, slots=True)
class Sender:
    """In whose name reports are made; `holds`: an administrator must release each (soft_bounce)."""

    host: str
    postmaster: bytes
    holds: bool = False


class Bounces:
    """Makes DSNs and stores them."""

    def __init__(self, shelf: Shelf, sender: Sender, policy: RetryPolicy, event: Event) -> None:
        self._shelf, self._sender = shelf, sender
        self._policy, self._event = policy, event

    async def store(
        self, owner: str, record: Record, people: Sequence[Recipient]
    ) -> Shelved | None:
        """Make the DSN about these recipients durable; return it, or None when none is due.

        A record that stands there already is the DSN. Raises StoreError.
        """
        report = dsn_record(record, people, self._sender, self._policy)
        if report is None:
            return None
        key = key_of(owner, report.name)
        try:
            shelved = await self._shelf.create(key, report)
        except ConditionError:
            return await self._shelf.load(key)
        self._event.info(
            "Bounced",
            id=record.id,
            dsn=report.id,
            to=", ".join(_text(r.spec.get("address")) for r in report.recipients),
            about=", ".join(_text(r.spec.get("address")) for r in people[:_FATES]),
        )
        return shelved


def dsn_record(
    record: Record, people: Sequence[Recipient], sender: Sender, policy: RetryPolicy
) -> Record | None:
    """Return the record of the DSN about these recipients of a message, None when nobody is to be told."""
    envelope = message.from_map(record.envelope, wire.Envelope)
    is_double = record.kind == "generated" and not envelope.sender
    to = sender.postmaster if is_double else envelope.sender
    if not to or not people or record.double:
        return None
    kind = DOUBLE if is_double else FAILED
    id = derived_id(record.id, *sorted(person.number for person in people), kind)
    at_s = max(person.at_s for person in people)
    written = write_dsn(_report(record, people, sender.host, id, to))
    out = wire.Envelope(
        sender=b"",
        arrived_s=at_s,
        size=len(written.header.raw) + 2 + len(written.body),
        body8=written.is_8bit,
        smtputf8=written.is_utf8 or not to.isascii(),
        requiretls=envelope.requiretls,
    )
    person = wire.Recipient(number="1", address=to)
    return Record(
        id=id,
        name=id,
        created_s=at_s,
        expires_s=policy.expires_s(at_s),
        due_s=at_s,
        step="route",
        kind="generated",
        may_queue="yes",
        double=is_double,
        hold=HOLD_SOFT if sender.holds else "",
        hold_n=int(sender.holds),
        envelope=message.to_map(out),
        client=message.to_map(wire.Client(trusted=True)),
        header=written.header.raw,
        body=written.body,
        body_size=len(written.body),
        recipients=(Recipient(number="1", spec=message.to_map(person)),),
    )


def _report(
    record: Record,
    people: Sequence[Recipient],
    host: str,
    id: str,
    to: bytes,
) -> Report:
    envelope = message.from_map(record.envelope, wire.Envelope)
    # RFC 8689 §5: of mail with REQUIRETLS the header alone goes back; a body beside the record is too big.
    with_body = envelope.ret != "HDRS" and not envelope.requiretls and not record.body_key
    return Report(
        id=id,
        host=host,
        wall_s=max(person.at_s for person in people),
        to=to.decode("utf-8", "replace"),
        fates=tuple(_fate(person) for person in people[:_FATES]),
        header=Header(record.header),
        body=record.body if with_body else None,
        arrived_s=envelope.arrived_s or record.created_s,
        envid=envelope.envid,
    )


def _fate(person: Recipient) -> Fate:
    outcome = message.reply_of(person)
    spec = message.from_map({**person.spec, "number": person.number}, wire.Recipient)
    return Fate(
        address=spec.address.decode("utf-8", "replace"),
        action=Action.FAILED,
        status=outcome.enhanced,
        reply=f"{outcome.code} {outcome.text}".strip(),
        hop=outcome.hop.partition("[")[0],
        original=spec.orcpt,
        last_attempt_s=person.at_s,
    )


def _text(address: object) -> str:
    return address.decode("utf-8", "replace") if isinstance(address, bytes) else ""
