"""The beginning of a session with a hop: greeting, EHLO, TLS as demanded, login where there are credentials.

Raises HopError and HopTlsError of exchange.py; whoever opens closes the connection then. A password goes out only
over TLS, unless the administrator allowed otherwise, and never into transcript or log.
"""

import base64
import binascii
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import Final

from columba.common.errors import RemoteProtocolError
from columba.common.net.check import Check
from columba.common.net.stream import StreamError, StreamTlsError
from columba.common.off_loop import OffLoop
from columba.common.sasl.client import Credentials, Mechanism, choose
from columba.common.smtp.client import Answer, ClientEvent, Greeting
from columba.common.smtp.command import Auth, Simple, Verb
from columba.delivery.exchange import Exchange, HopError, HopTlsError, Patience
from columba.delivery.outcome import Stage
from columba.delivery.tlspolicy.decide import Demand, Use

SUBMISSIONS: Final = 465  # RFC 8314 §3.3: TLS from the first octet
STEPS_MAX: Final = 8  # of a SASL exchange
HASH_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Manner:
    """How a session is opened. `own_name`: a hop that says this of itself is ourselves, "" = don't look."""

    helo: bytes
    demand: Demand
    contexts: Mapping[Check, SSLContext]
    patience: Patience
    login: Credentials | None = None
    may_login_in_clear: bool = False
    own_name: str = ""
    ignored: tuple[str, ...] = ()  # EHLO keywords that are not used


class LoopError(HopError):
    """The hop is this server itself."""


async def open_session(exchange: Exchange, manner: Manner, off_loop: OffLoop) -> None:
    """Bring a new connection to where mail may be sent. Raises HopError, HopTlsError, LoopError."""
    patience = manner.patience
    is_tls = exchange.endpoint.port == SUBMISSIONS and manner.demand.use is not Use.NEVER
    if is_tls:
        exchange.stage = Stage.STARTTLS
        await _start_tls(exchange, manner)
        exchange.stage = Stage.GREETING
    event = await exchange.event(patience.until(patience.greeting_s))
    if not isinstance(event, Greeting) or event.reply.code != 220:
        raise exchange.refused(event)
    await _hello(exchange, manner)
    if not is_tls and await _wants_tls(exchange, manner):
        await _start_tls(exchange, manner)
        exchange.smtp.tls_started()
        await _hello(exchange, manner)
    if manner.login is not None:
        await _login(exchange, manner, manner.login, off_loop)


async def _hello(exchange: Exchange, manner: Manner) -> None:
    patience = manner.patience
    exchange.stage = Stage.HELLO
    exchange.smtp.hello(manner.helo)
    while True:
        event = await exchange.event(patience.until(patience.greeting_s))
        if isinstance(event, Answer) and not event.final:
            continue  # EHLO was refused, HELO is under way
        if not isinstance(event, Answer) or not event.reply.positive:
            raise exchange.refused(event)
        if manner.ignored:
            exchange.smtp.extensions = exchange.smtp.extensions.without(*manner.ignored)
        words = event.reply.lines[0].split()
        if manner.own_name and words and words[0].lower() == manner.own_name:
            raise LoopError(Stage.HELLO, "the hop is this server itself")
        return


async def _wants_tls(exchange: Exchange, manner: Manner) -> bool:
    """Ask for TLS where it may or must be; return whether the hop goes on to the handshake."""
    demand, patience = manner.demand, manner.patience
    offered = "STARTTLS" in exchange.smtp.extensions
    if demand.use is Use.ALWAYS and not offered:
        raise HopTlsError(Stage.STARTTLS, "TLS is demanded, but not offered")
    if demand.use is Use.NEVER or not offered:
        return False
    exchange.stage = Stage.STARTTLS
    exchange.smtp.enqueue(Simple(Verb.STARTTLS))
    event = await exchange.event(patience.until(patience.command_s))
    if isinstance(event, Answer) and event.reply.positive:
        return True
    if demand.use is Use.ALWAYS or not isinstance(event, Answer):
        raise exchange.refused(event)
    return False


async def _start_tls(exchange: Exchange, manner: Manner) -> None:
    context = manner.contexts[manner.demand.check]
    until_ns = manner.patience.until(manner.patience.command_s)
    try:
        await exchange.stream.start_tls(context, exchange.endpoint.host, until_ns)
    except StreamTlsError as error:
        exchange.note(str(error))
        raise HopTlsError(Stage.STARTTLS, str(error)) from error
    except StreamError as error:
        raise HopError(Stage.STARTTLS, str(error)) from error
    exchange.note(f"TLS began: {exchange.stream.tls_version} {exchange.stream.cipher}")


async def _login(
    exchange: Exchange, manner: Manner, credentials: Credentials, off_loop: OffLoop
) -> None:
    exchange.stage = Stage.AUTH
    if not exchange.stream.tls_version and not manner.may_login_in_clear:
        raise HopError(Stage.AUTH, "a login is due, but there is no TLS to protect it")
    nonce = secrets.token_urlsafe(24)
    mechanism = choose(exchange.smtp.extensions.auth, credentials, nonce)
    if mechanism is None:
        raise HopError(Stage.AUTH, "the hop offers no way to log in that we know")
    exchange.say(f"AUTH {mechanism.name} as {credentials.user}".encode())
    exchange.is_secret = True
    try:
        event = await _sasl(exchange, manner.patience, mechanism, off_loop)
    except RemoteProtocolError as error:
        raise HopError(Stage.AUTH, str(error)) from error
    finally:
        exchange.is_secret = False
    if not isinstance(event, Answer) or not event.reply.positive:
        refusal = exchange.refused(event)
        exchange.note(refusal.reason)
        raise refusal
    if not mechanism.is_proven:
        raise HopError(Stage.AUTH, "the hop did not prove that it knows the password")
    exchange.note(event.reply.one_line())


async def _sasl(
    exchange: Exchange, patience: Patience, mechanism: Mechanism, off_loop: OffLoop
) -> ClientEvent:
    """Answer challenges until the exchange is over; return the event that ended it. Raises RemoteProtocolError."""
    first = mechanism.initial()
    initial = None if first is None else base64.b64encode(first)
    exchange.smtp.enqueue(Auth(mechanism.name, initial))
    for _ in range(STEPS_MAX):
        event = await exchange.event(patience.until(patience.command_s))
        if not isinstance(event, Answer) or event.reply.code != 334:
            return event
        try:
            challenge = base64.b64decode(event.reply.text(), validate=True)
        except (binascii.Error, ValueError) as error:
            raise RemoteProtocolError("a challenge that is no base64") from error
        answer = await off_loop.run(HASH_S, mechanism.respond, challenge)
        line = exchange.smtp.auth_response(base64.b64encode(answer))
        if not await exchange.write(line, patience.until(patience.command_s)):
            raise HopError(Stage.AUTH, "the connection broke in the middle of a login")
    raise RemoteProtocolError("a login of too many steps")
