"""The one I/O loop: octets between a transport and a conversation.

A connection holds no task while it is idle. Events that need no wait are answered inside data_received(); one that
must wait runs as the connection's single job, and what arrives meanwhile stays in the codec's buffer.

STARTTLS: reading is paused before the 220 is written, and what arrives before start_tls() has returned is
already the client's first data inside TLS: it is held back until then.
"""

import asyncio
from collections.abc import Coroutine
from typing import Final, Protocol, cast

from columba.common.errors import RemoteProtocolError
from columba.common.smtp import codes
from columba.common.smtp.codes import Reply
from columba.common.smtp.path import SyntaxProblem
from columba.common.smtp.server import ServerConnection
from columba.common.smtp.server_events import (
    AuthLine,
    Body,
    CommandReceived,
    EndOfBody,
    EndOfChunk,
    Event,
    Rejected,
    Wait,
)
from columba.common.smtp.state import IN_MESSAGE, Phase
from columba.smtpd.answer import soften
from columba.smtpd.arrival import Ends, begin_tls, make_session, note_tls
from columba.smtpd.commands import auth, data
from columba.smtpd.conversation import Conversation, Response, Result, Then, say
from columba.smtpd.dispatch import dispatch
from columba.smtpd.ending import LAST_WORD_S, POLL_S, Taken, last_words
from columba.smtpd.handoff import Told
from columba.smtpd.listening import Profile
from columba.smtpd.opening import is_plain, opening
from columba.smtpd.pace import PATIENCE, Pace
from columba.smtpd.session import Role, Session
from columba.smtpd.shared import Shared
from columba.smtpd.tarpit import hold_back, tarpit_s

HIGH_WATER: Final = 64 * 1024  # octets that wait in the codec while a job runs
HANDSHAKE_S: Final = 30.0
FLUSH_S: Final = 30.0  # for the client to read that reply
TURN: Final = 100  # events that are answered before other connections have their turn


class Registry(Protocol):
    """The service, as its connections see it."""

    def opened(self, connection: "Connection") -> Reply | None:
        """Count a connection in; return the refusal if there is no room for it."""
        ...

    def closed(self, connection: "Connection") -> None:
        """Count it out."""
        ...


class Connection(asyncio.Protocol):
    """One client. `ip` is "" on unix sockets; said is what a trusted proxy says of both ends."""

    __slots__ = (
        "_conversation", "_early", "_is_ending", "_is_full", "_is_half", "_is_lost", "_is_paused", "_is_retiring",
        "_is_scheduled", "_job", "_last_input", "_loop", "_pace", "_profile", "_registry", "_said", "_shared", "_timer",
        "_told", "_transport", "core", "ip",
    )  # fmt: skip

    def __init__(
        self, shared: Shared, registry: Registry, profile: Profile, said: Ends | None = None
    ) -> None:
        self._shared, self._registry, self._profile, self._said = shared, registry, profile, said
        self._loop = asyncio.get_running_loop()
        self._job: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._early: list[bytes] | None = None  # data inside TLS, while the upgrade is under way
        self._told: list[Told] = []  # answers that the client is not known to have
        self._is_ending = self._is_full = self._is_lost = self._is_paused = False
        self._is_retiring = self._is_scheduled = self._is_half = False
        self._pace: Pace | None = None  # of a message that comes in
        self._last_input = 0.0  # when the last whole command, or a piece of a message, had come
        self.ip = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client, or say why not."""
        self._transport = cast("asyncio.Transport", transport)
        profile = self._profile
        session = make_session(transport, profile, self._shared.trusted, self._said)
        self.ip = session.ip
        is_lmtp = session.role is Role.LMTP
        self.core = ServerConnection(profile.limits_for(session.ip), lmtp=is_lmtp)
        self._conversation = Conversation(self._shared, profile, session, self.core)
        self._conversation.secure = note_tls(transport, self._shared.tls, session)
        self._last_input = self._loop.time()
        if refusal := self._registry.opened(self):
            self._write_last(refusal)
            return
        self._arm(self._shared.settings.command_timeout)
        if is_plain(self._conversation):
            self._transport.write(self.core.greet(self._conversation.greeting()))
        else:
            self._start(self._open())

    def data_received(self, data: bytes) -> None:
        """Take input; it also shows that the client has our last answer."""
        if self._told:
            self._tell()
        if self._is_ending:
            return
        if self.core.phase is Phase.GREETING:
            self._conversation.session.pregreet = True  # RFC 5321 §4.3.1: it should have waited
        if self._early is not None:
            self._early.append(data)
            return
        try:
            self.core.receive(data)
        except RemoteProtocolError as error:
            self._violated(error)
            return
        if self._job is None and not self._is_scheduled:
            self._pump()
        self._balance()

    def eof_received(self) -> bool:
        """Take an orderly close. Answer a job's result still, where the transport can be half open."""
        if self._told:
            self._tell()
        self._is_half = True
        if self._job is None and not self._is_scheduled:
            return False
        if self._job is not None and not self.core.has_quit:
            self._conversation.leave()  # it may have died; who says QUIT beforehand waits for us
        return not self._conversation.session.tls

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything; a job goes on to its end, because mail hangs on it."""
        if self._is_lost:
            return
        self._is_lost = self._is_ending = True
        if self._timer is not None:
            self._timer.cancel()
        for told in self._told:
            self._shared.handoff.untold(told)
        self._told.clear()
        self._conversation.leave()
        if self._job is None:
            self._conversation.reset()
        self._registry.closed(self)

    def pause_writing(self) -> None:
        """Read no more commands of a client that does not read our replies."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_full = False
        if self._job is None:
            self._pump_soon()

    def retire(self) -> None:
        """Close with 421 as soon as no message is on its way."""
        self._is_retiring = True
        if self._job is None and self.core.phase not in IN_MESSAGE:
            self._hang_up("Service is shutting down")

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def kick(self) -> None:
        """Close with 421, a message that is coming in or not; one that is on its way is answered first."""
        self._is_retiring = True
        if self._job is None:
            self._hang_up("Ended by an administrator", "4.7.0")

    @property
    def session(self) -> Session:
        """Return who this is."""
        return self._conversation.session

    async def _open(self) -> Response:
        reply = await opening(self._conversation)
        if not self._is_lost:
            self._transport.write(self.core.greet(reply))
        return Response((), Then.GO_ON if reply.positive else Then.CLOSE)

    def _pump(self) -> None:
        """Answer events until one must wait, there is none, or others have their turn."""
        self._is_scheduled = False
        try:
            for _ in range(TURN):
                if self._job is not None or self._is_full or self._is_ending:
                    break
                event = self.core.next_event()
                if isinstance(event, Wait):
                    break
                self._handle(event)
            else:
                self._pump_soon()
        except RemoteProtocolError as error:
            self._violated(error)
        except Exception as error:  # the connection loop
            self._crashed(error)
        if self._is_retiring and not self._is_ending and self._job is None:
            self.retire()
        if self._is_half and self._job is None and not (self._is_scheduled or self._is_ending):
            self._end()
        self._balance()

    def _pump_soon(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._pump)

    def _balance(self) -> None:
        """Read no more while much waits to be answered; read on when it is."""
        if self._is_lost or self._is_ending:
            return
        is_much = self.core.buffered > HIGH_WATER
        if is_much and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        elif self._is_paused and not is_much:
            self._is_paused = False
            self._transport.resume_reading()

    def _handle(self, event: Event) -> None:
        self._last_input = self._loop.time()
        match event:
            case CommandReceived(command):
                self._take(dispatch(self._conversation, command))
            case Body():
                self._count(len(event.data))
                if data.body(self._conversation, event):
                    self._start(data.flush(self._conversation))
            case EndOfChunk():
                self._pace = None
                self._finish(data.chunk(self._conversation, event))
            case EndOfBody():
                self._pace = None
                self._start(data.end(self._conversation, event))
            case AuthLine(text):
                self._take(auth.line(self._conversation, text))
            case Rejected(reply, close, reset):
                self._conversation.cancel_auth()  # a refused line ends an exchange
                if reset:
                    self._conversation.reset()
                self._finish(say(reply, Then.CLOSE if close else Then.GO_ON))

    def _count(self, octets: int) -> None:
        if self._pace is None:
            self._pace = Pace()
            self._arm(self._profile.settings.data_rate_grace / PATIENCE)
        self._pace.add(octets)

    def _take(self, result: Result) -> None:
        if isinstance(result, Response):
            self._finish(result)
        else:
            self._start(result)

    def _start(self, work: Coroutine[object, object, Response]) -> None:
        self._job = self._loop.create_task(self._run(work))

    async def _run(self, work: Coroutine[object, object, Response]) -> None:
        try:
            response = await work
            self._job = None
            self._finish(response)
        except RemoteProtocolError as error:
            self._job = None
            self._violated(error)
        except Exception as error:  # the connection loop
            self._job = None
            self._crashed(error)
        self._last_input = self._loop.time()
        self._pump()

    def _finish(self, response: Response) -> None:
        """Write the replies of one event, and do what follows them."""
        if self._is_lost:
            if response.told is not None:
                self._shared.handoff.untold(response.told)
            self._conversation.reset()
            return
        if delay_s := tarpit_s(self._conversation, response):
            self._start(hold_back(response, delay_s))
            return
        if response.then is Then.TLS:
            self._transport.pause_reading()
        is_soft = self._shared.settings.soft_bounce
        for reply in response.replies:
            self._transport.write(self.core.send(soften(reply) if is_soft else reply))
        if response.told is not None:
            self._told.append(response.told)
        if response.then is Then.TLS:
            self._early = []
            self._start(self._upgrade())
        elif response.then is Then.CLOSE or self.core.phase is Phase.CLOSED:
            self._end()

    async def _upgrade(self) -> Response:
        session = self._conversation.session
        context = self._shared.tls.context(asks=session.role is Role.SUBMISSION)
        transport = await begin_tls(self._transport, self, context, HANDSHAKE_S)
        if isinstance(transport, str):
            self._shared.event.info("TLS failed", session=session.id, ip=self.ip, error=transport)
        if isinstance(transport, str) or self._is_lost:
            self._transport.abort()
            self.connection_lost(None)  # what has failed at the handshake tells nobody
            return Response(())
        self._transport = transport
        self.core.tls_started()
        self._conversation.secure = note_tls(transport, self._shared.tls, session)
        early, self._early = self._early or [], None
        for part in early:
            self.core.receive(part)
        return Response(())

    def _violated(self, error: RemoteProtocolError) -> None:
        """Close, with the reply that says why."""
        session = self._conversation.session
        self._shared.event.info("Protocol error", session=session.id, ip=self.ip, error=str(error))
        reply = error.reply if isinstance(error, SyntaxProblem) else codes.LOCAL_ERROR
        self._write_last(reply)

    def _crashed(self, error: Exception) -> None:
        session = self._conversation.session
        self._shared.event.crashed("Connection crashed", error, session=session.id)
        self._conversation.reset()
        self._hang_up("Internal error")

    def _hang_up(self, reason: str, enhanced: str = "4.3.2") -> None:
        self._write_last(codes.unavailable(self._shared.settings.hostname, reason, enhanced))

    def _write_last(self, reply: Reply) -> None:
        if not self._is_lost and not self._is_ending:
            self._transport.write(self.core.close(reply))
            self._end()

    def _end(self) -> None:
        """Close; where the client's close shows that it has our answer, wait for that a little."""
        self._is_ending = True
        if not self._told:
            self._arm(FLUSH_S)
            self._transport.close()
            return
        self._last_input = self._loop.time()
        self._arm(POLL_S if self._is_half else LAST_WORD_S)
        if self._transport.can_write_eof():
            try:
                self._transport.write_eof()
            except OSError:
                self._transport.abort()  # the client was faster

    def _tell(self) -> None:
        for told in self._told:
            self._shared.handoff.told(told)
        self._told.clear()
        if self._is_ending:
            self._transport.close()

    def _arm(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _leave(self) -> None:
        """End at last, when a client that has shut its side has our answer, or will not have it."""
        taken = Taken.NO
        if self._told and self._is_half:
            taken = last_words(self._transport, self._loop.time() - self._last_input)
        if taken is Taken.OPEN:
            self._arm(POLL_S)
            return
        if taken is Taken.YES:
            self._tell()
        self._transport.abort()

    def _on_timer(self) -> None:
        if self._is_ending:
            self._leave()
            return
        timeout_s = self._shared.settings.command_timeout
        left_s = self._last_input + timeout_s - self._loop.time()
        if self._pace is not None and (self._job is not None or self._is_paused):
            self._pace.pause()  # it is us who do not read
        minimum = self._profile.settings.data_rate_minimum
        if self._pace is not None and self._pace.is_too_slow(self._loop.time(), minimum):
            self._hang_up("Your message comes too slowly", "4.4.2")
        elif self._job is not None or left_s > 0:
            grace_s = self._profile.settings.data_rate_grace / PATIENCE
            self._arm(max(min(left_s, grace_s) if self._pace else left_s, min(1.0, grace_s)))
        else:
            self._hang_up("Timeout while waiting for input", "4.4.2")
