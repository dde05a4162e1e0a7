"""RCPT (RFC 5321 §4.1.1.3)."""

import asyncio

from columba.common.smtp import codes
from columba.common.smtp.command import Rcpt
from columba.smtpd.conversation import Conversation, Response, Result, delay_s, judged, say
from columba.smtpd.transaction import Transaction


def rcpt(conversation: Conversation, command: Rcpt) -> Result:
    """Answer RCPT and add the recipient to the transaction."""
    transaction = conversation.transaction
    if transaction is None:
        return say(codes.MAIL_FIRST)
    if _is_second_of_null_sender(conversation, transaction):
        # promises §2.4: a bounce has one recipient; its failure for another could be told to nobody.
        return say(codes.TOO_MANY_RECIPIENTS)
    address = _complete(conversation, command.recipient)
    if conversation.shared.stages.has("rcpt"):
        return _asked(conversation, transaction, command, address)
    transaction.add(command, address)
    return say(codes.RECIPIENT_OK)


def _is_second_of_null_sender(conversation: Conversation, transaction: Transaction) -> bool:
    is_bounce = not transaction.mail.sender and bool(transaction.recipients)
    return is_bounce and not conversation.session.is_trusted


def _complete(conversation: Conversation, recipient: bytes) -> bytes:
    """Return where a bare postmaster's mail goes (RFC 5321 §4.5.1)."""
    if b"@" in recipient:
        return recipient
    return conversation.shared.settings.postmaster_address.encode()


async def _asked(
    conversation: Conversation, transaction: Transaction, command: Rcpt, address: bytes
) -> Response:
    stages, session = conversation.shared.stages, conversation.session
    verdict = await stages.ask("rcpt", session, transaction, address)
    await asyncio.sleep(delay_s(verdict))
    response = judged(verdict, codes.RECIPIENT_OK)
    if response.replies[0].positive:
        transaction.add(command, address)
    return response
