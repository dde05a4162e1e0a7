"""VRFY and EXPN by policy (RFC 5321 §3.5, §7.3; RFC 6531 §3.7.4.2).

Both tell spammers who is here: strangers hear 252 or 502, whatever they ask for.
"""

from columba.common.errors import ColumbaError
from columba.common.lookup.base import Table
from columba.common.smtp import codes
from columba.common.smtp.codes import Reply, clean_line
from columba.common.smtp.command import Simple
from columba.common.smtp.path import is_mailbox
from columba.smtpd.conversation import Conversation, Response, Result, ask, judged, say

MEMBERS = 100  # lines of an answer


def vrfy(conversation: Conversation, command: Simple) -> Result:
    """Answer VRFY: with what RCPT would be answered, where clients may know."""
    policy = conversation.profile.settings.vrfy
    address, is_utf8 = _argument(conversation, command)
    if policy == "off":
        return say(codes.NOT_IMPLEMENTED)
    if not address.isascii() and not is_utf8:
        return say(codes.NEEDS_UTF8)
    may_know = conversation.session.is_trusted and conversation.shared.stages.has("rcpt")
    if policy == "neutral" or not may_know or not is_mailbox(address):
        # RFC 5321 §3.5.3: 252 is the answer of a server that does not tell who is here.
        return say(codes.CANNOT_VERIFY)
    return _asked(conversation, address)


def expn(conversation: Conversation, command: Simple) -> Result:
    """Answer EXPN: the members of a list, where clients may know."""
    table = conversation.profile.lists
    if table is None:
        return say(codes.NOT_IMPLEMENTED)
    if not conversation.session.is_trusted:
        return say(codes.NOT_FOR_YOU)
    name, is_utf8 = _argument(conversation, command)
    return _members(conversation, table, name.decode("utf-8", "replace"), is_utf8)


def _argument(conversation: Conversation, command: Simple) -> tuple[bytes, bool]:
    """Return the address or name, and whether the client can read UTF-8 answers (RFC 6531 §3.7.4.2)."""
    text, _, param = command.text.strip().rpartition(b" ")
    is_utf8 = param.upper() == b"SMTPUTF8" and "SMTPUTF8" in conversation.core.offer
    words = text if is_utf8 and text else command.text
    return words.strip().removeprefix(b"<").removesuffix(b">"), is_utf8


async def _asked(conversation: Conversation, address: bytes) -> Response:
    verdict = await ask(conversation, "rcpt", recipient=address)
    known = Reply(250, "2.1.5", (f"<{address.decode('utf-8', 'replace')}>",))
    return judged(verdict, known)


async def _members(conversation: Conversation, table: Table, name: str, is_utf8: bool) -> Response:
    try:
        found = await table.get(name, conversation.shared.settings.stage_timeout)
    except (ColumbaError, TimeoutError):
        return say(codes.LOCAL_ERROR)
    members = (found or "").replace(",", " ").split()[:MEMBERS]
    if not members:
        return say(codes.NO_SUCH_LIST)
    if not is_utf8 and not "".join(members).isascii():
        return say(codes.NEEDS_UTF8)
    return say(Reply(250, "2.1.5", tuple(f"<{clean_line(member)}>" for member in members)))
