"""RSET, NOOP, HELP and QUIT (RFC 5321 §4.1.1.5 to §4.1.1.10)."""

from columba.common.smtp import codes
from columba.common.smtp.command import Command, Verb
from columba.smtpd.conversation import Conversation, Result, Then, say


def misc(conversation: Conversation, command: Command) -> Result:
    """Answer a command that asks nobody."""
    match command.verb:
        case Verb.RSET:
            conversation.reset()
            return say(codes.FLUSHED)
        case Verb.HELP:
            return say(codes.HELP)
        case Verb.QUIT:
            return say(codes.closing(conversation.shared.settings.hostname), Then.CLOSE)
    return say(codes.OK)
