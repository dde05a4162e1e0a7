"""MAIL (RFC 5321 §4.1.1.2, RFC 1870 §6.1, RFC 6409 §4.3 and §6.1, RFC 4865)."""

import time

from columba.common.config.listening import Listening
from columba.common.ids import new_id
from columba.common.lookup.base import Table
from columba.common.smtp import codes
from columba.common.smtp.codes import Reply
from columba.common.smtp.command import Mail
from columba.smtpd.conversation import Conversation, Response, Result, ask, judged, limited, say
from columba.smtpd.owners import Ownership, ownership
from columba.smtpd.session import Role, Session
from columba.smtpd.transaction import Transaction


def mail(conversation: Conversation, command: Mail) -> Result:
    """Answer MAIL and open a transaction."""
    session, presence = conversation.session, conversation.shared.presence
    if not session.is_trusted and presence.is_mailing_too_much(session.ip):
        return limited(conversation, "Too many messages from your address in a minute")
    now_s = time.time()
    hold_until_s = _hold_until_s(command, now_s)
    if problem := _problem(conversation, command, hold_until_s - now_s):
        return say(problem)
    transaction = Transaction(new_id(), command, hold_until_s=hold_until_s)
    owners = conversation.profile.senders if session.login else None
    if owners is not None:
        return _owned(conversation, transaction, owners)
    if conversation.shared.stages.has("mail"):
        return _asked(conversation, transaction)
    return say(_opened(conversation, transaction) or codes.SENDER_OK)


def _opened(conversation: Conversation, transaction: Transaction) -> Reply | None:
    """Open the transaction with room for what SIZE= says, or return why not (promises §10)."""
    if not conversation.reserve(transaction.mail.params.size or 0):
        return codes.SYSTEM_FULL
    conversation.transaction = transaction
    return None


def _problem(conversation: Conversation, command: Mail, ahead_s: float) -> Reply | None:
    """Return why there is no transaction; ahead_s is how far ahead the release is, if one is asked for."""
    session, settings = conversation.session, conversation.profile.settings
    if session.role is Role.SUBMISSION and not _may_submit(session, settings):
        return codes.AUTH_REQUIRED if session.tls else codes.TLS_REQUIRED
    if (command.params.size or 0) > settings.message_size_limit:
        return codes.TOO_BIG
    if ahead_s <= 0:
        return None
    if not session.is_trusted or not command.sender:
        return codes.NEVER_HELD
    # RFC 4865 §5: what is further ahead than was offered is an error in the argument.
    return codes.HELD_TOO_LONG if ahead_s > settings.future_release_limit else None


def _may_submit(session: Session, settings: Listening) -> bool:
    """RFC 6409 §4.3: who submits has logged in, or sits where we know everybody."""
    is_neighbour = settings.submission_trust_networks and session.in_trusted_network
    return bool(session.login) or is_neighbour


def _hold_until_s(command: Mail, now_s: float) -> float:
    params = command.params
    if params.hold_for_s is not None:
        return now_s + params.hold_for_s if params.hold_for_s else 0.0
    return params.hold_until_s or 0.0


async def _owned(conversation: Conversation, transaction: Transaction, owners: Table) -> Response:
    """Go on if the sender address is the login's."""
    shared, session, sender = conversation.shared, conversation.session, transaction.mail.sender
    found = await ownership(owners, session.login, sender, shared.settings.stage_timeout)
    if found is Ownership.OWNED:
        if shared.stages.has("mail"):
            return await _asked(conversation, transaction)
        return say(_opened(conversation, transaction) or codes.SENDER_OK)
    reply = codes.NOT_YOURS if found is Ownership.FOREIGN else codes.LOCAL_ERROR
    _log_refused(conversation, transaction, reply)
    return say(reply)


def _log_refused(conversation: Conversation, transaction: Transaction, reply: Reply) -> None:
    session = conversation.session
    conversation.shared.event.info(
        "Sender refused",
        id=transaction.id,
        session=session.id,
        ip=session.ip,
        login=session.login or None,
        sender=transaction.mail.sender.decode("utf-8", "replace") or "<>",
        reply=reply.one_line(),
    )


async def _asked(conversation: Conversation, transaction: Transaction) -> Response:
    verdict = await ask(conversation, "mail", transaction)
    response = judged(verdict, codes.SENDER_OK)
    if not response.replies[0].positive:
        _log_refused(conversation, transaction, response.replies[0])
    transaction.begun(verdict)
    if response.replies[0].positive and (problem := _opened(conversation, transaction)):
        return say(problem)
    return response
