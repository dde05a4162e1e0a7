"""What an administrator may ask of a delivery process: what was said about a mail, how destinations do, who is down."""

import time

from columba.common.admin import Row
from columba.common.errors import RefusedError
from columba.delivery.health import Health
from columba.delivery.transcript import Shelf, told
from columba.delivery.window import Windows


class Control:
    """Answers the admin socket."""

    def __init__(self, shelf: Shelf, windows: Windows, health: Health) -> None:
        self._shelf, self._windows, self._health = shelf, windows, health

    async def ask(self, command: str, request: dict[str, object]) -> list[Row]:
        """Return the rows of an answer. Raises RefusedError."""
        match command:
            case "transcript":
                heard = self._shelf.of(str(request.get("id", "")))
                return [dict(row) for row in told(heard, time.time_ns(), time.monotonic_ns())]
            case "destinations":
                return [
                    {
                        "destination": name,
                        "active": window.active,
                        "waiting": window.waiting,
                        "room": window.room,
                    }
                    for name, window in sorted(self._windows.all().items())
                ]
            case "down":
                now_ns = time.monotonic_ns()
                return [
                    {"address": address, "port": port, "seconds": round((until - now_ns) / 1e9)}
                    for (address, port), until in sorted(self._health.down(now_ns).items())
                ]
            case _:
                raise RefusedError(f"delivery knows no command {command!r}")
