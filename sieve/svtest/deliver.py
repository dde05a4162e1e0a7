"""Carry out a result in the pretended world.

Storing comes first and is all or nothing: if a folder is not there, nothing is stored or sent, and the
message is kept without edits. Then the rest, in the order of the list.
"""

from typing import Final

from columba.common.mail.addresses import Mailbox
from columba.common.mail.dsn import Action as DsnAction
from columba.common.mail.dsn import Fate, Report, write_dsn
from columba.common.mail.header import Header, field
from columba.sieve.run.actions import FileInto, Keep, Redirect, Reject, Reply
from columba.sieve.run.envelope import NULL_PATH, Path, parse_path
from columba.sieve.run.message import Message
from columba.sieve.run.result import INBOX, Entry
from columba.sieve.run.state import Run
from columba.sieve.svtest.suite import Suite, suite_of
from columba.sieve.svtest.world import FolderError, Sent, folder_name

POSTMASTER: Final = "postmaster@example.com"
HOST: Final = "mx.example.com"
_MARK: Final = "X-Sieve-Redirected-From"
_REPORT_TIME_S: Final = 0.0


def execute(run: Run) -> bool:
    """Carry out what was not yet carried out, the implicit keep too. False: an error was noted."""
    suite = suite_of(run)
    fresh = [entry for entry in run.result.entries if not entry.is_executed]
    keeps = run.result.keeps_implicitly and not suite.is_kept
    suite.is_kept = suite.is_kept or keeps
    run.result = run.result.executed()
    try:
        _store(suite, fresh)
    except FolderError:
        _keep(suite, suite.base)
        return False
    for entry in fresh:
        _send(run, suite, entry)
    if keeps:
        _keep(suite, run.message)
    return True


def octets_of(message: Message) -> bytes:
    """Return the whole message."""
    return message.header.raw + b"\r\n" + message.read_body()


def _keep(suite: Suite, message: Message) -> None:
    suite.world.folder(INBOX).append(octets_of(message))


def _store(suite: Suite, entries: list[Entry]) -> None:
    """Store into folders, or into none of them. Raises FolderError."""
    plan: list[tuple[list[bytes], bytes]] = []
    for entry in entries:
        name = _folder_of(entry)
        if not name:
            continue
        try:
            plan.append((suite.world.folder(name), octets_of(entry.message)))
        except FolderError as error:
            suite.errors.append(f"failed to store into mailbox '{name}': {error}")
            raise
    for folder, octets in plan:
        folder.append(octets)


def _folder_of(entry: Entry) -> str:
    match entry.action:
        case Keep():
            return INBOX
        case FileInto(mailbox=name):
            return name
        case _:
            return ""


def _send(run: Run, suite: Suite, entry: Entry) -> None:
    match entry.action:
        case Redirect(address=address):
            _redirect(run, suite, entry.message, address)
        case Reject(text=text):
            _report(run, suite, entry.message, text)
        case Reply(lines=lines):
            _report(run, suite, entry.message, "\n".join(lines))
        case _:
            pass


def _redirect(run: Run, suite: Suite, message: Message, address: str) -> None:
    user = suite.settings.get("sieve_user_email", "").strip(" <>")
    final = str(run.envelope.recipients[0]) if run.envelope.recipients else ""
    marks = {text.lower() for text in message.texts(_MARK.lower())}
    if marks & {name.lower() for name in (user, final) if name}:
        return  # it came from here: a loop
    header = message.header.remove("Return-Path")
    header = header.prepend(field("X-Sieve", "Columba Sieve"), field(_MARK, user or final))
    target = parse_path(address)
    if target is not None:
        octets = header.raw + b"\r\n" + message.read_body()
        suite.world.outbox.append(Sent(octets, _redirect_sender(run, suite, user), target))


def _redirect_sender(run: Run, suite: Suite, user: str) -> Path:
    """Return the envelope sender of a redirect by policy; the null sender stays null."""
    sender = run.envelope.sender or NULL_PATH
    if sender.is_null:
        return NULL_PATH
    recipient = run.envelope.recipients[0] if run.envelope.recipients else NULL_PATH
    policy = suite.settings.get("sieve_redirect_envelope_from", "").strip()
    match policy:
        case "" | "default" | "sender":
            return sender
        case "recipient":
            return recipient
        case "orig_recipient":
            return run.envelope.original or recipient
        case "user_email":
            return (parse_path(user) if user else None) or recipient
        case "postmaster":
            return parse_path(POSTMASTER) or sender
        case _:
            return parse_path(policy) or NULL_PATH


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


def folder_or_error(name: str) -> str:
    """Return what is wrong with a folder's name, or ""."""
    try:
        folder_name(name)
    except FolderError as error:
        return str(error)
    return ""
