"""What all services of the chain have in common: their figures are those of their server of calls."""

from typing import Final

from columba.common.ipc import wire
from columba.common.ipc.server import Server

NOT_OURS: Final = wire.Crashed(text="not a request for this service")


class Serving:
    """Base of a service whose work is calls (common/service.py); its start() sets `_server`."""

    _server: Server | None = None

    def available(self) -> int:
        """Return how many more calls are taken."""
        return self._server.available if self._server else 0

    def total(self) -> int:
        """Return how many calls were taken so far."""
        return self._server.total if self._server else 0

    def active(self) -> int:
        """Return how many calls are in work."""
        return self._server.active if self._server else 0

    def note(self) -> int:
        """Return 0: the directory needs no figure of this service."""
        return 0
