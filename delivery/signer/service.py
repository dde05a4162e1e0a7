"""The dkim-signer: the one process that reads private DKIM keys.

It answers Handoff and nothing else. Keys are read once, at start; a reload of the configuration starts
a new generation, which reads them anew. A key that can't be used ends the start: signing with
the others would send some mail unsigned.
"""

import time
from pathlib import Path
from typing import Final

from columba.common.clock import SystemClock
from columba.common.errors import ConfigError
from columba.common.hop.admission import Admission
from columba.common.hop.chain import Chain, Delays, Next
from columba.common.hop.mail import Mail, StepResult, Why, same_for_all
from columba.common.hop.queue_client import QueueClient
from columba.common.ipc import wire
from columba.common.ipc.server import Answer, Incoming, Server
from columba.common.service import Context
from columba.delivery.signer.choose import default_domain
from columba.delivery.signer.keys import KeyRing, load_key, load_ring
from columba.delivery.signer.rework import Reworker
from columba.delivery.signer.settings import Settings
from columba.delivery.signer.step import Signing, SigningStep

CANCELLED: Final = Why(451, "4.4.7", "The caller gave up")


class Signer:
    """The service's life (common/service.py)."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context = context
        self._queue = QueueClient(context.caller, context.directory, context.event)
        self._server: Server | None = None
        self._step: SigningStep | None = None

    async def start(self) -> None:
        """Read the keys and begin to take calls. Raises ConfigError."""
        context, settings = self._context, self._context.settings
        ring = await context.off_loop.run(context.birth.hang_limit_s, read_keys, settings)
        default = default_domain(settings.dkim_default, settings.hostname, ring.domains)
        if not ring.active(default):
            context.event.warning("Forwarded mail can't be signed: no key", dkim_default=default)
        latency_ms = settings.sync_latency_limit * 1000
        admission = Admission(settings.handoff_limit, latency_ms, time.monotonic_ns())
        delays = Delays(settings.takeover_delay, settings.in_doubt_delay)
        chain = Chain(context.name, context.caller, self._queue, delays, context.event)
        lifetime_s = int(settings.dkim_signature_lifetime)
        self._step = SigningStep(
            Signing(ring, default, Path(settings.spool_dir), lifetime_s),
            chain,
            Next("delivery", "delivery", admission),
            reworker=Reworker(Path(settings.spool_dir), context.name, context.off_loop),
            off_loop=context.off_loop,
            clock=SystemClock(),
            event=context.event,
        )
        self._server = context.serve(self._handle, self._unsent)
        context.event.info("Signing", domains=len(ring.domains), default=default)

    def available(self) -> int:
        """Return how many more mails are taken."""
        return self._server.available if self._server else 0

    def total(self) -> int:
        """Return how many mails were taken so far."""
        return self._server.total if self._server else 0

    def active(self) -> int:
        """Return how many mails are in work."""
        return self._server.active if self._server else 0

    def note(self) -> int:
        """Return 0: the directory needs no figure of this service."""
        return 0

    async def drain(self, until_ns: int) -> None:
        """Take no more mail, finish what is in work."""
        if self._server is None:
            return
        self._server.stop_taking()
        await self._server.wait_idle(max(0.0, (until_ns - time.monotonic_ns()) / 1e9))
        await self._queue.close(max(0.0, (until_ns - time.monotonic_ns()) / 1e9))
        self._server.close()

    async def _handle(self, call: Incoming) -> Answer:
        request = call.request
        if not isinstance(request, wire.Handoff) or len(call.parts) != 2 or self._step is None:
            return wire.Crashed(text="not a request for this service"), []
        mail = Mail(request, call.parts[0], call.parts[1])
        if call.is_cancelled:
            return _refused(mail).reply()
        result = await self._step.run(mail, call.forward_cancel)
        return result.reply()

    def _unsent(self, call: Incoming, reply: wire.Reply) -> None:
        """The caller died: whoever made an outcome lasting keeps it and settles it; we made none."""
        request = call.request
        if isinstance(request, wire.Handoff):
            self._context.event.warning(
                "The caller died before the answer", id=request.id, reply=type(reply).__name__
            )


def read_keys(settings: Settings) -> KeyRing:
    """Return all keys: those of `dkim DOMAIN { }` and those of dkim_key_dir. Raises ConfigError."""
    configured = [
        load_key(domain, key.selector, Path(key.key_file))
        for domain, key in settings.dkim.items()
        if key.key_file
    ]
    for domain, key in settings.dkim.items():
        if not key.key_file:
            raise ConfigError(f"dkim {domain} {{ }} has no key_file")
    names = {(key.domain, key.selector) for key in configured}
    made = load_ring(Path(settings.dkim_key_dir))
    others = [
        key
        for domain in made.domains
        for key in made.active(domain)
        if (key.domain, key.selector) not in names
    ]
    return KeyRing([*configured, *others])


def _refused(mail: Mail) -> StepResult:
    return StepResult(same_for_all(mail.handoff.recipients, "refused", CANCELLED))
