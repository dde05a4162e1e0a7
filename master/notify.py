"""Tell systemd how it goes (sd_notify), where NOTIFY_SOCKET names its socket."""

import os
import socket


def notify(*lines: str) -> None:
    """Send lines such as READY=1; without systemd, and if it does not listen, nothing happens."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.connect_ex(address)
        try:
            sender.send("\n".join(lines).encode())
        except OSError:
            return
