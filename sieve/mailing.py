"""Write the mails that a script's result sends beside its own: vacation, notify, report.

Pure. Who gets them and from whom; when they are sent, and that each is sent once, is commit.py's business.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from columba.common.mail.addresses import Mailbox, parse_mailboxes
from columba.common.mail.header import split_message
from columba.sieve.run.actions import FileInto, Notify, SendReport, Vacation
from columba.sieve.run.envelope import NULL_PATH, Path, parse_path
from columba.sieve.run.notify import notice_of
from columba.sieve.run.options import seconds
from columba.sieve.run.report import report_of
from columba.sieve.run.result import Entry
from columba.sieve.run.state import Run
from columba.sieve.run.vacation import reply_to

DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Origin:
    """In whose name mails are written: our host name, the postmaster's address."""

    host: str
    postmaster: str


@dataclass(frozen=True, slots=True)
class Mailing:
    """One mail to be sent. once: what it is remembered by for period_s, so that nobody gets it twice; "" = it is not.

    copy: where a copy of it is filed (RFC 8580).
    """

    header: bytes
    body: bytes
    sender: bytes
    recipients: tuple[bytes, ...]
    once: str = ""
    period_s: int = 0
    copy: FileInto | None = None


def mailing(run: Run, entry: Entry, origin: Origin, id: str) -> Mailing | None:
    """Return the mail of an action; None if there must be none. id: of the new mail."""
    match entry.action:
        case Vacation() as action:
            return _vacation(run, entry, action, origin, id)
        case Notify() as action:
            return _notice(run, entry, action, origin, id)
        case SendReport() as action:
            return _report(run, entry, action, origin, id)
        case _:
            return None


def _vacation(run: Run, entry: Entry, action: Vacation, origin: Origin, id: str) -> Mailing | None:
    reply = reply_to(run, entry.message, action, origin.host, id)
    if reply is None:
        return None
    period_s = _period_s(run, action)
    return Mailing(
        header=reply.header.raw,
        body=reply.body,
        sender=_octets(reply.sender),
        recipients=(_octets(reply.to),),
        once=_handle(run, action, reply.to) if period_s else "",
        period_s=period_s,
        copy=action.copy,
    )


def _period_s(run: Run, action: Vacation) -> int:
    """RFC 5230 §4.1, RFC 6131 §2: within the bounds that the site sets; 0 answers every mail."""
    options = run.limits.options
    least = seconds(options, "sieve_vacation_min_period", DAY_S)
    most = seconds(options, "sieve_vacation_max_period", 0)
    period = max(action.period_s, least)
    return min(period, most) if most else period


def _handle(run: Run, action: Vacation, to: Path) -> str:
    """RFC 5230 §4.2: replies are the same if their handles are, else if all that they say is."""
    user = str(run.envelope.recipients[0]) if run.envelope.recipients else ""
    said = action.handle or "\0".join(
        (action.subject, action.sender, str(action.is_mime), action.reason, *action.addresses)
    )
    text = "\0".join((user.lower(), str(to).lower(), said))
    return "vacation/" + sha256(text.encode("utf-8", "replace")).hexdigest()


def _notice(run: Run, entry: Entry, action: Notify, origin: Origin, id: str) -> Mailing | None:
    notice = notice_of(run, entry.message, action, origin.postmaster, origin.host, id)
    if notice is None:
        return None
    sender = NULL_PATH
    if run.envelope.sender is not None and not run.envelope.sender.is_null:
        # RFC 5436 §2.7: a notice about a notice must not be answered by one.
        author = notice.header.get("from")
        boxes = parse_mailboxes(author.value) if author is not None else ()
        sender = Path(boxes[0].local, boxes[0].domain) if boxes else NULL_PATH
    return Mailing(
        header=notice.header.raw,
        body=notice.body,
        sender=_octets(sender),
        recipients=tuple(_octets(p) for to in action.recipients if (p := parse_path(to))),
        copy=action.copy,
    )


def _report(run: Run, entry: Entry, action: SendReport, origin: Origin, id: str) -> Mailing | None:
    to, author = parse_path(action.address), parse_path(origin.postmaster)
    if to is None or author is None:
        return None
    name = Mailbox("Postmaster", author.local, author.domain)
    octets = report_of(run, entry.message, action, name, origin.host, id)
    header, body = split_message(octets)
    return Mailing(header.raw, body, b"", (_octets(to),))


def _octets(path: Path) -> bytes:
    return str(path).encode("utf-8", "surrogateescape")
