"""STARTTLS (RFC 3207). Input behind it in the same flight is an error, found by the codec."""

from columba.common.smtp import codes
from columba.smtpd.conversation import Conversation, Result, Then, say


def starttls(conversation: Conversation) -> Result:
    """Answer STARTTLS; the handshake follows."""
    if conversation.session.tls:
        return say(codes.TLS_ACTIVE)
    if not conversation.shared.tls:
        return say(codes.NOT_IMPLEMENTED)
    conversation.reset()
    return say(codes.START_TLS, Then.TLS)
