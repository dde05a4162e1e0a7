"""The queue service of a machine that is a witness: it votes on who owns what, and keeps and delivers nothing.

Whoever asks it to store mail hears that it does not: the mail stays with whom it came from.
"""

from typing import Final

from columba.common.clock import left_s
from columba.common.errors import ConfigError
from columba.common.hop.serving import Serving
from columba.common.ipc import wire
from columba.common.ipc.server import Answer, Incoming
from columba.common.service import Context
from columba.queue.settings import Settings
from columba.queue.store.open import plan_store
from columba.queue.store.replica.members import Members
from columba.queue.store.replica.open import Member, read_keys

_START_S: Final = 30.0
_END_S: Final = 10.0
_WITNESS: Final = wire.NotStored(text="This machine is a witness and keeps no mail")


class Witness(Serving):
    """The service."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context = context
        self._member: Member | None = None

    async def start(self) -> None:
        """Run the member."""
        self._member = await self._context.off_loop.run(_START_S, self._begin)
        self._server = self._context.serve(self._handle, self._unsent)
        self._context.event.info("Witness of the queue", member=self._context.settings.replica_name)

    async def drain(self, until_ns: int) -> None:
        """End the member."""
        if self._server is not None:
            self._server.stop_taking()
            await self._server.wait_idle(left_s(until_ns))
            self._server.close()
        if self._member is not None:
            await self._context.off_loop.run(_END_S, self._member.close)

    async def _handle(self, call: Incoming) -> Answer:
        return (wire.FenceTold() if isinstance(call.request, wire.FenceAsk) else _WITNESS), []

    def _unsent(self, call: Incoming, reply: wire.Reply) -> None:
        """Nothing was kept, so nothing is lost."""

    def _begin(self) -> Member:
        where = plan_store(self._context.settings).where
        if not isinstance(where, Members):
            raise ConfigError("queue_url: a witness needs replica:")
        return Member(where, read_keys(where))


def is_witness(settings: Settings) -> bool:
    """Tell whether this machine is one."""
    member = settings.replica_member.get(settings.replica_name)
    return settings.queue_url.startswith("replica:") and member is not None and member.witness
