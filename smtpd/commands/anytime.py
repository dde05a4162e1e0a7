"""What a client may say at any time: RSET, NOOP, HELP and QUIT (RFC 5321 §4.1.4)."""

from columba.common.smtp import codes
from columba.common.smtp.command import Verb
from columba.smtpd.conversation import Conversation, Response, Then, say


def anytime(conversation: Conversation, verb: Verb) -> Response:
    """Answer one of the four; none of them asks anybody."""
    match verb:
        case Verb.RSET:
            conversation.reset()
            return say(codes.FLUSHED)
        case Verb.HELP:
            return say(codes.HELP)
        case Verb.QUIT:
            return say(codes.closing(conversation.shared.settings.hostname), Then.CLOSE)
    return say(codes.OK)
