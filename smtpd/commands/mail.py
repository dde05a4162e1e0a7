"""MAIL (RFC 5321 §4.1.1.2, RFC 1870 §6.1, RFC 6409 §4.3)."""

import asyncio

from columba.common.ids import new_id
from columba.common.smtp import codes
from columba.common.smtp.codes import Reply
from columba.common.smtp.command import Mail
from columba.smtpd.conversation import Conversation, Response, Result, delay_s, judged, say
from columba.smtpd.session import Role
from columba.smtpd.transaction import Transaction


def mail(conversation: Conversation, command: Mail) -> Result:
    """Answer MAIL and open a transaction."""
    if problem := _problem(conversation, command):
        return say(problem)
    transaction = Transaction(new_id(), command)
    if conversation.shared.stages.has("mail"):
        return _asked(conversation, transaction)
    return say(_opened(conversation, transaction) or codes.SENDER_OK)


def _opened(conversation: Conversation, transaction: Transaction) -> Reply | None:
    """Open the transaction with room for what SIZE= says, or return why not (promises §10)."""
    if not conversation.reserve(transaction.mail.params.size or 0):
        return codes.SYSTEM_FULL
    conversation.transaction = transaction
    return None


def _problem(conversation: Conversation, command: Mail) -> Reply | None:
    session, settings = conversation.session, conversation.profile.settings
    if session.role is Role.SUBMISSION and not session.is_trusted:
        return codes.AUTH_REQUIRED if session.tls else codes.TLS_REQUIRED
    is_too_big = (command.params.size or 0) > settings.message_size_limit
    return codes.TOO_BIG if is_too_big else None


async def _asked(conversation: Conversation, transaction: Transaction) -> Response:
    verdict = await conversation.shared.stages.ask(
        "mail", conversation.session, transaction, errors=conversation.core.errors
    )
    await asyncio.sleep(delay_s(verdict))
    response = judged(verdict, codes.SENDER_OK)
    transaction.begun(verdict)
    if response.replies[0].positive and (problem := _opened(conversation, transaction)):
        return say(problem)
    return response
