"""anvil's answers in the test's own loop: its real tables behind a worker of smtpd's world."""

import time

from columba.common.ipc import wire
from columba.common.ipc.server import Incoming
from columba.master.anvil.penalties import Penalties
from columba.master.anvil.visits import Visits
from tests.fakes.smtpd_world import World


class Anvil:
    """anvil as one smtpd sees it. waits_s is the longest penalty."""

    def __init__(self, world: World, waits_s: float = 15.0) -> None:
        self.visits, self.penalties = Visits("e"), Penalties(waits_s, 600.0)
        self._server = world._serve("anvil", self._answer)
        world.tell("sieve", "queue", "anvil")

    def close(self) -> None:
        """Stop answering."""
        self._server.close()

    def others(self, key: str, connections: int = 0, connects: int = 0, messages: int = 0) -> None:
        """Say what another process has of an address."""
        opened = tuple(wire.Visit(session=f"o{n}", key=key) for n in range(connections))
        counts = (wire.Count(key=key, connects=connects, messages=messages),)
        said = wire.Present(process="smtpd.9.9", whole=True, opened=opened, counts=counts)
        self.visits.report(said, time.monotonic())

    def sessions(self) -> list[tuple[str, str]]:
        """Return address and login of whom smtpd has told."""
        return sorted((v.ip, v.login) for name, v in self.visits.list() if name != "smtpd.9.9")

    def _answer(self, call: Incoming) -> wire.Reply:
        now_s = time.monotonic()
        match call.request:
            case wire.Present():
                return self.visits.report(call.request, now_s)
            case wire.PenaltyAsk(key=key):
                return wire.Penalty(delay_s=self.penalties.delay_s(key, now_s))
            case wire.PenaltyAdd(key=key, check=check):
                return wire.Penalty(delay_s=self.penalties.add(key, check, now_s))
        return wire.Crashed()
