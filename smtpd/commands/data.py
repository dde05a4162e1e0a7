"""DATA, BDAT and the end of data (RFC 5321 §4.1.1.4, RFC 3030 §2).

Whatever the answer is, the transaction is over with it.
"""

from dataclasses import replace

from columba.common.errors import StoreError
from columba.common.smtp import codes
from columba.common.smtp.codes import Reply
from columba.common.smtp.server_events import Body, EndOfBody, EndOfChunk
from columba.smtpd.answer import named
from columba.smtpd.conversation import Conversation, Response, Result, say
from columba.smtpd.handoff import Message
from columba.smtpd.receive import Receiver
from columba.smtpd.session import Role
from columba.smtpd.transaction import Transaction


def data(conversation: Conversation) -> Result:
    """Answer DATA: the client may send."""
    transaction = conversation.transaction
    if transaction is None or not transaction.recipients:
        return say(codes.NO_RECIPIENTS)
    if conversation.shared.spool.is_out_of_memory:
        conversation.reset()
        return say(codes.MEMORY_FULL)
    _receive(conversation, transaction)
    return say(codes.SEND_MESSAGE)


def body(conversation: Conversation, event: Body) -> bool:
    """Take a piece of the message; return True when flush() is due before more is read."""
    return _receiver(conversation).add(event.data)


def chunk(conversation: Conversation, event: EndOfChunk) -> Response:
    """Answer a chunk that is not the last; an error ends the transaction."""
    problem = event.problem
    if problem is None and _receiver(conversation).is_full:
        problem = codes.SYSTEM_FULL
    if problem is None:
        return say(codes.chunk_taken(event.size))
    conversation.reset()
    return say(problem)


async def flush(conversation: Conversation) -> Response:
    """Write what was received to the spool; there is nothing to answer yet."""
    receiver = conversation.receiver
    if receiver is not None:
        try:
            await receiver.flush()
        except (StoreError, TimeoutError) as error:
            conversation.shared.event.error("Spool can't be written", error=str(error))
            receiver.is_full = True
    return Response(())


async def end(conversation: Conversation, event: EndOfBody) -> Response:
    """Hand the message over and answer what became of it."""
    transaction, receiver = conversation.transaction, _receiver(conversation)
    assert transaction is not None
    conversation.shared.presence.mailed(conversation.session.ip)
    try:
        if event.problem is not None:
            response = _same(conversation, transaction, event.problem)
        else:
            response = await _deliver(conversation, transaction, receiver)
        replies = tuple(named(reply, transaction.id) for reply in response.replies)
        return replace(response, replies=replies)
    finally:
        conversation.calls.clear()
        conversation.reset()


def _receiver(conversation: Conversation) -> Receiver:
    """Return what takes the message in; with BDAT the first chunk makes it."""
    if conversation.receiver is not None:
        return conversation.receiver
    assert conversation.transaction is not None
    return _receive(conversation, conversation.transaction)


def _receive(conversation: Conversation, transaction: Transaction) -> Receiver:
    made = conversation.shared.receiver(transaction.id, conversation.reserved)
    conversation.receiver, conversation.reserved = made, 0
    return made


async def _deliver(
    conversation: Conversation, transaction: Transaction, receiver: Receiver
) -> Response:
    shared = conversation.shared
    try:
        reference, inline = await receiver.finish()
    except (StoreError, TimeoutError) as error:
        shared.event.error("Spool can't be written", id=transaction.id, error=str(error))
        return _same(conversation, transaction, codes.SYSTEM_FULL)
    if receiver.header_too_big:
        return _same(conversation, transaction, codes.HEADER_TOO_BIG)
    if receiver.is_full:
        return _same(conversation, transaction, codes.SYSTEM_FULL)
    message = Message(receiver.header, reference, inline, receiver.body_hash)
    result = await shared.handoff.deliver(
        conversation.session, transaction, message, conversation.calls.append
    )
    conversation.session.messages += result.replies[-1].positive
    return Response(result.replies, told=result.told)


def _same(conversation: Conversation, transaction: Transaction, reply: Reply) -> Response:
    """Return one reply for all: once for SMTP, once for each recipient for LMTP (RFC 2033 §4.2)."""
    is_lmtp = conversation.session.role is Role.LMTP
    event = conversation.shared.event
    event.info(
        "Refused", id=transaction.id, session=conversation.session.id, reply=reply.one_line()
    )
    return Response((reply,) * (transaction.count if is_lmtp else 1))
