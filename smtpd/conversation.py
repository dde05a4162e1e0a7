"""What is being said on one connection: session, transaction, the message that comes in.

It has no transport. Commands answer through it; a command that needs no wait answers at once with a Response,
one that must ask somebody gives a coroutine of it.
"""

import asyncio
import ssl
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from columba.common.ipc import wire
from columba.common.ipc.client import Call
from columba.common.sasl.scram import PLUS
from columba.common.smtp import codes, extensions
from columba.common.smtp.codes import Reply, clean_line
from columba.common.smtp.command import CLAIMS, Verb
from columba.common.smtp.extensions import Extensions
from columba.common.smtp.params import format_instant
from columba.common.smtp.server import ServerConnection
from columba.smtpd.handoff import Told
from columba.smtpd.listening import Profile
from columba.smtpd.receive import Receiver
from columba.smtpd.session import Role, Session, is_within
from columba.smtpd.shared import Shared
from columba.smtpd.stages import StageName
from columba.smtpd.tls import bindings
from columba.smtpd.transaction import Transaction

DELAY_MAX_S: Final = 60.0
FURTHEST_S: Final = 999_999_999  # nine digits (RFC 4865 §4)


class Then(Enum):
    """What follows the replies."""

    GO_ON = "the next command"
    CLOSE = "the end of the connection"
    TLS = "the handshake"


@dataclass(frozen=True, slots=True)
class Response:
    """The replies to one event, and what follows them."""

    replies: tuple[Reply, ...]
    then: Then = Then.GO_ON
    told: Told | None = None
    is_late: bool = False  # it was held back long enough


Result = Response | Coroutine[object, object, Response]


def say(reply: Reply, then: Then = Then.GO_ON) -> Response:
    """Return a response of one reply."""
    return Response((reply,), then)


class Conversation:
    """One client's conversation. auth_number is the open authentication exchange, 0 if there is none."""

    __slots__ = (
        "auth_check", "auth_number", "calls", "core", "profile", "receiver", "reserved", "secure",
        "session", "shared", "transaction", "unknown",
    )  # fmt: skip

    def __init__(
        self, shared: Shared, profile: Profile, session: Session, core: ServerConnection
    ) -> None:
        self.shared, self.profile, self.session, self.core = shared, profile, session, core
        self.transaction: Transaction | None = None
        self.receiver: Receiver | None = None
        self.reserved = 0  # octets of the spool, from MAIL with SIZE= until DATA
        self.auth_number = self.auth_check = 0  # the latter sums up what the client said in it
        self.unknown = 0  # recipients that were refused as unknown
        self.secure: ssl.SSLObject | None = None  # of the connection, while it is encrypted
        self.calls: list[Call] = []  # calls into the chain, to be cancelled if the client leaves

    def reset(self) -> None:
        """Forget the transaction and the message."""
        self.transaction = None
        if self.session.forwarded:
            self.session.forwarded = {}
        self.shared.spool.give_back(self.reserved)
        self.reserved = 0
        if self.receiver is not None:
            self.receiver.close()
            self.receiver = None

    def reserve(self, octets: int) -> bool:
        """Reserve room in the spool for a message of this size; return False when there is not so much."""
        if octets <= self.shared.settings.inline_body_limit:
            return True
        if not self.shared.spool.take(octets):
            return False
        self.reserved = octets
        return True

    def offer(self) -> Extensions:
        """Return what this client may use now."""
        told = ((keyword, self._words(keyword)) for keyword in self.profile.offers)
        return extensions.offer((keyword, words) for keyword, words in told if words is not None)

    def _words(self, keyword: str) -> str | None:
        """Return what stands behind a keyword, None where this client may not use it now."""
        session, settings, profile = self.session, self.profile.settings, self.profile
        match keyword:
            case "SIZE":
                return str(settings.message_size_limit)
            case "LIMITS":
                return f"RCPTMAX={settings.recipient_limit}"  # RFC 9422 §4.2
            case "STARTTLS":
                return "" if self.shared.tls and not session.tls and session.ip else None
            case "AUTH":
                return " ".join(self.mechanisms()) or None
            case "REQUIRETLS":
                return "" if session.tls else None  # RFC 8689 §2
            case "XCLIENT" | "XFORWARD":
                networks = profile.xclient if keyword == "XCLIENT" else profile.xforward
                is_proxy = is_within(session.peer_ip, networks)
                return " ".join(CLAIMS[Verb(keyword.encode())]) if is_proxy else None
            case "FUTURERELEASE":  # RFC 4865 §4
                may_queue = session.is_trusted or session.role is Role.SUBMISSION
                limit_s = min(int(settings.future_release_limit), FURTHEST_S) if may_queue else 0
                return f"{limit_s} {format_instant(time.time() + limit_s)}" if limit_s > 0 else None
        return ""

    def greeting(self) -> Reply:
        """Return the 220 of a session that begins."""
        kind = "LMTP" if self.session.role is Role.LMTP else "ESMTP"
        return codes.greeting(self.shared.settings.hostname, f"{kind} Columba")

    def mechanisms(self) -> tuple[str, ...]:
        """Return the mechanisms that this client may authenticate with now."""
        shared, session = self.shared, self.session
        if shared.auth is None or session.role is Role.LMTP or session.login:
            return ()
        if not session.tls and not shared.settings.auth_without_tls:
            return ()
        offered = shared.auth.mechanisms or ("PLAIN",)
        can_bind = any(name.endswith(PLUS) for name in offered) and bool(self.bindings())
        return tuple(name for name in offered if self._is_usable(name, can_bind))

    def bindings(self) -> Mapping[str, bytes]:
        """Return what the client may bind its authentication to (RFC 5802 §6)."""
        return bindings(self.secure)

    def _is_usable(self, mechanism: str, can_bind: bool) -> bool:
        """Tell whether a mechanism can prove anything on this connection."""
        if mechanism == "ANONYMOUS":
            return False
        if mechanism == "EXTERNAL":
            return bool(self.session.cert_user)
        return can_bind or not mechanism.endswith(PLUS)

    def leave(self) -> None:
        """The client is gone: begin nothing more for it."""
        for call in self.calls:
            call.cancel()
        self.cancel_auth()

    def cancel_auth(self) -> None:
        """End an open exchange, so that the auth service forgets it."""
        if self.auth_number and self.shared.auth is not None:
            self.shared.auth.cancel(self.auth_number)
        self.auth_number = 0


def limited(conversation: Conversation, reason: str) -> Response:
    """Return the 421 of a limit that a client has reached."""
    hostname, session = conversation.shared.settings.hostname, conversation.session
    event = conversation.shared.event
    event.info("Limit reached", session=session.id, ip=session.ip, reason=reason)
    return say(codes.unavailable(hostname, reason, "4.7.0"), Then.CLOSE)


async def ask(
    conversation: Conversation,
    stage: StageName,
    transaction: Transaction | None = None,
    recipient: bytes = b"",
    original: bytes = b"",
) -> wire.Verdict:
    """Return the verdict of a stage's script, when the time that it asks to wait is over."""
    verdict = await conversation.shared.stages.ask(
        stage,
        conversation.session,
        transaction,
        recipient,
        original=original,
        errors=conversation.core.errors,
    )
    await asyncio.sleep(min(verdict.delay_ms / 1000, DELAY_MAX_S))
    return verdict


def judged(verdict: wire.Verdict, ok: Reply) -> Response:
    """Return the response to a stage's verdict; ok is the reply of a plain accept."""
    if verdict.action == "accept":
        return say(ok)
    text = clean_line(verdict.text) or "Refused by policy"
    if verdict.action == "disconnect":
        code = verdict.code if verdict.code >= 400 else 421
        return say(Reply(code, verdict.enhanced, (text,)), Then.CLOSE)
    if not 200 <= verdict.code <= 599 or 300 <= verdict.code < 400:
        return say(codes.LOCAL_ERROR)
    return say(Reply(verdict.code, verdict.enhanced, (text,)), _after(verdict.code))


def log_refused(conversation: Conversation, stage: str, reply: Reply) -> None:
    """Write what a script of a stage without a recipient refused, as is done for recipients."""
    session = conversation.session
    conversation.shared.event.info(
        "Client refused",
        stage=stage,
        session=session.id,
        ip=session.ip,
        login=session.login or None,
        helo=session.helo or None,
        reply=reply.one_line(),
    )


def _after(code: int) -> Then:
    return Then.CLOSE if code == 421 else Then.GO_ON
