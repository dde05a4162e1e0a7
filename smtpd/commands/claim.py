"""XCLIENT and XFORWARD: a proxy or filter says who stands behind it (Postfix's XCLIENT_README and XFORWARD_README).

XCLIENT puts another client in the place of this one: address, trust, login, all that is decided by them; the session
begins anew with a greeting. XFORWARD only tells where the next mail came from: scripts, records and logs see that, but
what the client may do stays its own.
"""

import ipaddress
from collections.abc import Mapping

from columba.common.smtp import codes
from columba.common.smtp.command import Claim, Verb
from columba.smtpd.conversation import Conversation, Response, Result, Then, say
from columba.smtpd.opening import connect_stage
from columba.smtpd.session import Session, is_within


def claim(conversation: Conversation, command: Claim) -> Result:
    """Answer XCLIENT or XFORWARD."""
    profile, session = conversation.profile, conversation.session
    is_xclient = command.verb is Verb.XCLIENT
    if not is_within(session.peer_ip, profile.xclient if is_xclient else profile.xforward):
        return say(codes.NOT_FOR_YOU)
    try:
        said = {key: _checked(command, key) for key, _ in command.attributes}
    except ValueError:
        return say(codes.BAD_PARAMETER)
    known = {key: value for key, value in said.items() if value}
    conversation.shared.event.info(
        "Client named" if is_xclient else "Origin named",
        session=session.id,
        ip=session.peer_ip,
        claim=" ".join(f"{key}={value}" for key, value in known.items()),
    )
    if not is_xclient:
        session.forwarded = {**session.forwarded, **known}
        return say(codes.OK)
    conversation.reset()
    _become(session, said)
    session.in_trusted_network = is_within(session.ip, conversation.shared.trusted)
    if conversation.shared.stages.has("connect"):
        return _greeted(conversation)
    return say(conversation.greeting())


async def _greeted(conversation: Conversation) -> Response:
    reply = await connect_stage(conversation)
    return say(reply, Then.GO_ON if reply.positive else Then.CLOSE)


def _checked(command: Claim, key: str) -> str:
    """Return an attribute's value, "" if the proxy does not know it. Raises ValueError."""
    value = command.get(key) or ""
    if key in ("ADDR", "DESTADDR") and value:
        return str(ipaddress.ip_address(value[5:] if value[:5].upper() == "IPV6:" else value))
    if key in ("PORT", "DESTPORT") and value and not 0 < int(value) < 65536:
        raise ValueError("not a port")
    if key == "PROTO" and value.upper() not in ("", "SMTP", "ESMTP"):
        raise ValueError("not a protocol")
    return value.upper() if key == "PROTO" else value


def _become(session: Session, said: Mapping[str, str]) -> None:
    """Take over what is said, also that it is not known ("" for a value); what is not said stays."""
    session.ip = said.get("ADDR", session.ip)
    session.port = int(said.get("PORT", str(session.port)) or 0)
    session.local_ip = said.get("DESTADDR", session.local_ip)
    session.local_port = int(said.get("DESTPORT", str(session.local_port)) or 0)
    if "ADDR" in said or "NAME" in said:
        session.name = said.get("NAME", "")
        session.ptr = "confirmed" if session.name else ""
    session.login = said.get("LOGIN", "")
    session.helo_said = said.get("HELO", session.helo_said)
    session.helo, session.is_esmtp = session.helo_said, said.get("PROTO") == "ESMTP"
    session.variables, session.forwarded = {}, {}
