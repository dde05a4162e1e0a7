"""Tell a sender what became of a mail: exactly once, never to nobody, never about a DSN.

The DSN is mail: a record of its own, stored with If-None-Match under an id that depends on the message, the
recipients and the kind alone, so that whoever makes it after a crash makes the same one. It resumes at the route
step and is signed like everything else. What becomes of a DSN that can't be delivered goes to the local
postmaster, and from there nowhere. (RFC 3461 §6, RFC 3464, promises §2)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from columba.common.errors import ConditionError
from columba.common.idforms import derived_id
from columba.common.ipc import wire
from columba.common.log.event import Event
from columba.common.mail.dsn import Action, Fate, Report, write_dsn
from columba.common.mail.dsn_words import ENGLISH, Words, choose
from columba.common.mail.header import Header
from columba.queue import message
from columba.queue.outcome import expiry_s
from columba.queue.record import Recipient, Record
from columba.queue.reports import Due
from columba.queue.retry import RetryPolicy
from columba.queue.shelf import Shelf, Shelved, key_of

DOUBLE: Final = "double"
HOLD_SOFT: Final = "soft_bounce"
_FATES: Final = 100  # that one report names in full
_SAID: Final = {Action.FAILED: "Bounced", Action.DELAYED: "Told of a delay"}


@dataclass(frozen=True, slots=True)
class Sender:
    """In whose name reports are made; `holds`: an administrator must release each (soft_bounce)."""

    host: str
    postmaster: bytes
    holds: bool = False
    words: Mapping[str, Words] = field(default_factory=dict)  # by language


@dataclass(frozen=True, slots=True)
class Form:
    """What bounce.sieve wants of a report; "" = as the standards and the sender have it."""

    returns: Literal["", "none", "headers", "full"] = ""
    text: str = ""  # instead of the first paragraph for people
    copy: bytes = b""  # who else gets it
    hold: str = ""


PLAIN: Final = Form()


class Bounces:
    """Makes DSNs and stores them."""

    def __init__(self, shelf: Shelf, sender: Sender, policy: RetryPolicy, event: Event) -> None:
        self._shelf, self._sender = shelf, sender
        self._policy, self._event = policy, event

    async def store(
        self, owner: str, record: Record, due: Due, form: Form = PLAIN
    ) -> Shelved | None:
        """Make a report durable; return it, or None when none is made.

        A record that stands there already is the report. Raises StoreError.
        """
        report = dsn_record(record, due, self._sender, self._policy, form)
        if report is None:
            return None
        key = key_of(owner, report.name)
        try:
            shelved = await self._shelf.create(key, report)
        except ConditionError:
            return await self._shelf.load(key)
        self._event.info(
            _SAID.get(due.action, "Confirmed"),
            id=record.id,
            dsn=report.id,
            to=", ".join(_text(r.spec.get("address")) for r in report.recipients),
            about=", ".join(_text(r.spec.get("address")) for r in due.people[:_FATES]),
        )
        return shelved


def dsn_record(
    record: Record, due: Due, sender: Sender, policy: RetryPolicy, form: Form = PLAIN
) -> Record | None:
    """Return the record of a report, None when nobody is to be told."""
    envelope = message.from_map(record.envelope, wire.Envelope)
    is_double = record.kind == "generated" and not envelope.sender and due.action is Action.FAILED
    to = sender.postmaster if is_double else envelope.sender
    if not to or not due.people or record.double or form.returns == "none":
        return None
    id = derived_id(record.id, *due.key[:-1], DOUBLE if is_double else due.key[-1])
    at_s = max(record.created_s, *(person.at_s for person in due.people))
    written = write_dsn(_report(record, due, sender, form, id=id, to=to))
    out = wire.Envelope(
        sender=b"",
        arrived_s=at_s,
        size=len(written.header.raw) + 2 + len(written.body),
        body8=written.is_8bit,
        smtputf8=written.is_utf8 or not to.isascii(),
        requiretls=envelope.requiretls,
    )
    hold = HOLD_SOFT if sender.holds else form.hold
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
        hold=hold,
        hold_n=int(bool(hold)),
        envelope=message.to_map(out),
        client=message.to_map(wire.Client(trusted=True)),
        header=written.header.raw,
        body=written.body,
        body_size=len(written.body),
        recipients=_readers(to, form.copy),
    )


def _readers(to: bytes, copy: bytes) -> tuple[Recipient, ...]:
    addresses = [to, copy] if copy and copy != to else [to]
    return tuple(
        Recipient(
            number=str(number),
            spec=message.to_map(wire.Recipient(number=str(number), address=address)),
        )
        for number, address in enumerate(addresses, 1)
    )


def _report(record: Record, due: Due, sender: Sender, form: Form, *, id: str, to: bytes) -> Report:
    envelope = message.from_map(record.envelope, wire.Envelope)
    header = Header(record.header)
    language = choose(
        header.text("Accept-Language"), header.text("Content-Language"), sender.words.keys()
    )
    # RFC 3461 §4.3: RET is about failures; other reports return the header. RFC 8689 §5: of mail with REQUIRETLS
    # the header alone goes back; a body beside the record is too big.
    said = next((ret for person in due.people if (ret := person.spec.get("ret"))), envelope.ret)
    returns = form.returns or ("headers" if said == "HDRS" else "full")
    is_full = returns == "full" and due.action is Action.FAILED
    with_body = is_full and not envelope.requiretls and not record.body_key
    return Report(
        id=id,
        host=sender.host,
        wall_s=max(record.created_s, *(person.at_s for person in due.people)),
        to=to.decode("utf-8", "replace"),
        fates=tuple(_fate(record, person, due.action) for person in due.people[:_FATES]),
        header=header,
        body=record.body if with_body else None,
        arrived_s=envelope.arrived_s or record.created_s,
        envid=envelope.envid,
        text=form.text,
        words=sender.words.get(language, ENGLISH),
    )


def _fate(record: Record, person: Recipient, action: Action) -> Fate:
    outcome = message.reply_of(person)
    spec = message.from_map({**person.spec, "number": person.number}, wire.Recipient)
    is_expanded = action is Action.EXPANDED and bool(spec.original)
    return Fate(
        address=(spec.original if is_expanded else spec.address).decode("utf-8", "replace"),
        action=action,
        status=outcome.enhanced,
        reply=f"{outcome.code} {outcome.text}".strip() if person.reply else "",
        hop=outcome.hop.partition("[")[0],
        original=spec.orcpt,
        last_attempt_s=person.at_s,
        retry_until_s=expiry_s(record, person) if action is Action.DELAYED else 0.0,
    )


def _text(address: object) -> str:
    return address.decode("utf-8", "replace") if isinstance(address, bytes) else ""
