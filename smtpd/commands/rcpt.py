"""RCPT (RFC 5321 §4.1.1.3)."""

from columba.common.smtp import codes
from columba.common.smtp.codes import Reply
from columba.common.smtp.command import Rcpt
from columba.smtpd.conversation import Conversation, Response, Result, ask, judged, limited, say
from columba.smtpd.session import Role
from columba.smtpd.transaction import Transaction


def rcpt(conversation: Conversation, command: Rcpt) -> Result:
    """Answer RCPT and add the recipient to the transaction."""
    transaction = conversation.transaction
    if transaction is None:
        return say(codes.MAIL_FIRST)
    if _must_stand_alone(conversation, transaction) and transaction.recipients:
        return say(codes.TOO_MANY_RECIPIENTS)
    address = _complete(conversation, command.recipient)
    if conversation.shared.stages.has("rcpt"):
        return _asked(conversation, transaction, command, address)
    if _is_strange(conversation):  # no script has allowed it
        _log_refusal(conversation, transaction, address, codes.NO_RELAYING)
        return say(codes.NO_RELAYING)
    transaction.add(command, address)
    return say(codes.RECIPIENT_OK)


def _must_stand_alone(conversation: Conversation, transaction: Transaction) -> bool:
    """promises §2: mail of the null sender has one recipient, for nobody could hear of one that failed."""
    return not transaction.sender and conversation.session.role is not Role.LMTP


def _is_strange(conversation: Conversation) -> bool:
    """Tell whether a failure for one of several recipients could be reported to nobody."""
    session = conversation.session
    return not session.is_trusted and session.role is not Role.LMTP


def _parts(conversation: Conversation, transaction: Transaction, group: str) -> bool:
    """Tell whether a further recipient's result may part from the first one's, unheard (promises §2).

    Who asked for PRDR hears of each recipient on its own.
    """
    if not _is_strange(conversation) or not transaction.recipients or transaction.mail.params.prdr:
        return False
    return not group or group != transaction.group


def _complete(conversation: Conversation, recipient: bytes) -> bytes:
    """Return where a bare postmaster's mail goes (RFC 5321 §4.5.1)."""
    if b"@" in recipient:
        return recipient
    return conversation.shared.settings.postmaster_address.encode()


async def _asked(
    conversation: Conversation, transaction: Transaction, command: Rcpt, address: bytes
) -> Response:
    original = command.recipient if command.recipient != address else b""
    verdict = await ask(conversation, "rcpt", transaction, address, original)
    response = judged(verdict, codes.RECIPIENT_OK)
    if not response.replies[0].positive:
        _log_refusal(conversation, transaction, address, response.replies[0])
        return _counted(conversation, response)
    if _parts(conversation, transaction, verdict.group):
        return say(codes.TOO_MANY_RECIPIENTS)
    if not transaction.recipients:
        transaction.group = verdict.group
    transaction.add(command, address, verdict)
    return response


def _counted(conversation: Conversation, response: Response) -> Response:
    """Count a recipient that is unknown (5.1.x, RFC 3463 §3.2); who names many guesses addresses."""
    reply = response.replies[0]
    if reply.permanent and reply.status().startswith("5.1."):
        conversation.unknown += 1
    if conversation.unknown > conversation.profile.settings.unknown_recipient_limit:
        return limited(conversation, "Too many unknown recipients")
    return response


def _log_refusal(
    conversation: Conversation, transaction: Transaction, address: bytes, reply: Reply
) -> None:
    """Write why a recipient was refused: what an administrator is asked for most."""
    session = conversation.session
    session.refused += 1
    conversation.shared.event.info(
        "Recipient refused",
        id=transaction.id,
        session=session.id,
        ip=session.ip,
        login=session.login or None,
        sender=transaction.mail.sender.decode("utf-8", "replace") or "<>",
        to=address.decode("utf-8", "replace"),
        reply=reply.one_line(),
    )
