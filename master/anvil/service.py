"""anvil: publish the directory of workers that the master writes to a pipe; know who is connected.

The whole numbered table goes out on XPUB at each change, at each subscription, and at least every
directory_interval, so that a subscriber that missed something is right again within that time. The next
anvil gets the whole table from the master; callers keep what they know meanwhile. Who is connected, counts and
penalties are told by the processes themselves, and told again to the next anvil; without one they go on alone.
"""

import asyncio
import ipaddress
import os
import time
from typing import Final

import zmq

from columba.common.admin import AdminServer, Row
from columba.common.errors import ConfigError, RefusedError
from columba.common.ipc import master, wire
from columba.common.ipc.pump import Frames, Pump, make_socket
from columba.common.ipc.server import Answer, Incoming, Server
from columba.common.service import Context
from columba.master.anvil.penalties import Penalties
from columba.master.anvil.settings import Settings
from columba.master.anvil.tables import Tables
from columba.master.anvil.visits import Visits, choose

READ_MAX: Final = 1 << 16


class Anvil:
    """The service."""

    def __init__(self, context: Context[Settings]) -> None:
        self._context = context
        self._tables = Tables()
        self._visits = Visits(os.urandom(8).hex())
        settings = context.settings
        self._penalties = Penalties(settings.auth_penalty_max, settings.auth_penalty_forget)
        self._server: Server | None = None
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
        self._server = self._context.serve(self._answer, lambda _call, _reply: None)
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
        if self._server is not None:
            self._server.close()

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
            alive = {slot.name for slot in self._tables.newest.slots if slot.state != "dead"}
            self._visits.keep(alive.__contains__)
            self._publish()

    def _on_subscribe(self, frames: Frames) -> None:
        if frames[0][:1] == b"\x01":
            self._publish()

    def _publish(self) -> None:
        if self._pump is not None and self._tables.newest.number:
            self._pump.send([wire.ENCODER.encode(self._tables.newest)])

    async def _answer(self, call: Incoming) -> Answer:
        now_s = time.monotonic()
        match call.request:
            case wire.Present():
                return self._visits.report(call.request, now_s), []
            case wire.PenaltyAsk(key=key):
                return wire.Penalty(delay_s=self._penalties.delay_s(key, now_s)), []
            case wire.PenaltyAdd(key=key, check=check):
                return wire.Penalty(delay_s=self._penalties.add(key, check, now_s)), []
        return wire.Crashed(text="anvil does no such work"), []

    async def _ask(self, command: str, arguments: dict[str, object]) -> list[Row]:
        if command == "directory":
            return [_row(slot) for slot in self._tables.newest.slots]
        mask, address = str(arguments.get("mask", "")), str(arguments.get("address", ""))
        try:
            chosen = choose(mask, address)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        match command:
            case "who":
                found = [pair for pair in self._visits.list() if chosen(pair[1])]
                pids = {slot.name: slot.pid for slot in self._tables.newest.slots}
                return [_visit_row(visit, pids.get(name)) for name, visit in found]
            case "kick":
                return [{"kicked": self._visits.kick(chosen)}]
            case "penalty":
                return self._penalty_rows(address)
        raise RefusedError(f"anvil knows no command {command!r}")

    def _penalty_rows(self, address: str) -> list[Row]:
        now_s, wall_s = time.monotonic(), time.time()
        nets = ipaddress.ip_network(address, strict=False) if address else None
        return [
            {
                "ip": key,
                "penalty": found.count,
                "delay_s": self._penalties.delay_s(key, now_s),
                "last": _clock(wall_s - (now_s - found.last_s)),
            }
            for key, found in self._penalties.list(now_s)
            if nets is None or _is_in(key, nets)
        ]


def _is_in(key: str, net: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    found = ipaddress.ip_network(key)
    return found.version == net.version and found.overlaps(net)


def _clock(wall_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall_s))


def _visit_row(visit: wire.Visit, pid: int | None) -> Row:
    return {
        "login": visit.login,
        "service": visit.listener,
        "pid": pid,
        "ip": visit.ip,
        "tls": visit.tls,
        "since": _clock(visit.since_s),
        "session": visit.session,
    }


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
