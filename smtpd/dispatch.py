"""Which module answers which event."""

from columba.common.smtp.command import Auth, Claim, Command, Hello, Mail, Rcpt, Simple, Verb
from columba.smtpd.commands import anytime, auth, claim, data, helo, mail, rcpt, starttls, vrfy
from columba.smtpd.conversation import Conversation, Result


def dispatch(conversation: Conversation, command: Command) -> Result:
    """Return the response to a command, or the coroutine that will."""
    match command:
        case Mail():
            return mail.mail(conversation, command)
        case Rcpt():
            return rcpt.rcpt(conversation, command)
        case Simple(Verb.DATA):
            return data.data(conversation)
        case Hello():
            return helo.hello(conversation, command)
        case Auth():
            return auth.auth(conversation, command)
        case Claim():
            return claim.claim(conversation, command)
        case Simple(Verb.STARTTLS):
            return starttls.starttls(conversation)
        case Simple(Verb.VRFY):
            return vrfy.vrfy(conversation, command)
        case Simple(Verb.EXPN):
            return vrfy.expn(conversation, command)
    return anytime.anytime(conversation, command.verb)
