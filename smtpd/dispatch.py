"""Which module answers which event."""

from columba.common.smtp.command import Auth, Claim, Command, Hello, Mail, Rcpt, Simple, Verb
from columba.smtpd.commands import auth, claim, data, helo, mail, misc, rcpt, starttls, vrfy
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
        case Claim():
            return claim.claim(conversation, command)
        case Auth():
            return auth.auth(conversation, command)
    if command.verb is Verb.DATA:
        return data.data(conversation)
    if command.verb is Verb.STARTTLS:
        return starttls.starttls(conversation)
    if isinstance(command, Simple) and command.verb is Verb.VRFY:
        return vrfy.vrfy(conversation, command)
    if isinstance(command, Simple) and command.verb is Verb.EXPN:
        return vrfy.expn(conversation, command)
    return misc.misc(conversation, command)
