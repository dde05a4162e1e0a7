"""anvil: publish the directory of workers that the master writes to a pipe.

The whole numbered table goes out on XPUB at each change, at each subscription, and at least every
directory_interval, so that a subscriber that missed something is right again within that time. The next
anvil gets the whole table from the master; callers keep what they know meanwhile.
"""

import asyncio
import os
from typing import Final

import zmq

from columba.common.admin import AdminServer, Row
from columba.common.errors import ConfigError, RefusedError
from columba.common.ipc import master, wire
from columba.common.ipc.pump import Frames, Pump, make_socket
from columba.common.service import Context
from columba.master.anvil.settings import Settings
from columba.master.anvil.tables import Tables

READ_MAX: Final = 1 << 16


class Anvil:
    """The service."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context = context
        self._tables = Tables()
        self._pump: Pump | None = None
        birth = context.birth
        path = birth.run / "admin" / f"anvil.{birth.slot}"
        self._admin = AdminServer(path, self._ask, context.event)

    async def start(self) -> None:
        """Bind the publisher and begin to read the master's pipe."""
        fd = int(os.environ.get(master.ENV_DIRECTORY_FD, "-1"))
        if fd < 0:
            raise ConfigError("anvil was started without the directory's pipe")
        path = self._context.birth.run / "anvil" / "directory"
        path.unlink(missing_ok=True)
        socket = make_socket(self._context.zmq, zmq.XPUB)
        socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        socket.bind(f"ipc://{path}")
        path.chmod(0o660)
        self._pump = Pump(socket, self._on_subscribe)
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._on_table, fd)
        await self._admin.start()
        self._context.spawn(self._repeat(), "directory")

    def available(self) -> int:
        """anvil takes no calls: always room."""
        return 1

    def total(self) -> int:
        """Return 0: anvil counts no clients."""
        return 0

    def active(self) -> int:
        """Return 1: anvil is never idle."""
        return 1

    def note(self) -> int:
        """Return how many tables were malformed."""
        return self._tables.malformed

    async def drain(self, until_ns: int) -> None:
        """Stop answering; the last table stays with its readers."""
        self._admin.close()

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._context.settings.directory_interval)
            self._publish()

    def _on_table(self, fd: int) -> None:
        try:
            data = os.read(fd, READ_MAX)
        except BlockingIOError:
            return
        if not data:
            asyncio.get_running_loop().remove_reader(fd)
        elif self._tables.feed(data):
            self._publish()

    def _on_subscribe(self, frames: Frames) -> None:
        if frames[0][:1] == b"\x01":
            self._publish()

    def _publish(self) -> None:
        if self._pump is not None and self._tables.newest.number:
            self._pump.send([wire.ENCODER.encode(self._tables.newest)])

    async def _ask(self, command: str, _arguments: dict[str, object]) -> list[Row]:
        if command != "directory":
            raise RefusedError(f"anvil knows no command {command!r}")
        return [_row(slot) for slot in self._tables.newest.slots]


def _row(slot: wire.Slot) -> Row:
    return {
        "name": slot.name,
        "service": slot.service,
        "slot": slot.slot,
        "pid": slot.pid,
        "state": slot.state,
        "available": slot.available,
        "note": slot.note,
    }
