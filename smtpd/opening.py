"""What a new client is greeted with: after a wait, a look at whether it talks first, and the connect stage.

A client must wait for the greeting (RFC 5321 §3.1); programs that only push their mail out often do not. It shows while
the greeting is held back, by greet_delay or by the connect stage. Clients of trusted_networks are not tried.
"""

import asyncio

from columba.common.smtp import codes
from columba.common.smtp.codes import Reply
from columba.smtpd.conversation import Conversation, delay_s, judged, log_refused
from columba.smtpd.session import Role


def is_plain(conversation: Conversation) -> bool:
    """Tell whether the greeting asks nobody and waits for nothing."""
    if conversation.shared.stages.has("connect"):
        return False
    return conversation.session.in_trusted_network or not conversation.profile.settings.greet_delay


def greeting(conversation: Conversation) -> Reply:
    """Return the greeting of a client that is welcome."""
    kind = "LMTP" if conversation.session.role is Role.LMTP else "ESMTP"
    return codes.greeting(conversation.shared.settings.hostname, f"{kind} Columba")


async def opening(conversation: Conversation) -> Reply:
    """Return the greeting, or the refusal that stands in its place."""
    session, settings = conversation.session, conversation.profile.settings
    if settings.greet_delay and not session.in_trusted_network:
        await asyncio.sleep(settings.greet_delay)
    if refusal := _talked_first(conversation):
        return refusal
    if conversation.shared.stages.has("connect"):
        verdict = await conversation.shared.stages.ask("connect", session)
        await asyncio.sleep(delay_s(verdict))
        reply = judged(verdict, codes.OK).replies[0]
        if not reply.positive:
            log_refused(conversation, "connect", reply)
            return reply
        return _talked_first(conversation) or greeting(conversation)
    return greeting(conversation)


def _talked_first(conversation: Conversation) -> Reply | None:
    """Note a client that did not wait; return the refusal if such are refused."""
    session, settings = conversation.session, conversation.profile.settings
    if session.in_trusted_network or not session.pregreet:
        return None
    conversation.shared.event.info("Talked before the greeting", session=session.id, ip=session.ip)
    return codes.TALKED_FIRST if settings.early_talkers == "refuse" else None
