"""Which module answers which event."""

from columba.common.smtp.command import Auth, Command, Hello, Mail, Rcpt, Verb
from columba.smtpd.commands import auth, data, helo, mail, misc, rcpt, starttls
from columba.smtpd.conversation import Conversation, Result


def dispatch(conversation: Conversation, command: Command) -> Result:
    """Return the response to a command, or the coroutine that will."""
    match command:
        case Mail():
            return mail.mail(conversation, command)
        case Rcpt():
            return rcpt.rcpt(conversation, command)
        case Hello():
            return helo.hello(conversation, command)
        case Auth():
            return auth.auth(conversation, command)
    if command.verb is Verb.DATA:
        return data.data(conversation)
    if command.verb is Verb.STARTTLS:
        return starttls.starttls(conversation)
    return misc.misc(conversation, command.verb)
