"""Whether a client that has closed its own side has our last words.

Such a client (Exim says QUIT and shuts its side down while it still waits for our answer) can show nothing any more by
what it sends: neither an octet nor a close. What is left is TCP: our data and our FIN are acknowledged, and no reset
came, as it would from the kernel of a client that died or that closed without reading (promises §4).
"""

import socket
import sys
from asyncio import BaseTransport
from enum import Enum
from typing import Final

LAST_WORD_S: Final = 5.0  # for the client's close after our last reply
POLL_S: Final = 0.05
_INFO_SIZE: Final = 28  # struct tcp_info up to tcpi_unacked (tcp(7))
_TCP_CLOSE: Final = 7
_STREAMS: Final = (socket.AF_INET, socket.AF_INET6)


class Taken(Enum):
    """What TCP knows of our last words."""

    YES = "acknowledged, and the connection ended in good order"
    NO = "reset"
    OPEN = "not known yet"


def last_words(transport: BaseTransport, waited_s: float) -> Taken:
    """Return whether the other end has all that was written, OPEN only while it is worth waiting for.

    Both sides must have been shut down. waited_s is how long ago we did.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in _STREAMS:
        return Taken.NO
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_SIZE)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except OSError:
        return Taken.NO
    if error:
        return Taken.NO
    unacknowledged = int.from_bytes(info[24:28], sys.byteorder)
    if info[0] == _TCP_CLOSE and not unacknowledged:
        return Taken.YES
    return Taken.OPEN if waited_s < LAST_WORD_S else Taken.NO
