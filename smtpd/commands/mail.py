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
    conversation.transaction = transaction
    return say(codes.SENDER_OK)


def _problem(conversation: Conversation, command: Mail) -> Reply | None:
    session, shared = conversation.session, conversation.shared
    if session.role is Role.SUBMISSION and not session.is_trusted:
        return codes.AUTH_REQUIRED if session.tls else codes.TLS_REQUIRED
    size = command.params.size or 0
    if size > shared.settings.message_size_limit:
        return codes.TOO_BIG
    return codes.SYSTEM_FULL if size > shared.spool.room else None


async def _asked(conversation: Conversation, transaction: Transaction) -> Response:
    verdict = await conversation.shared.stages.ask("mail", conversation.session, transaction)
    await asyncio.sleep(delay_s(verdict))
    response = judged(verdict, codes.SENDER_OK)
    if response.replies[0].positive:
        conversation.transaction = transaction
    return response
