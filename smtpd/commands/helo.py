"""HELO, EHLO and LHLO (RFC 5321 §4.1.1.1, RFC 2033 §4.1)."""

from columba.common.smtp import extensions
from columba.common.smtp.codes import Reply
from columba.common.smtp.command import Hello, Verb
from columba.smtpd.conversation import Conversation, Response, Result, ask, judged, log_refused, say


def hello(conversation: Conversation, command: Hello) -> Result:
    """Answer a hello; it ends an open transaction."""
    session = conversation.session
    session.helo = session.helo_said or command.name.decode("utf-8", "replace")
    session.is_esmtp = command.verb is not Verb.HELO
    if conversation.shared.stages.has("helo"):
        return _asked(conversation, command)
    return say(_greet(conversation, command))


async def _asked(conversation: Conversation, command: Hello) -> Response:
    verdict = await ask(conversation, "helo")
    if verdict.action != "accept":
        response = judged(verdict, extensions.ehlo_reply("", extensions.NONE))
        log_refused(conversation, "helo", response.replies[0])
        return response
    return say(_greet(conversation, command))


def _greet(conversation: Conversation, command: Hello) -> Reply:
    conversation.reset()
    hostname = conversation.shared.settings.hostname
    if command.verb is Verb.HELO:
        conversation.core.offer = extensions.NONE
        return Reply(250, "", (hostname,))
    conversation.core.offer = offer = conversation.offer()
    return extensions.ehlo_reply(hostname, offer)
