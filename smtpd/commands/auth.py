"""AUTH (RFC 4954): the auth service decides, in any mechanism that it offers.

Passwords are in no log line. A failure comes late because the service is slow on purpose, and an address that gave
wrong passwords waits before the next one is looked at (anvil counts them for all processes).
"""

import asyncio
import base64
import hashlib
from typing import Final

from columba.common.errors import PeerError, RemoteProtocolError
from columba.common.sasl.dovecot import Challenge, Fail, Ok, binding_params, decode64
from columba.common.sasl.scram import PLUS
from columba.common.smtp import codes
from columba.common.smtp.codes import Reply, clean_line
from columba.common.smtp.command import Auth
from columba.smtpd.conversation import (
    Conversation,
    Response,
    Result,
    ask,
    judged,
    log_refused,
    say,
)
from columba.smtpd.peers.dovecot import AuthClient, Verdict

CANCELLED: Final = b"*"


def auth(conversation: Conversation, command: Auth) -> Result:
    """Answer AUTH."""
    client = conversation.shared.auth
    if conversation.session.login:
        return say(codes.AUTH_TWICE)
    if client is None or command.mechanism not in conversation.mechanisms():
        return say(codes.UNKNOWN_MECHANISM)
    try:
        initial = None if command.initial is None else decode64(command.initial)
    except RemoteProtocolError:
        return say(codes.BAD_BASE64)
    return _begin(conversation, client, command.mechanism, initial)


def line(conversation: Conversation, text: bytes) -> Result:
    """Answer the client's line in an open exchange."""
    client, number = conversation.shared.auth, conversation.auth_number
    if client is None or not number:
        return say(codes.AUTH_TEMPORARY)
    if text == CANCELLED:
        client.cancel(number)
        conversation.auth_number = 0
        return say(codes.AUTH_CANCELLED)
    try:
        data = decode64(text)
    except RemoteProtocolError:
        client.cancel(number)
        conversation.auth_number = 0
        return say(codes.BAD_BASE64)
    return _go_on(conversation, client, number, data)


async def _begin(
    conversation: Conversation, client: AuthClient, mechanism: str, initial: bytes | None
) -> Response:
    session, timeout_s = conversation.session, conversation.shared.settings.auth_timeout
    params = {
        "service": "smtp",
        "no-penalty": "",  # we count for ourselves
        "session": session.id,
        "lip": session.local_ip,
        "rip": session.ip,
        "lport": str(session.local_port),
        "rport": str(session.port),
    }
    params = {key: value for key, value in params.items() if value or key == "no-penalty"}
    if session.tls:
        params["secured"] = "tls"
    if session.cert_user:
        params["valid-client-cert"] = ""
        params["cert_username"] = session.cert_user
    if mechanism.startswith("SCRAM-") and _offers_binding(client):
        params |= binding_params(conversation.bindings())
    if not session.in_trusted_network:
        await asyncio.sleep(await conversation.shared.presence.penalty_s(session.ip))
    conversation.auth_check = summed(summed(0, mechanism.encode()), initial or b"")
    try:
        number, verdict = await client.begin(mechanism, params, initial, timeout_s)
    except PeerError as error:
        return _unavailable(conversation, error)
    return await _judge(conversation, number, verdict)


def summed(before: int, said: bytes) -> int:
    """Return 64 bits that stand for all that a client said in an exchange.

    A checksum would not do: case and filling can be chosen so that all guesses have the same one and count once.
    """
    digest = hashlib.blake2b(said, digest_size=8, key=before.to_bytes(8, "big")).digest()
    return int.from_bytes(digest, "big")


def _offers_binding(client: AuthClient) -> bool:
    return any(name.endswith(PLUS) for name in client.mechanisms)


async def _go_on(
    conversation: Conversation, client: AuthClient, number: int, data: bytes
) -> Response:
    timeout_s = conversation.shared.settings.auth_timeout
    conversation.auth_check = summed(conversation.auth_check, data)
    try:
        verdict = await client.go_on(number, data, timeout_s)
    except PeerError as error:
        return _unavailable(conversation, error)
    return await _judge(conversation, number, verdict)


async def _judge(conversation: Conversation, number: int, verdict: Verdict) -> Response:
    session, shared = conversation.session, conversation.shared
    conversation.auth_number = 0
    match verdict:
        case Challenge(_, data):
            conversation.auth_number = number
            return say(Reply(334, "", (base64.b64encode(data).decode(),)))
        case Fail(_, code, reason):
            shared.event.info("Login failed", session=session.id, ip=session.ip, code=code or None)
            if code != "temp_fail" and not session.in_trusted_network:
                await shared.presence.failed(session.ip, conversation.auth_check)
            return say(_failure(code, reason))
        case Ok(_, user, _):
            session.login = user
    shared.event.info("Login", session=session.id, ip=session.ip, user=user)
    shared.presence.changed(session)
    if not shared.stages.has("auth"):
        return say(codes.AUTHENTICATED)
    response = judged(await ask(conversation, "auth"), codes.AUTHENTICATED)
    if not response.replies[0].positive:
        log_refused(conversation, "auth", response.replies[0])
        session.login = ""
        shared.presence.changed(session)
    return response


def _failure(code: str, reason: str) -> Reply:
    base = codes.AUTH_TEMPORARY if code == "temp_fail" else codes.AUTH_FAILED
    words = clean_line(reason)[:200]
    return Reply(base.code, base.enhanced, (words,)) if words else base


def _unavailable(conversation: Conversation, error: PeerError) -> Response:
    conversation.auth_number = 0
    event = conversation.shared.event
    event.warning("No authentication", session=conversation.session.id, error=str(error))
    return say(codes.AUTH_TEMPORARY)
