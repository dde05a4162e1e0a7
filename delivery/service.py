"""remote-delivery: SMTP and LMTP out, Maildirs, and what it must remember until clients are told.

It answers Handoff, CallOut, FolderAsk, Answered and Withheld; how a mail is delivered stands in step.py. It
binds its tools to the process: resolver, connection cache, TLS contexts, limits; all of them belong to this process
alone, and callers choose the process by destination.
"""

import asyncio
import random
import ssl
import time
from pathlib import Path
from typing import Final

from columba.common.admin import AdminServer
from columba.common.clock import SystemClock, from_now, left_s
from columba.common.dns.client import Client, name_servers
from columba.common.errors import ConfigError
from columba.common.hop.chain import Delays
from columba.common.hop.keeper import Keeper
from columba.common.hop.mail import Mail
from columba.common.hop.parts import make_chain, make_queue
from columba.common.hop.serving import NOT_OURS, Serving
from columba.common.ipc import wire
from columba.common.ipc.server import Answer, Incoming
from columba.common.lookup.open import open_tables, open_url
from columba.common.net.check import Check
from columba.common.net.tls import client_context
from columba.common.off_loop import OffLoop
from columba.common.service import Context
from columba.delivery.attempt import Attempts, Tools, Ways
from columba.delivery.board import Board
from columba.delivery.callout import Callouts
from columba.delivery.connect import Families, Finder
from columba.delivery.control import Control
from columba.delivery.filing import Filer, special_uses
from columba.delivery.health import Health
from columba.delivery.logins import Logins
from columba.delivery.maildir import Maildirs
from columba.delivery.outcome import Detail
from columba.delivery.pool import Limits, Pool
from columba.delivery.session import quit_all
from columba.delivery.settings import Settings
from columba.delivery.source import Sources, sources_of
from columba.delivery.step import DeliveryStep, Policy
from columba.delivery.transcript import Shelf
from columba.delivery.window import Bounds, Windows

TICK_S: Final = 1.0
KEEPER_TICKS: Final = 5
FENCE_S: Final = 5.0
HURRY_NS: Final = 19_000_000_000  # promises §1: D comes nearer, and we answer ten seconds before it
MAIL_THREADS: Final = 8
BOARD: Final = "down"  # in the service's run folder
SHARE: Final = 4  # one destination gets at most a quarter of a process (promises §9)


class Delivery(Serving):
    """The service's life (common/service.py)."""

    def __init__(self, context: Context[Settings]) -> None:
        settings = context.settings
        self._context = context
        self._queue = make_queue(context)
        self._keeper = Keeper(self._queue.settle, context.directory.is_dead)
        context.directory.on_dead(self._keeper.died)
        self._pool = Pool(
            Limits(
                settings.connection_max_age,
                settings.connection_idle,
                settings.connection_max_uses,
                settings.connection_cache_size,
            )
        )
        share = max(1, context.birth.client_limit // SHARE)
        self._windows = Windows(
            Bounds(
                most=min(settings.destination_concurrency, share),
                per_minute=settings.destination_rate,
                first=settings.destination_concurrency_first,
                share=share,
            )
        )
        self._shelf = Shelf(settings.transcript_memory)
        self._health = Health(settings.host_down_time)
        self._mail_threads = OffLoop(MAIL_THREADS, "maildir")
        self._step: DeliveryStep | None = None
        self._callouts: Callouts | None = None
        self._filer: Filer | None = None

    async def start(self) -> None:
        """Make the tools and begin to take calls. Raises ConfigError."""
        context = self._context
        try:
            contexts = await context.off_loop.run(
                context.birth.hang_limit_s, tls_contexts, context.settings.ssl_client_ca_file
            )
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"ssl_client_ca_file: {error}") from error
        self._step = self._make_step(contexts)
        self._health.board = await self._open_board()
        self._admin = AdminServer(
            context.birth.run / "admin" / f"delivery.{context.birth.slot}",
            Control(self._shelf, self._windows, self._health).ask,
            context.event,
        )
        await self._admin.start()
        self._server = context.serve(self._handle, self._unsent)
        context.spawn(self._tick(), "housekeeping")

    def active(self) -> int:
        """Return how many mails are in work, those included whose late answer is waited for."""
        return super().active() + (self._step.late if self._step else 0)

    def note(self) -> int:
        """Return the number of idle connections."""
        return len(self._pool)

    async def drain(self, until_ns: int) -> None:
        """Take no more mail, finish what is in work, close the connections."""
        if self._server is None or self._step is None:
            return
        self._server.stop_taking()
        now_ns = time.monotonic_ns()
        self._step.hurry(max(until_ns - HURRY_NS, now_ns + (until_ns - now_ns) // 3))
        await self._server.wait_idle(left_s(until_ns))
        await quit_all(self._pool.close())
        await self._queue.close(left_s(until_ns))
        await self._step.close()
        self._admin.close()
        self._server.close()
        self._mail_threads.close()

    async def _open_board(self) -> Board | None:
        """Return what all delivery processes know; without it each knows what it has seen itself."""
        context = self._context
        path = context.birth.run / context.birth.service / BOARD
        try:
            return await context.off_loop.run(context.birth.hang_limit_s, Board, path)
        except OSError as error:
            context.event.warning("No table of hosts that are down", error=str(error))
            return None

    def _make_step(self, contexts: dict[Check, ssl.SSLContext]) -> DeliveryStep:
        context, settings = self._context, self._context.settings
        ways = Ways(
            settings.hostname,
            settings.connect_timeout,
            settings.greeting_timeout,
            tuple(word.upper() for word in settings.ignored_extensions),
            settings.mx_address_limit,
        )
        sources = sources_of(settings, random.SystemRandom().choice)
        tools = Tools(
            self._finder(sources),
            self._pool,
            self._health,
            self._windows,
            sources,
            self._logins(),
            self._shelf,
            contexts,
            context.off_loop,
            context.event,
            context.spawn,
        )
        self._callouts = Callouts(tools, ways, settings.smtp_port)
        uses = special_uses(settings.mailbox)
        maildirs = Maildirs(Path(settings.mail_root), settings.mailbox_quota, uses)
        self._filer = Filer(maildirs, settings.hostname, self._mail_threads)
        return DeliveryStep(
            Policy(
                name=context.name,
                spool=Path(settings.spool_dir),
                mx_port=settings.smtp_port,
                recipients_max=settings.destination_recipients,
                delays=Delays(settings.takeover_delay, settings.in_doubt_delay),
                retry_s=settings.queue_retry_first,
                detail=Detail(settings.reply_detail),
            ),
            Attempts(tools, ways),
            self._filer,
            chain=make_chain(context, self._queue),
            queue=self._queue,
            keeper=self._keeper,
            off_loop=context.off_loop,
            clock=SystemClock(),
            event=context.event,
        )

    def _finder(self, sources: Sources) -> Finder:
        settings = self._context.settings
        return Finder(
            Client(name_servers(settings.dns_servers)),
            frozenset({settings.hostname.lower(), *sources.names}),
            random.SystemRandom(),
            Families(settings.inet_preference),
            settings.mx_host_limit,
        )

    def _logins(self) -> Logins:
        context, settings = self._context, self._context.settings
        name, named = settings.relay_credentials, open_tables(settings.lookup, context.off_loop)
        if not name:
            return Logins(None, settings.relay_auth_in_clear, named)
        table = named.get(name) or open_url("relay_credentials", name, context.off_loop)
        return Logins(table, settings.relay_auth_in_clear, named)

    async def _handle(self, call: Incoming) -> Answer:
        match call.request:
            case wire.Handoff() as handoff if len(call.parts) == 2 and self._step is not None:
                mail = Mail(handoff, call.parts[0], call.parts[1])
                return (await self._step.run(mail, call)).reply()
            case wire.CallOut() as asked if self._callouts is not None:
                return await self._callouts.ask(asked), []
            case wire.FolderAsk() as asked if self._filer is not None:
                return await self._filer.ask(asked), []
            case wire.Answered(ids=ids):
                self._keeper.answered(ids)
                return wire.Done(), []
            case wire.Withheld(id=id):
                return await self._withhold(id), []
            case _:
                return NOT_OURS, []

    async def _withhold(self, id: str) -> wire.Reply:
        """The client was not told: its retry must find the fence."""
        put = self._keeper.withheld(id)
        if put is None:
            return wire.Done()
        until_ns = from_now(FENCE_S)
        if await self._queue.fence_put(put, until_ns):
            return wire.Done()
        return wire.NotStored(text="the fence could not be written")

    def _unsent(self, call: Incoming, reply: wire.Reply) -> None:
        """The caller died before the answer: its outcomes go to the queue."""
        if isinstance(call.request, wire.Handoff) and isinstance(reply, wire.Outcomes):
            self._keeper.answered((call.request.id,))
            self._queue.settle(call.request.id, reply.outcomes, call.request.fence)

    async def _tick(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            now_ns = time.monotonic_ns()
            for session in self._pool.expired(now_ns):
                self._context.spawn(session.quit(), "closing a connection")
            if ticks % KEEPER_TICKS == 0:
                self._keeper.turn()
                self._windows.sweep(now_ns)


def tls_contexts(ca_file: str) -> dict[Check, ssl.SSLContext]:
    """Return a context for each kind of check. Blocks; raises OSError, ssl.SSLError."""
    return {check: client_context(check, ca_file) for check in Check}
