"""The dkim-signer: the one process that reads private DKIM keys.

It answers Handoff and nothing else. Keys are read once, at start; a reload of the configuration starts
a new generation, which reads them anew. A key that can't be used ends the start: signing with
the others would send some mail unsigned.
"""

from pathlib import Path

from columba.common.clock import SystemClock, left_s
from columba.common.errors import ConfigError
from columba.common.hop.chain import CANCELLED
from columba.common.hop.mail import Mail, StepResult, same_for_all
from columba.common.hop.parts import make_chain, make_next, make_queue
from columba.common.hop.serving import NOT_OURS, Serving
from columba.common.ipc import wire
from columba.common.ipc.server import Answer, Incoming
from columba.common.service import Context
from columba.delivery.signer.choose import default_domain
from columba.delivery.signer.keys import KeyRing, load_key, load_ring
from columba.delivery.signer.rework import Reworker
from columba.delivery.signer.settings import Settings
from columba.delivery.signer.step import Signing, SigningStep


class Signer(Serving):
    """The service's life (common/service.py)."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context = context
        self._queue = make_queue(context)
        self._step: SigningStep | None = None

    async def start(self) -> None:
        """Read the keys and begin to take calls. Raises ConfigError."""
        context, settings = self._context, self._context.settings
        ring = await context.off_loop.run(context.birth.hang_limit_s, read_keys, settings)
        default = default_domain(settings.dkim_default, settings.hostname, ring.domains)
        if not ring.active(default):
            context.event.warning("Forwarded mail can't be signed: no key", dkim_default=default)
        lifetime_s = int(settings.dkim_signature_lifetime)
        self._step = SigningStep(
            Signing(ring, default, Path(settings.spool_dir), lifetime_s),
            make_chain(context, self._queue),
            make_next(context, "delivery", "delivery"),
            reworker=Reworker(Path(settings.spool_dir), context.name, context.off_loop),
            off_loop=context.off_loop,
            clock=SystemClock(),
            event=context.event,
        )
        self._server = context.serve(self._handle, self._unsent)
        context.event.info("Signing", domains=len(ring.domains), default=default)

    async def drain(self, until_ns: int) -> None:
        """Take no more mail, finish what is in work."""
        if self._server is None:
            return
        self._server.stop_taking()
        await self._server.wait_idle(left_s(until_ns))
        await self._queue.close(left_s(until_ns))
        self._server.close()

    async def _handle(self, call: Incoming) -> Answer:
        request = call.request
        if not isinstance(request, wire.Handoff) or len(call.parts) != 2 or self._step is None:
            return NOT_OURS, []
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
