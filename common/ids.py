"""Make message ids (ULID).

Ids sort by time, are never reused and are made by smtpd at MAIL or by the queue for generated mail. What
can be said of an id without a clock stands in idforms.py and is offered here as well.
"""

import os
import time

from columba.common.idforms import ID_LENGTH, ancestors, derived_id, encode, is_id, is_number

__all__ = ["ID_LENGTH", "ancestors", "derived_id", "is_id", "is_number", "new_id"]


def new_id() -> str:
    """Return a new message id: 26 characters that sort by time."""
    return encode((time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big"))
