"""What a new client is greeted with: after a wait, a look at whether it talks first, and the connect stage.

A client must wait for the greeting (RFC 5321 §3.1); programs that only push their mail out often do not. It shows while
the greeting is held back, by greet_delay or by the connect stage. Clients of trusted_networks are not tried.
"""

import asyncio

from columba.common.smtp import codes
from columba.common.smtp.codes import Reply
from columba.smtpd.conversation import Conversation, ask, judged, log_refused


def is_plain(conversation: Conversation) -> bool:
    """Tell whether the greeting asks nobody and waits for nothing."""
    if conversation.shared.stages.has("connect"):
        return False
    return conversation.session.in_trusted_network or not conversation.profile.settings.greet_delay


async def opening(conversation: Conversation) -> Reply:
    """Return the greeting, or the refusal that stands in its place."""
    session, settings = conversation.session, conversation.profile.settings
    if settings.greet_delay and not session.in_trusted_network:
        await asyncio.sleep(settings.greet_delay)
    if refusal := _talked_first(conversation):
        return refusal
    if not conversation.shared.stages.has("connect"):
        return conversation.greeting()
    reply = await connect_stage(conversation)
    return (_talked_first(conversation) if reply.positive else None) or reply


async def connect_stage(conversation: Conversation) -> Reply:
    """Return the greeting, or the refusal of the connect stage's script, after which the connection is closed."""
    reply = judged(await ask(conversation, "connect"), codes.OK).replies[0]
    if reply.positive:
        return conversation.greeting()
    log_refused(conversation, "connect", reply)
    return reply


def _talked_first(conversation: Conversation) -> Reply | None:
    """Note a client that did not wait; return the refusal if such are refused."""
    session, settings = conversation.session, conversation.profile.settings
    if session.in_trusted_network or not session.pregreet:
        return None
    conversation.shared.event.info("Talked before the greeting", session=session.id, ip=session.ip)
    return codes.TALKED_FIRST if settings.early_talkers == "refuse" else None
