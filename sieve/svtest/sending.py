"""Send what a result sends, to the pretended SMTP server: one entry of the outbox for each recipient."""

from typing import Final

from columba.common.mail.addresses import Mailbox, parse_mailboxes
from columba.common.mail.dsn import Action as DsnAction
from columba.common.mail.dsn import Fate, Report, write_dsn
from columba.common.mail.header import Header, field
from columba.sieve.run.actions import (
    FileInto,
    Notify,
    Redirect,
    Reject,
    Reply,
    SendReport,
    Vacation,
)
from columba.sieve.run.envelope import NULL_PATH, Path, parse_path
from columba.sieve.run.message import Message, message_of
from columba.sieve.run.notify import notice_of
from columba.sieve.run.report import report_of
from columba.sieve.run.result import Entry
from columba.sieve.run.state import Run
from columba.sieve.run.vacation import reply_to
from columba.sieve.svtest.storing import store_all
from columba.sieve.svtest.suite import HOST, POSTMASTER, Suite
from columba.sieve.svtest.world import Sent

_MARK: Final = "X-Sieve-Redirected-From"
_REPORT_TIME_S: Final = 0.0


def send(run: Run, suite: Suite, entry: Entry) -> None:
    """Do what an action does outside of folders. Raises FolderError if its copy can't be stored."""
    match entry.action:
        case Redirect(address=address):
            _redirect(run, suite, entry.message, address)
        case Reject(text=text):
            _report(run, suite, entry.message, text)
        case Reply(lines=lines):
            _report(run, suite, entry.message, "\n".join(lines))
        case SendReport() as report:
            _send_report(run, suite, entry.message, report)
        case Notify() as notify:
            _notify(run, suite, entry, notify)
        case Vacation() as vacation:
            _vacation(run, suite, entry, vacation)
        case _:
            pass


def user_email(suite: Suite) -> str:
    """Return the user's own address, or ""."""
    return suite.settings.get("sieve_user_email", "").strip(" <>")


def chosen_sender(run: Run, suite: Suite, policy: str, default: Path) -> Path:
    """Return the envelope sender that a setting asks for."""
    recipient = run.envelope.recipients[0] if run.envelope.recipients else NULL_PATH
    user = user_email(suite)
    match policy.strip():
        case "" | "default":
            return default
        case "sender":
            return run.envelope.sender or NULL_PATH
        case "recipient":
            return recipient
        case "orig_recipient":
            return run.envelope.original or recipient
        case "user_email":
            return (parse_path(user) if user else None) or recipient
        case "postmaster":
            return parse_path(POSTMASTER) or default
        case _:
            return parse_path(policy) or NULL_PATH


def _redirect(run: Run, suite: Suite, message: Message, address: str) -> None:
    user = user_email(suite)
    final = str(run.envelope.recipients[0]) if run.envelope.recipients else ""
    marks = {text.lower() for text in message.texts(_MARK.lower())}
    if marks & {name.lower() for name in (user, final) if name}:
        return  # it came from here: a loop
    header = message.header.remove("Return-Path")
    header = header.prepend(field("X-Sieve", "Columba Sieve"), field(_MARK, user or final))
    target = parse_path(address)
    sender = run.envelope.sender or NULL_PATH
    if not sender.is_null:  # the null sender stays null
        policy = suite.settings.get("sieve_redirect_envelope_from", "")
        sender = chosen_sender(run, suite, policy, sender)
    if target is not None:
        octets = header.raw + b"\r\n" + message.read_body()
        suite.world.outbox.append(Sent(octets, sender, target))


def _report(run: Run, suite: Suite, message: Message, text: str) -> None:
    """Send the report of a reject; nothing is sent to the null sender."""
    sender = run.envelope.sender or NULL_PATH
    if sender.is_null:
        return
    final = str(run.envelope.recipients[0]) if run.envelope.recipients else POSTMASTER
    report = Report(
        id=f"reject.{len(suite.world.outbox)}",
        host=HOST,
        wall_s=_REPORT_TIME_S,
        to=str(sender),
        fates=(Fate(final, DsnAction.FAILED, "5.7.1", reply=text),),
        header=Header(message.header.raw),
        sender=Mailbox("Postmaster", *POSTMASTER.split("@")),
        subject="Automatically rejected mail",
        text=text,
    )
    written = write_dsn(report)
    octets = written.header.raw + b"\r\n" + written.body
    suite.world.outbox.append(Sent(octets, NULL_PATH, sender))


def _vacation(run: Run, suite: Suite, entry: Entry, action: Vacation) -> None:
    written = reply_to(run, entry.message, action, HOST, f"vacation.{len(suite.world.outbox)}")
    if written is None:
        return
    octets = written.header.raw + b"\r\n" + written.body
    suite.world.outbox.append(Sent(octets, written.sender, written.to))
    store_copy(run, suite, entry, action.copy, octets)


def _notify(run: Run, suite: Suite, entry: Entry, action: Notify) -> None:
    id = f"notify.{len(suite.world.outbox)}"
    notice = notice_of(run, entry.message, action, POSTMASTER, HOST, id)
    if notice is None:
        return
    octets = notice.header.raw + b"\r\n" + notice.body
    sender = NULL_PATH
    if run.envelope.sender is not None and not run.envelope.sender.is_null:
        author = notice.header.get("from")
        boxes = parse_mailboxes(author.value) if author is not None else ()
        default = Path(boxes[0].local, boxes[0].domain) if boxes else NULL_PATH
        policy = suite.settings.get("sieve_notify_mailto_envelope_from", "")
        sender = chosen_sender(run, suite, policy, default)
    for address in action.recipients:
        to = parse_path(address)
        if to is not None:
            suite.world.outbox.append(Sent(octets, sender, to))
    store_copy(run, suite, entry, action.copy, octets)


def _send_report(run: Run, suite: Suite, message: Message, action: SendReport) -> None:
    to, postmaster = parse_path(action.address), parse_path(POSTMASTER) or NULL_PATH
    sender = chosen_sender(run, suite, suite.settings.get("sieve_report_from", ""), postmaster)
    author = Mailbox("Postmaster" if sender == postmaster else "", sender.local, sender.domain)
    octets = report_of(run, message, action, author, HOST, f"report.{len(suite.world.outbox)}")
    if to is not None:
        suite.world.outbox.append(Sent(octets, sender, to))


def store_copy(run: Run, suite: Suite, entry: Entry, copy: FileInto | None, octets: bytes) -> None:
    """RFC 8580: store what was sent. Raises FolderError after noting the error."""
    if copy is not None:
        store_all(run, suite, [Entry(copy, message_of(octets), entry.place)])
