"""RSET, NOOP, VRFY, EXPN, HELP and QUIT (RFC 5321 §4.1.1.5 to §4.1.1.10)."""

from columba.common.smtp import codes
from columba.common.smtp.command import Verb
from columba.smtpd.conversation import Conversation, Result, Then, say


def misc(conversation: Conversation, verb: Verb) -> Result:
    """Answer a command that asks nobody."""
    match verb:
        case Verb.RSET:
            conversation.reset()
            return say(codes.FLUSHED)
        case Verb.VRFY:
            # RFC 5321 §3.5.3: 252 is the answer of a server that does not tell who is here.
            return say(codes.CANNOT_VERIFY)
        case Verb.EXPN:
            return say(codes.NOT_IMPLEMENTED)
        case Verb.HELP:
            return say(codes.HELP)
        case Verb.QUIT:
            return say(codes.closing(conversation.shared.settings.hostname), Then.CLOSE)
    return say(codes.OK)
