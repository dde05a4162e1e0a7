"""A process's copy of the directory of workers, as anvil publishes it.

Whole tables arrive, the newest wins; a process that is missing in a newer table, or marked dead, is dead.
If anvil dies, what was known stays.
"""

from collections.abc import Callable, Iterable

import msgspec
import zmq

from columba.common.ipc import wire
from columba.common.ipc.pump import Frames, Pump, make_socket

OnDead = Callable[[wire.Slot], None]


class Directory:
    """Knows every worker; calls back at each death."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", run: str) -> None:
        self._slots: dict[str, wire.Slot] = {}
        self._ready: dict[str, list[wire.Slot]] = {}
        self._number = -1
        self._on_dead: list[OnDead] = []
        self.malformed = 0
        socket = make_socket(context, zmq.SUB)
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        socket.connect(f"ipc://{run}/anvil/directory")
        self._pump = Pump(socket, self._on_frames)

    def on_dead(self, callback: OnDead) -> None:
        """Have each death told, once."""
        self._on_dead.append(callback)

    def ready(self, service: str) -> list[wire.Slot]:
        """Return the workers of a service that take calls."""
        return self._ready.get(service, [])

    def is_dead(self, name: str) -> bool:
        """Tell whether a process is known to be gone; one that was never seen is not."""
        slot = self._slots.get(name)
        return slot is not None and slot.state == "dead"

    def note(self, service: str) -> int:
        """Return the sum of the notes of a service's workers; -1 when none is known."""
        slots = self.ready(service)
        return sum(slot.note for slot in slots) if slots else -1

    def close(self) -> None:
        """Stop listening."""
        self._pump.close()

    def take(self, table: wire.Directory) -> None:
        """Replace what is known by a newer table; an older one is ignored, unless its master is new."""
        if table.number <= self._number:
            return
        self._number = table.number
        told = {slot.name: slot for slot in table.slots}
        dead = [s for n, s in self._slots.items() if s.state != "dead" and _died(told.get(n))]
        kept_dead = {n: s for n, s in self._slots.items() if s.state == "dead" and n not in told}
        for slot in dead:
            told[slot.name] = _as_dead(slot)
        self._slots = {**_last(kept_dead.items(), 1000), **told}
        self._ready = {}
        for slot in told.values():
            if slot.state == "ready":
                self._ready.setdefault(slot.service, []).append(slot)
        for slot in dead:
            for callback in self._on_dead:
                callback(slot)

    def _on_frames(self, frames: Frames) -> None:
        try:
            self.take(wire.DIRECTORIES.decode(frames[0]))
        except (ValueError, RecursionError, msgspec.MsgspecError):
            self.malformed += 1


def _died(now: wire.Slot | None) -> bool:
    return now is None or now.state == "dead"


def _as_dead(slot: wire.Slot) -> wire.Slot:
    return msgspec.structs.replace(slot, state="dead", available=0)


def _last(items: Iterable[tuple[str, wire.Slot]], count: int) -> dict[str, wire.Slot]:
    return dict(list(items)[-count:])
