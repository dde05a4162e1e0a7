"""Accept clients of a listener that begins with TLS (RFC 8314 §3), and count them from then on.

A server of the event loop tells of such a client only after its handshake, and would keep one context for ever: here
each handshake takes the present one, and who never finishes it holds a place that is counted.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from columba.common.log.event import Event

PAUSE_S: Final = 0.1  # when the system has no more descriptors
Admit = Callable[[socket.socket], "asyncio.Task[None] | None"]


class Acceptor:
    """One listening socket. admit begins a handshake in a task, or closes the socket and returns None."""

    def __init__(self, sock: socket.socket, admit: Admit, event: Event) -> None:
        self._sock, self._admit, self._event = sock, admit, event
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Accept until the task is cancelled; no deadline, because clients come when they like."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._sock)
            except OSError as error:
                self._event.warning("Can't accept", error=str(error))
                await asyncio.sleep(PAUSE_S)
                continue
            accepted.setblocking(False)
            task = self._admit(accepted)
            if task is not None:
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Accept no more; handshakes that are under way end."""
        for task in self._tasks:
            task.cancel()
        self._sock.close()


def peer_of(accepted: socket.socket) -> str:
    """Return the address of the other end, "" if there is none."""
    try:
        name = accepted.getpeername()
    except OSError:
        return ""
    return str(name[0]) if isinstance(name, tuple) else ""
