"""Networks of a test's own: namespaces joined by wires that it can cut, as a cable would be.

A namespace has a loopback of its own. What is started while a thread is in one lives there; sockets stay where they
were made. Only the calling thread moves, so that programs are to be started from it.
"""

import contextlib
import ctypes
import ipaddress
import os
from collections.abc import Iterator
from typing import Final

from tests.peers.process import lacking, require, run

_CLONE_NEWNET: Final = 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Network:
    """A namespace; it is gone with the last process in it."""

    def __init__(self) -> None:
        """Make it; where the system does not let us the test is skipped, in CI it fails."""
        require("ip")
        home = _here()
        try:
            if os.geteuid() != 0 or _LIBC.unshare(_CLONE_NEWNET):
                lacking("network namespaces can't be made here")
            self.fd = _here()
        finally:
            _LIBC.setns(home, _CLONE_NEWNET)
            os.close(home)
        self.ip("link", "set", "lo", "up")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be in it with this thread."""
        home = _here()
        assert _LIBC.setns(self.fd, _CLONE_NEWNET) == 0
        try:
            yield
        finally:
            _LIBC.setns(home, _CLONE_NEWNET)
            os.close(home)

    def ip(self, *words: str) -> None:
        """Run ip(8) in it."""
        with self.entered():
            done = run(["ip", *words])
        assert done.returncode == 0, (words, done.stdout)

    def serve(self, address: str) -> None:
        """Give it an address that others reach over any wire which they have for it."""
        self.ip("addr", "add", f"{address}/32", "dev", "lo")

    def close(self) -> None:
        """Let go of it."""
        os.close(self.fd)


class Wire:
    """Joins a node to a hub. `net` is four addresses, of which the hub has the first and the node the second."""

    def __init__(self, name: str, hub: Network, node: Network, net: str, way_to: str) -> None:
        """Join them; the node reaches the hub's address `way_to` over this wire alone."""
        self.name, self._hub = name, hub
        first, second = ipaddress.ip_network(net).hosts()
        self.node_address = str(second)
        other = f"/proc/{os.getpid()}/fd/{node.fd}"
        hub.ip("link", "add", name, "type", "veth", "peer", "name", name, "netns", other)
        for end, address in ((hub, first), (node, second)):
            end.ip("addr", "add", f"{address}/30", "dev", name)
            end.ip("link", "set", name, "up")
        node.ip("route", "add", way_to, "via", str(first))

    def cut(self) -> None:
        """Let nothing through; neither side is told."""
        self._hub.ip("link", "set", self.name, "down")

    def mend(self) -> None:
        """Let all through again."""
        self._hub.ip("link", "set", self.name, "up")


def _here() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
