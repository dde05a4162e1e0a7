"""An event loop whose time is simulated, and whose parts can be stopped like processes.

Nothing waits: when no callback is ready the clock jumps to the next timer. Callbacks belong to the Part whose context
they were made in; those of a stopped part are kept, in order, until it goes on, as a process under SIGSTOP keeps its
events. One that is killed is stopped for good. Order depends on the callbacks alone, so that a history that is
driven by a seeded generator is the same each time.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVarTuple, Unpack

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

Ts = TypeVarTuple("Ts")
_Frozen = tuple[list[asyncio.Handle], Callable[[], object], contextvars.Context]


class Part:
    """What can be stopped by itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_stopped = False
        self.frozen: list[_Frozen] = []


PART: contextvars.ContextVar[Part | None] = contextvars.ContextVar("part", default=None)


class StuckError(Exception):
    """Nothing is left that could ever happen."""


class _Jumps(selectors.BaseSelector):
    """A selector in whose time nothing ever comes in."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._keys: dict[FileDescriptorLike, selectors.SelectorKey] = {}

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: object = None
    ) -> selectors.SelectorKey:
        self._keys[fileobj] = selectors.SelectorKey(fileobj, 0, events, data)
        return self._keys[fileobj]

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StuckError
        self.now_s += max(0.0, timeout)
        return []

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._keys


class SimLoop(asyncio.SelectorEventLoop):
    """The loop of one history."""

    def __init__(self) -> None:
        self._jumps = _Jumps()
        self._parts: set[Part] = set()
        super().__init__(self._jumps)

    def time(self) -> float:
        """Return simulated seconds."""
        return self._jumps.now_s

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Call back soon, unless the part that asks is stopped by then."""
        context = context or contextvars.copy_context()
        part = context.get(PART)
        if part is None:
            return super().call_soon(callback, *args, context=context)
        box: list[asyncio.Handle] = []
        gate = _gate(part, box, lambda: callback(*args), context)
        box.append(super().call_soon(gate, context=context))
        return box[0]

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back then, unless the part that asks is stopped by then."""
        context = context or contextvars.copy_context()
        part = context.get(PART)
        if part is None:
            return super().call_at(when, callback, *args, context=context)
        box: list[asyncio.Handle] = []
        gate = _gate(part, box, lambda: callback(*args), context)
        timer = super().call_at(when, gate, context=context)
        box.append(timer)
        return timer

    def outside(self, delay_s: float, callback: Callable[[], object]) -> None:
        """Call back after a while whatever happens to the part that asks: it is on the wire already."""
        super().call_at(self.time() + delay_s, callback, context=contextvars.Context())

    def stop_part(self, part: Part) -> None:
        """Let a part do nothing any more, until it goes on."""
        part.is_stopped = True
        self._parts.add(part)

    def go_on(self, part: Part) -> None:
        """Let a stopped part run again: what came meanwhile comes now."""
        self._parts.discard(part)
        part.is_stopped = False
        frozen, part.frozen = part.frozen, []
        for box, act, context in frozen:
            super().call_soon(_unless_cancelled, box, act, context=context)

    def end(self) -> None:
        """Cancel everything, let it end, and close."""
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        for part in list(self._parts):
            self.go_on(part)
        if tasks:
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.close()


def _gate(
    part: Part,
    box: list[asyncio.Handle],
    act: Callable[[], object],
    context: contextvars.Context,
) -> Callable[[], None]:
    def gate() -> None:
        if part.is_stopped:
            part.frozen.append((box, act, context))
        else:
            act()

    return gate


def _unless_cancelled(box: list[asyncio.Handle], act: Callable[[], object]) -> None:
    if not box[0].cancelled():
        act()
